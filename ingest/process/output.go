package process

import (
	"bytes"
	"fmt"
	"os"
	"syscall"
	"time"
)

const (
	readSize    = 8 << 10  // one read of the output
	pipeSize    = 64 << 10 // what a pipe holds unless it is resized; the output's is not
	maxLine     = 2 << 10  // a line's cut
	linesPerSec = 50       // what OnLine gets at most in a second
)

// output drains a child's stdout and stderr: it cuts the bytes into lines, keeps the last of them, and hands a bounded
// number on. One goroutine reads, another calls OnLine; the reader waits for nothing but bytes, so the child is never
// held up, whatever it writes and however slow OnLine is.
type output struct {
	pipe   *os.File
	onLine func(string)
	lines  chan string   // from the reader to the caller of OnLine
	read   chan struct{} // closed when all is read
	heard  chan struct{} // closed when all is handed on
	tail   tail

	// The rest belongs to the reader.
	line   []byte    // the unfinished line, up to maxLine; the excess is dropped
	second time.Time // start of the current second of OnLine
	sent   int       // lines handed on in it
	missed int       // lines not handed on since the last one that was
}

func newOutput(pipe *os.File, onLine func(string)) *output {
	return &output{
		pipe:   pipe,
		onLine: onLine,
		lines:  make(chan string, linesPerSec),
		read:   make(chan struct{}),
		heard:  make(chan struct{}),
		line:   make([]byte, 0, maxLine),
	}
}

// start launches the two goroutines; finish waits for them.
func (o *output) start() {
	go o.drain()
	go o.deliver()
}

// finish is called when the child is dead, and returns when all that it wrote is read and handed on. It waits neither
// for a process that left the group and holds the pipe open, nor for OnLine longer than limit.
func (o *output) finish(limit time.Duration) {
	// An error would mean that the reader has seen the end and closed the pipe.
	_ = o.pipe.SetReadDeadline(time.Now())
	<-o.read
	late := time.NewTimer(limit)
	defer late.Stop()
	select {
	case <-o.heard:
	case <-late.C:
	}
}

// drain reads until the end of the output, or until finish cuts it short.
func (o *output) drain() {
	defer close(o.read)
	defer close(o.lines)
	defer func() { _ = o.pipe.Close() }()
	buf := make([]byte, readSize)
	for {
		n, err := o.pipe.Read(buf)
		o.feed(time.Now(), buf[:n])
		if err != nil {
			break
		}
	}
	o.drainRest(buf)
	o.endLine(time.Now())
}

// drainRest reads what is left in the pipe, without waiting for more: the deadline makes File.Read fail even if there
// are bytes, and the last lines are those that say why the child ended.
func (o *output) drainRest(buf []byte) {
	conn, err := o.pipe.SyscallConn()
	if err != nil {
		return
	}
	_ = conn.Control(func(fd uintptr) {
		for range pipeSize / readSize { // somebody may go on writing
			n, _ := syscall.Read(int(fd), buf)
			if n <= 0 {
				return
			}
			o.feed(time.Now(), buf[:n])
		}
	})
}

func (o *output) deliver() {
	defer close(o.heard)
	for line := range o.lines {
		o.onLine(line)
	}
	// The channel is closed: the reader is gone, and what it left is ours.
	if o.missed > 0 {
		o.onLine(missedNotice(o.missed))
	}
}

// feed cuts bytes into lines. A carriage return ends a line, too: progress displays use it alone.
func (o *output) feed(now time.Time, p []byte) {
	for len(p) > 0 {
		end := bytes.IndexAny(p, "\r\n")
		if end < 0 {
			o.extend(p)
			return
		}
		o.extend(p[:end])
		o.endLine(now)
		p = p[end+1:]
	}
}

func (o *output) extend(p []byte) {
	room := maxLine - len(o.line)
	o.line = append(o.line, p[:min(room, len(p))]...)
}

func (o *output) endLine(now time.Time) {
	if len(o.line) == 0 {
		return
	}
	o.tail.add(now, o.line)
	if o.onLine != nil {
		o.offer(now)
	}
	o.line = o.line[:0]
}

// offer hands the line on if this second's share is not used up and OnLine keeps pace; else it counts it.
func (o *output) offer(now time.Time) {
	if now.Sub(o.second) >= time.Second {
		o.second, o.sent = now, 0
	}
	if o.missed > 0 && o.free() {
		o.push(missedNotice(o.missed))
		o.missed = 0
	}
	if !o.free() {
		o.missed++
		return
	}
	o.push(validText(o.line))
}

// free tells whether a line may be handed on: within the rate, and without waiting for OnLine. The reader alone sends,
// so a free place stays free.
func (o *output) free() bool {
	return o.sent < linesPerSec && len(o.lines) < cap(o.lines)
}

func (o *output) push(line string) {
	o.lines <- line
	o.sent++
}

func missedNotice(n int) string { return fmt.Sprintf("(%d lines left out)", n) }
