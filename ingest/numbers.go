package ingest

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"time"
)

// numbers remembers a stream's highest media sequence number and discontinuity
// sequence in the state folder, so that a restarted edge goes on above them: a
// number once used never gets other bytes.
//
// The file holds two records, written in turn, each with a checksum: a torn write
// costs one number, which the clock rule of a cold start covers. A record is
// written before its segment is listed. It is not synced: the page cache outlives
// a killed edge, and after a power cut the clock has moved on.
type numbers struct {
	file *os.File
	turn int64
}

// highest is what is remembered of a stream's newest segment.
type highest struct {
	msn, discontinuity int64
	end                time.Time // where it ends, by its PROGRAM-DATE-TIME
}

// record is MSN, discontinuity sequence, end in ms of UNIX time, turn; then the
// CRC-32 of these.
const (
	recordFields = 4
	recordSize   = recordFields*8 + 4
)

// openNumbers opens or makes the file of one stream and gives what it remembers;
// known is false for a stream that never numbered anything here.
func openNumbers(dir, stream string) (n *numbers, was highest, known bool, err error) {
	if err = os.MkdirAll(dir, 0o700); err != nil {
		return nil, was, false, fmt.Errorf("making the folder of stream numbers: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, stream), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, was, false, fmt.Errorf("opening the numbers of stream %q: %w", stream, err)
	}
	n = &numbers{file: f}
	for slot := range int64(2) {
		fields, ok := readRecord(f, slot)
		if turn := fields[3]; ok && turn >= n.turn {
			was = highest{msn: fields[0], discontinuity: fields[1], end: time.UnixMilli(fields[2]).UTC()}
			known, n.turn = true, turn
		}
	}
	return n, was, known, nil
}

func readRecord(r io.ReaderAt, slot int64) (fields [recordFields]int64, ok bool) {
	var b [recordSize]byte
	if _, err := r.ReadAt(b[:], slot*recordSize); err != nil {
		return fields, false
	}
	if binary.BigEndian.Uint32(b[recordFields*8:]) != crc32.ChecksumIEEE(b[:recordFields*8]) {
		return fields, false
	}
	for i := range fields {
		fields[i] = int64(binary.BigEndian.Uint64(b[i*8:])) //nolint:gosec // what this program wrote from an int64
	}
	return fields, true
}

// store remembers a segment that is about to be listed.
func (n *numbers) store(h highest) error {
	n.turn++
	var b [recordSize]byte
	for i, field := range [recordFields]int64{h.msn, h.discontinuity, h.end.UnixMilli(), n.turn} {
		binary.BigEndian.PutUint64(b[i*8:], uint64(field)) //nolint:gosec // read back as it was
	}
	binary.BigEndian.PutUint32(b[recordFields*8:], crc32.ChecksumIEEE(b[:recordFields*8]))
	_, err := n.file.WriteAt(b[:], n.turn%2*recordSize)
	return err
}

func (n *numbers) close() error { return n.file.Close() }
