package rtmp

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/bluenviron/gortmplib"
	"github.com/bluenviron/gortmplib/pkg/amf0"
	"github.com/bluenviron/gortmplib/pkg/message"
	"go.uber.org/zap"

	"github.com/headrace/headrace/ingest/source"
)

// ErrRefused says that a publisher is not authorized.
var ErrRefused = errors.New("the publisher is not authorized")

// Application is the first part of the path that encoders publish to:
// rtmp://host/live with the stream key behind it.
const Application = "live"

// Grant is what an authorized publisher may do.
type Grant struct {
	// Stream is what it publishes.
	Stream string
	// Owner is who it publishes for; Max how many streams that owner may publish at
	// a time, 0 for any number.
	Owner string
	Max   int
	// Session names the publisher among those of the owner; empty: it has no name. A
	// second publisher of the same session takes over, any other is refused.
	Session string
	// Renew tells whether the publisher may go on; it is asked every 2 s.
	Renew func(now time.Time) bool
}

// takesOverFrom tells whether both come from the same encoder.
func (g Grant) takesOverFrom(o Grant) bool {
	return g.Session != "" && g.Session == o.Session && g.Owner == o.Owner
}

// Options is what a server needs to be told.
type Options struct {
	// Authorize decides about a stream key and an address. What it returns as an
	// error is not shown to the publisher.
	Authorize func(key string, address netip.Addr) (Grant, error)
	// Arrived is told of a stream whose publisher came or left; it must not block.
	Arrived func(stream string)
	// Count is told how each attempt to publish ended.
	Count func(Outcome)
	// Logger takes who came and left. It is never given a stream key.
	Logger *zap.Logger
}

// Outcome is what became of a connection. The set is closed.
type Outcome string

// The outcomes.
const (
	Accepted  Outcome = "accepted"  // it publishes
	Crowded   Outcome = "crowded"   // too many connections are not authorized yet
	Unfit     Outcome = "unfit"     // it did not speak RTMP, or too slowly, or not to publish
	Refused   Outcome = "refused"   // its stream key was
	Busy      Outcome = "busy"      // another publisher is there
	TooMany   Outcome = "too_many"  // its owner publishes as many streams as the token allows
	Undecoded Outcome = "undecoded" // its media could not be read
)

// Outcomes lists them all, for metric labels.
func Outcomes() []Outcome {
	return []Outcome{Accepted, Crowded, Unfit, Refused, Busy, TooMany, Undecoded}
}

// Server takes what encoders push. It is given listeners, which come and go with
// configurations; publishers stay.
type Server struct {
	options Options
	door    door
	desk    desk
	running sync.WaitGroup
	ctx     context.Context //nolint:containedctx // the server's own life, which its connections share
	cancel  context.CancelFunc
}

