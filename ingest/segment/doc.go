// Package segment turns the MPEG-TS that FFmpeg writes into media segments and
// keeps the newest of them in memory.
//
// A Cutter reads one rendition's pipe straight into the buffer of the growing
// segment and cuts before keyframes. The Timeline is the cut list that the
// renditions of one FFmpeg run share: piece k covers the same stretch of media
// in all of them. A Ring is a rendition's sliding window of finished segments:
// readers take no lock, and a segment's bytes stay as they are for as long as a
// reader holds it.
//
// Bytes are copied once, from the pipe into the buffer. Buffers lie outside the
// Go heap (see slab), so that the garbage collector neither scans nor doubles
// them.
package segment
