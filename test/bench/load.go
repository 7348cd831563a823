package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// connections is how many keep-alive connections ask at once.
const connections = 64

// errAnswer says that a server did not answer with what was asked for.
var errAnswer = errors.New("wrong answer")

// load asks for one URL path n times and checks each answer.
type load struct {
	address string
	host    string
	path    string
	tls     *tls.Config // nil: plain
	size    int         // of the body
}

// run sends n requests over the connections and returns when all are answered.
func (l load) run(ctx context.Context, n int) error {
	request := []byte("GET " + l.path + " HTTP/1.1\r\nHost: " + l.host + "\r\nUser-Agent: bench\r\n\r\n")
	var left atomic.Int64
	left.Store(int64(n))
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var all sync.WaitGroup
	for range connections {
		all.Go(func() {
			if err := l.connection(ctx, request, &left); err != nil {
				cancel(err)
			}
		})
	}
	all.Wait()
	return context.Cause(ctx)
}

func (l load) connection(ctx context.Context, request []byte, left *atomic.Int64) error {
	conn, err := l.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	answers := bufio.NewReaderSize(conn, 64<<10)
	for left.Add(-1) >= 0 && ctx.Err() == nil {
		if _, err := conn.Write(request); err != nil {
			return fmt.Errorf("asking for %s: %w", l.path, err)
		}
		answer, err := http.ReadResponse(answers, nil)
		if err != nil {
			return fmt.Errorf("reading the answer: %w", err)
		}
		got, err := io.Copy(io.Discard, answer.Body)
		answer.Body.Close()
		if err != nil || answer.StatusCode != http.StatusOK || got != int64(l.size) {
			return fmt.Errorf("got status %d and %d bytes, want 200 and %d: %w", answer.StatusCode, got, l.size, errors.Join(errAnswer, err))
		}
	}
	return nil
}

func (l load) dial(ctx context.Context) (net.Conn, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", l.address)
	if err != nil || l.tls == nil {
		return conn, err
	}
	secure := tls.Client(conn, l.tls)
	if err := secure.HandshakeContext(ctx); err != nil {
		return nil, fmt.Errorf("TLS with %s: %w", l.host, err)
	}
	return secure, nil
}

// pin puts a process, or this one (0), with all its threads on one core.
func pin(pid, core int) error {
	var set unix.CPUSet
	set.Set(core)
	for _, tid := range threads(pid) {
		if err := unix.SchedSetaffinity(tid, &set); err != nil {
			return fmt.Errorf("pinning %d to core %d: %w", tid, core, err)
		}
	}
	return nil
}