// NewServer makes a server that listens nowhere yet.
func NewServer(o Options) *Server {
	s := &Server{options: o}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

// Settings are what a listener's connections are treated by.
type Settings struct {
	// TLS makes it RTMPS; nil: it is not encrypted.
	TLS *tls.Config
	// Hold is how long a stream waits for a publisher that left, until another source
	// takes its place.
	Hold time.Duration
}

// Serve takes connections from l until it is closed. settings is asked for each of
// them and each time that one ends: they may change.
func (s *Server) Serve(l net.Listener, settings func() Settings) {
	for pause := time.Duration(0); ; {
		conn, err := l.Accept()
		switch {
		case errors.Is(err, net.ErrClosed), s.ctx.Err() != nil:
			return
		case err != nil:
			// Out of file descriptors, say: others may give some back.
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			s.options.Logger.Warn("accepting a publisher", zap.Error(err), zap.Duration("backoff", pause))
			select {
			case <-time.After(pause):
			case <-s.ctx.Done():
				return
			}
			continue
		}
		pause = 0
		s.running.Go(func() { s.serve(conn, settings) })
	}
}

// Close ends all publishers and waits for them. Listeners are closed by who opened them.
func (s *Server) Close() {
	s.cancel()
	s.running.Wait()
}

// serve is one connection's life.
func (s *Server) serve(raw net.Conn, settings func() Settings) {
	stop := context.AfterFunc(s.ctx, func() { _ = raw.Close() })
	defer stop()
	defer func() { _ = raw.Close() }()
	address := remote(raw)
	leave, ok := s.door.enter(address)
	if !ok {
		s.count(Crowded)
		return
	}
	defer leave()
	if err := raw.SetDeadline(time.Now().Add(greetingTime)); err != nil {
		return
	}
	conn := newMetered(raw)
	var rw io.ReadWriter = conn
	if config := settings().TLS; config != nil {
		rw = tls.Server(conn, config)
	}
	log := s.options.Logger.With(zap.Stringer("client_ip", address))
	watch := newChunkWatch(rw)
	key, peer, err := greet(struct {
		io.Reader
		io.Writer
	}{watch, rw})
	if err != nil {
		// What the library says may hold the stream key.
		log.Debug("connection did not become a publisher")
		s.count(Unfit)
		return
	}
	grant, err := s.options.Authorize(key, address)
	if err != nil {
		log.Info("publisher refused", zap.Error(err))
		s.count(Refused)
		refuse(peer, raw)
		return
	}
	leave()
	watch.limit = publishedMessages
	log = log.With(zap.String("stream_id", grant.Stream))
	s.publish(&attempt{grant: grant, address: address.String(), conn: conn, peer: peer, settings: settings, log: log})
}

// attempt is an authorized connection.
type attempt struct {
	grant    Grant
	address  string
	conn     *metered
	peer     *gortmplib.ServerConn
	settings func() Settings
	log      *zap.Logger
}

// publish takes the connection's media, if the stream is free.
func (s *Server) publish(a *attempt) {
	leave, outcome := s.desk.claim(a, time.Now())
	if outcome != Accepted {
		a.log.Info("publisher refused", zap.String("reason", string(outcome)))
		s.count(outcome)
		refuse(a.peer, a.conn.Conn)
		return
	}
	defer leave()
	a.conn.limit.Store(0)
	if err := a.conn.SetDeadline(time.Now().Add(analysisTime)); err != nil {
		return
	}
	m, err := open(a.peer)
	if err != nil {
		a.log.Warn("what a publisher sends cannot be used", zap.Error(err))
		s.count(Undecoded)
		return
	}
	if err := a.conn.SetDeadline(time.Time{}); err != nil {
		return
	}
	a.conn.idle.Store(true)
	p := &publication{
		grant: a.grant, address: a.address, since: time.Now(), media: m, tracks: append([]track(nil), m.tracks...),
		conn: a.conn, settings: a.settings, done: make(chan struct{}),
	}
	s.desk.put(p)
	s.count(Accepted)
	a.log.Info("publisher is there", zap.Strings("codecs", p.codecs()))
	s.arrived(a.grant.Stream)
	err = p.live()
	close(p.done)
	s.desk.drop(p, time.Now())
	s.arrived(a.grant.Stream)
	a.log.Info("publisher has left", zap.Duration("duration", time.Since(p.since)), zap.Error(err))
}

func (s *Server) count(o Outcome) {
	if s.options.Count != nil {
		s.options.Count(o)
	}
}

func (s *Server) arrived(stream string) {
	if s.options.Arrived != nil {
		s.options.Arrived(stream)
	}
}

// greet shakes hands and gives the stream key of who wants to publish.
func greet(rw io.ReadWriter) (key string, peer *gortmplib.ServerConn, err error) {
	peer = &gortmplib.ServerConn{RW: rw}
	err = guarded(func() error {
		if err := peer.Initialize(); err != nil {
			return err
		}
		return peer.Accept()
	})
	if err != nil {
		return "", nil, err
	}
	if !peer.Publish {
		return "", nil, errors.New("it wants to play")
	}
	path, ok := strings.CutPrefix(peer.URL.Path, "/"+Application+"/")
	if !ok {
		return "", nil, errors.New("it publishes to another application")
	}
	if peer.URL.RawQuery != "" {
		path += "?" + peer.URL.RawQuery
	}
	return path, peer, nil
}

// refuse tells the encoder so. The library has answered "publish" already when it
// hands out the key.
func refuse(peer *gortmplib.ServerConn, raw net.Conn) {
	err := peer.Write(&message.CommandAMF0{
		ChunkStreamID: 5, MessageStreamID: 0x1000000, Name: "onStatus",
		Arguments: []any{nil, amf0.Object{
			{Key: "level", Value: "error"},
			{Key: "code", Value: "NetStream.Publish.BadName"},
			{Key: "description", Value: "the stream key is not accepted, or the stream is being published"},
		}},
	})
	if err != nil {
		return
	}
	// What comes in unread would make the system drop the answer with the connection.
	if half, ok := raw.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
		_ = raw.SetDeadline(time.Now().Add(time.Second))
		_, _ = io.CopyN(io.Discard, raw, greetingBytes)
	}
}

// remote is the peer's address; invalid where it has none.
func remote(c net.Conn) netip.Addr {
	a, err := netip.ParseAddrPort(c.RemoteAddr().String())
	if err != nil {
		return netip.Addr{}
	}
	return a.Addr().Unmap().WithZone("")
}

// Feed is the media of a stream's publisher; nil while there is none.
func (s *Server) Feed(stream string) source.Feed {
	if p := s.desk.publication(stream); p != nil {
		return p
	}
	return nil
}
