package guard

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/net/netutil"

	"github.com/headrace/headrace/ingest/ffmpeg"
	"github.com/headrace/headrace/ingest/source"
)

// Bounds of what a source and a child may do to a proxy.
const (
	// patience is how long a source may be silent while an answer is awaited or read.
	// It is less than FFmpeg's own, so that the one who knows the cause gives up first.
	patience = 8 * time.Second
	// childPatience is how long the child may take for the header of a request.
	childPatience = 5 * time.Second
	// idleTime is how long a connection that nobody uses stays open, on both sides.
	idleTime = 30 * time.Second
	// connections is how many the child may have at a time: FFmpeg keeps one open for
	// each rendition of a source.
	connections = maxListed + 16
	// Headers, in bytes.
	maxRequestHeader  = 16 << 10
	maxResponseHeader = 64 << 10
	// maxMedia is the most that one answer to a segment, an init section or a key has.
	maxMedia = 1 << 30
)

// childName is the user that the child names to its proxy.
const childName = "child"

// Proxy is the one way to the network of one child that reads an http source, a
// listener on the loopback that lives as long as the child. The child is told a
// surrogate for the source's URL, and all that it asks for goes through the guard:
//
//   - The edge speaks TLS and checks certificates; the child needs plain http only.
//   - Redirects are followed here, each to a checked address.
//   - Playlists are rewritten: every address that they name becomes a surrogate, an
//     address that is not http is refused, and so is what is not a playlist where one
//     belongs, or is one where media belong. Playlists that list themselves end here.
//   - User, password and query of the source are added here. They are in no argument
//     of the child, nor is its path, which may hold a key.
//   - Only the child that was given the password may use it.
//
// Origins that want Digest authentication are not supported.
type Proxy struct {
	source    *url.URL
	password  string
	listener  net.Listener
	server    *http.Server
	transport *http.Transport
	cookies   cookies
	served    sync.WaitGroup

	mu       sync.Mutex
	failure  *source.Error
	failedAt time.Time
}

// Open opens a proxy for a child that is to read the source from an http or https URL.
func (g *Guard) Open(from *url.URL) (*Proxy, error) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("opening the guard's listener on 127.0.0.1: %w", err)
	}
	p := &Proxy{
		source: from, password: rand.Text(), listener: listener,
		transport: &http.Transport{
			DialContext:            g.DialContext,
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout:    connectTime,
			DisableCompression:     true,
			MaxResponseHeaderBytes: maxResponseHeader,
			MaxConnsPerHost:        connections,
			MaxIdleConnsPerHost:    4,
			MaxIdleConns:           16,
			IdleConnTimeout:        idleTime,
		},
	}
	p.server = &http.Server{
		Handler:           http.HandlerFunc(p.serve),
		ReadHeaderTimeout: childPatience,
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    maxRequestHeader,
		ErrorLog:          zap.NewStdLog(zap.NewNop()),
	}
	p.served.Go(func() { _ = p.server.Serve(netutil.LimitListener(listener, connections)) }) // it ends with Close, with an error that says so
	return p, nil
}

// Close ends the proxy, and every connection that it has made or taken, and waits
// until none is left.
func (p *Proxy) Close() {
	_ = p.server.Close()
	p.served.Wait()
	p.transport.CloseIdleConnections()
}

// Port is that of 127.0.0.1 on which the proxy listens.
func (p *Proxy) Port() uint16 { return p.listener.Addr().(*net.TCPAddr).AddrPort().Port() }

// Environment is the variable by which the child finds the proxy. Unlike arguments,
// a process's environment is not for everybody to read.
func (p *Proxy) Environment() string {
	return "http_proxy=http://" + childName + ":" + p.password + "@" + p.listener.Addr().String()
}

// Failure is what went wrong with the source since it delivered media last, nil if
// nothing did, and when. The guard knows better than FFmpeg why FFmpeg got nothing.
func (p *Proxy) Failure() (failure *source.Error, at time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.failure, p.failedAt
}

// serve answers one request of the child.
func (p *Proxy) serve(w http.ResponseWriter, r *http.Request) {
	p.served.Add(1)
	defer p.served.Done()
	if !p.authorized(r) {
		challenge(w, r)
		return
	}
	if r.Method != http.MethodGet {
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	role, target, err := p.requested(r.URL)
	if err == nil {
		err = p.relay(w, r, role, target)
	}
	if err != nil {
		p.fail(w, r.Context(), err)
	}
}

// challenge asks for the password: FFmpeg names it only when asked. It gives up where
// it asked for a part and an answer, even this one, does not begin there.
func challenge(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Proxy-Authenticate", `Basic realm="headrace"`)
	if span, ok := strings.CutPrefix(r.Header.Get("Range"), "bytes="); ok {
		w.Header().Set("Content-Range", "bytes "+span+"/*")
	}
	w.WriteHeader(http.StatusProxyAuthRequired)
}

// authorized tells whether a request comes from the child.
func (p *Proxy) authorized(r *http.Request) bool {
	// The header has the form that BasicAuth reads under another name.
	proved := http.Request{Header: http.Header{"Authorization": r.Header["Proxy-Authorization"]}}
	_, password, _ := proved.BasicAuth()
	return subtle.ConstantTimeCompare([]byte(password), []byte(p.password)) == 1
}

// fail takes note of what went wrong and tells the child that something did.
func (p *Proxy) fail(w http.ResponseWriter, child context.Context, err error) {
	if child.Err() != nil {
		return // the child has gone, which is no fault of the source
	}
	failure := Explain(err)
	p.note(failure)
	var broken *brokenOffError
	if errors.As(err, &broken) {
		// The answer has begun: only a connection that breaks tells that it has no end.
		panic(http.ErrAbortHandler)
	}
	w.WriteHeader(statusFor(err, failure.Failure))
}

// note keeps a failure. What is forbidden is not forgotten for what follows from it: a
// key that may not be fetched, then segments that nobody can read.
func (p *Proxy) note(failure *source.Error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.failure == nil || p.failure.Failure != ffmpeg.FailureForbidden || failure.Failure == ffmpeg.FailureForbidden {
		p.failure, p.failedAt = failure, time.Now()
	}
}

func statusFor(err error, failure ffmpeg.Failure) int {
	var answered *answeredError
	if errors.As(err, &answered) {
		return answered.status
	}
	switch failure {
	case ffmpeg.FailureForbidden:
		return http.StatusForbidden
	case ffmpeg.FailureTimeout:
		return http.StatusGatewayTimeout
	}
	return http.StatusBadGateway
}

// delivered takes note that the source gave media: what went wrong before is over.
func (p *Proxy) delivered() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failure = nil
}

// sameOrigin tells whether two URLs have scheme, host and port in common.
func sameOrigin(a, b *url.URL) bool {
	return a.Scheme == b.Scheme && strings.EqualFold(a.Host, b.Host)
}
