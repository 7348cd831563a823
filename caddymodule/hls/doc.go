// Package hls is the HTTP handler "hls": it serves the playlists and segments of
// the edge's streams, from memory, to viewers whose token was checked.
package hls
