package ingest

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
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

// record is MSN, discontinuity sequence, turn, CRC-32 of these.
const recordSize = 8 + 8 + 8 + 4

// openNumbers opens or makes the file of one stream and gives what it remembers;
// known is false for a stream that never numbered anything here.
func openNumbers(dir, stream string) (n *numbers, msn, discontinuity int64, known bool, err error) {
	if err = os.MkdirAll(dir, 0o700); err != nil {
		return nil, 0, 0, false, fmt.Errorf("making the folder of stream numbers: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, stream), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, 0, 0, false, fmt.Errorf("opening the numbers of stream %q: %w", stream, err)
	}
	n = &numbers{file: f}
	for slot := range int64(2) {
		m, d, turn, ok := readRecord(f, slot)
		if ok && turn >= n.turn {
			msn, discontinuity, known, n.turn = m, d, true, turn
		}
	}
	return n, msn, discontinuity, known, nil
}

func readRecord(r io.ReaderAt, slot int64) (msn, discontinuity, turn int64, ok bool) {
	var b [recordSize]byte
	if _, err := r.ReadAt(b[:], slot*recordSize); err != nil {
		return 0, 0, 0, false
	}
	if binary.BigEndian.Uint32(b[24:]) != crc32.ChecksumIEEE(b[:24]) {
		return 0, 0, 0, false
	}
	//nolint:gosec // what this program wrote from an int64
	return int64(binary.BigEndian.Uint64(b[0:])), int64(binary.BigEndian.Uint64(b[8:])), int64(binary.BigEndian.Uint64(b[16:])), true
}

// store remembers the numbers of a segment that is about to be listed.
func (n *numbers) store(msn, discontinuity int64) error {
	n.turn++
	var b [recordSize]byte
	binary.BigEndian.PutUint64(b[0:], uint64(msn))           //nolint:gosec // never negative
	binary.BigEndian.PutUint64(b[8:], uint64(discontinuity)) //nolint:gosec // never negative
	binary.BigEndian.PutUint64(b[16:], uint64(n.turn))       //nolint:gosec // never negative
	binary.BigEndian.PutUint32(b[24:], crc32.ChecksumIEEE(b[:24]))
	_, err := n.file.WriteAt(b[:], n.turn%2*recordSize)
	return err
}

func (n *numbers) close() error { return n.file.Close() }
