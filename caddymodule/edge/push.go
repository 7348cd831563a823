package edge

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/headrace/headrace/controlapi/token"
	"github.com/headrace/headrace/ingest/rtmp"
	"github.com/headrace/headrace/ingest/source"
)

// listenerSpec is one "rtmp" option, made ready.
type listenerSpec struct {
	address  caddy.NetworkAddress
	settings rtmp.Settings
}

// listener is an open port for encoders. It outlives configurations that name it.
type listener struct {
	net.Listener
	settings atomic.Pointer[rtmp.Settings]
	serving  bool
}

// pushHost is the part of the Host that encoders push to. Its methods are called
// with the Host's lock held.
type pushHost struct {
	server    *rtmp.Server
	listeners map[string]*listener
	running   sync.WaitGroup
}

func (p *pushHost) open(o rtmp.Options) {
	p.server, p.listeners = rtmp.NewServer(o), make(map[string]*listener)
}

// listen opens the ports that are not open yet. undo closes these again.
func (p *pushHost) listen(specs []listenerSpec) (undo func(), err error) {
	var opened []string
	undo = func() {
		for _, address := range opened {
			_ = p.listeners[address].Close()
			delete(p.listeners, address)
		}
	}
	for _, spec := range specs {
		address := spec.address.String()
		if p.listeners[address] != nil {
			continue
		}
		l, err := spec.address.Listen(context.Background(), 0, net.ListenConfig{})
		if err != nil {
			undo()
			return nil, fmt.Errorf("listening for rtmp on %s: %w", address, err)
		}
		stream, ok := l.(net.Listener)
		if !ok {
			undo()
			return nil, fmt.Errorf("listening for rtmp on %s: encoders connect by tcp; name a tcp address", address)
		}
		p.listeners[address] = &listener{Listener: stream}
		opened = append(opened, address)
	}
	return undo, nil
}

// use puts settings in force: ports that were just opened take connections, those
// that are not named any more are closed. Who publishes goes on.
func (p *pushHost) use(specs []listenerSpec) {
	named := make(map[string]bool, len(specs))
	for _, spec := range specs {
		address := spec.address.String()
		named[address] = true
		l := p.listeners[address]
		l.settings.Store(&spec.settings)
		if !l.serving {
			l.serving = true
			p.running.Go(func() { p.server.Serve(l, func() rtmp.Settings { return *l.settings.Load() }) })
		}
	}
	for address, l := range p.listeners {
		if !named[address] {
			_ = l.Close()
			delete(p.listeners, address)
		}
	}
}

// close ends all publishers.
func (p *pushHost) close() {
	if p.server == nil {
		return
	}
	p.use(nil)
	p.server.Close()
	p.running.Wait()
	p.server = nil
}

// Publishers is how many streams are pushed to this edge.
func (h *Host) Publishers() int {
	if s := h.publishers.Load(); s != nil {
		return s.Publishers()
	}
	return 0
}

// Publisher is who pushes a stream; nil: nobody.
func (h *Host) Publisher(stream string) *rtmp.Publisher {
	if s := h.publishers.Load(); s != nil {
		return s.Publisher(stream)
	}
	return nil
}

var errUnready = errors.New("no configuration is in force")

// refusal is why a publisher is not let in. It holds nothing of the stream key.
type refusal struct{ reason token.Reason }

func (r refusal) Error() string { return "token refused: " + r.reason.String() }

// errNotPushed is for good tokens whose stream takes no publisher.
var errNotPushed = errors.New("the stream has no source push: on this edge; add one")

// authorize decides about an encoder's stream key.
func (h *Host) authorize(key string, client netip.Addr) (rtmp.Grant, error) {
	stream, tok, ok := splitKey(key)
	if !ok {
		h.counters.Token(token.Malformed)
		return rtmp.Grant{}, refusal{token.Malformed}
	}
	// What a connection keeps must not hold on to what it sent.
	stream, tok = strings.Clone(stream), strings.Clone(tok)
	claims, err := h.publishes(stream, tok, client, token.Playlist, time.Now())
	if err != nil {
		return rtmp.Grant{}, err
	}
	return rtmp.Grant{
		Stream: stream, Owner: claims.Reseller + "/" + claims.User, Max: claims.Max, Session: claims.Session,
		Renew: func(now time.Time) bool {
			_, err := h.publishes(stream, tok, client, token.Segment, now)
			return err == nil
		},
	}, nil
}

// publishes tells whether a token allows to publish a stream now: as a lasting
// connection, to begin with until its expiry, then until grace has passed as well.
func (h *Host) publishes(stream, tok string, client netip.Addr, kind token.Kind, now time.Time) (token.Claims, error) {
	g := h.inForce.Load()
	if g == nil {
		return token.Claims{}, errUnready
	}
	claims, reason := g.verifier.Verify(tok, token.Request{
		Stream: stream, Operation: token.Publish, Kind: kind, Client: client, Now: now.Unix(),
	})
	if kind == token.Playlist {
		h.counters.Token(reason)
	}
	if reason != token.Accepted {
		return token.Claims{}, refusal{reason}
	}
	if !g.pushed[stream] {
		return token.Claims{}, errNotPushed
	}
	return claims, nil
}

// splitKey reads a stream key: "<stream>?token=<token>", or a token of one stream.
func splitKey(key string) (stream, tok string, ok bool) {
	stream, query, found := strings.Cut(key, "?")
	if !found {
		claims, ok := token.Parse(key)
		if !ok || claims.Scope != token.OneStream {
			return "", "", false
		}
		return claims.ID, key, true
	}
	values, err := url.ParseQuery(query)
	if err != nil || len(values["token"]) != 1 {
		return "", "", false
	}
	return stream, values.Get("token"), true
}

// pushedStreams are the ids of those that an encoder may push.
func (g *generation) pushedStreams() map[string]bool {
	pushed := make(map[string]bool)
	for _, spec := range g.specs {
		for _, src := range spec.Sources {
			pushed[spec.ID] = pushed[spec.ID] || src.Kind() == source.Push
		}
	}
	return pushed
}

// pushOptions are what the listener is told of this edge.
func (h *Host) pushOptions(log *zap.Logger) rtmp.Options {
	return rtmp.Options{
		Authorize: h.authorize,
		Arrived: func(stream string) {
			if e := h.engine.Load(); e != nil {
				e.Arrived(stream)
			}
		},
		Count:  h.counters.Push,
		Logger: log.Named("rtmp"),
	}
}
