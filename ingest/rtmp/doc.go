// Package rtmp takes what encoders push by RTMP: it listens, lets in who is
// authorized, and hands each stream's media on as MPEG-TS. It knows no tokens: who
// may publish what is decided by a function that it is given.
package rtmp
