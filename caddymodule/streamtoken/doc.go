// Package streamtoken is the request matcher "stream_token": it lets through
// whoever carries a valid stream token in the path, and tells the handler behind
// it what the token allows.
package streamtoken
