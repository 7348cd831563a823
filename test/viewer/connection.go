package viewer

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// connection is a RoundTripper over one keep-alive HTTP/1.1 connection, for one
// request at a time. Unlike http.Transport it runs no goroutines and holds its
// buffers only while an answer is under way, which is what lets thousands of
// viewers fit into little memory.
type connection struct {
	tls  *tls.Config // for https; nil means the defaults
	conn net.Conn
	peer string // scheme and address that conn leads to
}

// readers are the buffers of answers under way. Bodies are read past them.
var readers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, 2<<10) }}

// RoundTrip sends a request and returns its answer, whose body must be read to
// the end for the connection to be kept.
func (c *connection) RoundTrip(req *http.Request) (*http.Response, error) {
	peer := req.URL.Scheme + " " + req.URL.Host
	kept := c.conn != nil && c.peer == peer
	for {
		if !kept {
			c.close()
			if err := c.dial(req); err != nil {
				return nil, err
			}
			c.peer = peer
		}
		resp, begun, err := c.exchange(req)
		if err == nil {
			return resp, nil
		}
		c.close()
		// A server may close an idle connection at any time; the request that
		// finds out is simply sent again (RFC 9112 §9.3.1).
		if !kept || begun || req.Context().Err() != nil {
			return nil, err
		}
		kept = false
	}
}

// dial connects to the request's host.
func (c *connection) dial(req *http.Request) (err error) {
	port := req.URL.Port()
	if port == "" {
		port = req.URL.Scheme // "http" and "https" are names of ports, too
	}
	address := net.JoinHostPort(req.URL.Hostname(), port)
	dialer := &net.Dialer{Timeout: 5 * time.Second}
	if req.URL.Scheme == "https" {
		c.conn, err = (&tls.Dialer{NetDialer: dialer, Config: c.tls}).DialContext(req.Context(), "tcp", address)
	} else {
		c.conn, err = dialer.DialContext(req.Context(), "tcp", address)
	}
	if err != nil {
		c.conn = nil
	}
	return err
}

// exchange sends the request and reads the head of the answer. begun says whether
// any of it came.
func (c *connection) exchange(req *http.Request) (resp *http.Response, begun bool, err error) {
	conn := c.conn
	stop := context.AfterFunc(req.Context(), func() {
		_ = conn.SetDeadline(time.Unix(1, 0)) // ends what waits on it
	})
	r := readers.Get().(*bufio.Reader)
	r.Reset(conn)
	defer func() {
		if err != nil {
			stop()
			release(r)
		}
	}()
	if err := send(conn, req); err != nil {
		return nil, false, err
	}
	if _, err := r.Peek(1); err != nil {
		return nil, false, err
	}
	resp, err = http.ReadResponse(r, req)
	if err != nil {
		return nil, true, err
	}
	resp.Body = &body{Reader: resp.Body, connection: c, buffer: r, stop: stop, last: resp.Close}
	return resp, true, nil
}

// send writes the request in one piece.
func send(conn net.Conn, req *http.Request) error {
	text := texts.Get().(*bytes.Buffer)
	defer texts.Put(text)
	text.Reset()
	if err := req.Write(text); err != nil {
		return err
	}
	_, err := conn.Write(text.Bytes())
	return err
}

// release gives a buffer back, without what it read from.
func release(r *bufio.Reader) {
	r.Reset(nil)
	readers.Put(r)
}

// close closes the connection, if there is one.
func (c *connection) close() {
	if c.conn != nil {
		_ = c.conn.Close()
		c.conn = nil
	}
}

// body is an answer's body. At its end the connection is free for the next.
type body struct {
	io.Reader
	connection *connection
	buffer     *bufio.Reader
	stop       func() bool
	last       bool // the server closes after it
	done       bool
}

// Read reads on, and lets go of the connection at the end.
func (b *body) Read(p []byte) (int, error) {
	if b.done {
		return 0, io.EOF
	}
	n, err := b.Reader.Read(p)
	if err == io.EOF {
		b.finish(true)
	}
	return n, err
}

// Close gives the rest of the body up, and the connection if there is a rest.
func (b *body) Close() error {
	b.finish(false)
	return nil
}

// finish lets go of the connection, once.
func (b *body) finish(whole bool) {
	if b.done {
		return
	}
	b.done = true
	clean := b.buffer.Buffered() == 0
	release(b.buffer)
	// A stop that comes too late has made the connection useless.
	if !b.stop() || !whole || !clean || b.last {
		b.connection.close()
	}
}
