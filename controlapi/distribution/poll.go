package distribution

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/headrace/headrace/controlapi"
	"github.com/headrace/headrace/controlapi/snapshot"
)

// errClosing ends held polls when the instance goes: 503, and come back.
var errClosing = controlapi.Errorf(controlapi.CodeUnavailable, "this instance ends; ask again, and another one or the next one answers")

// poll is what an edge asks for.
type poll struct {
	have snapshot.Version
	wait time.Duration
}

// serveSnapshot answers with the whole snapshot as soon as it is not the one that the
// edge has, or with 304 when nothing came in time.
func (s *Service) serveSnapshot(w http.ResponseWriter, r *http.Request) {
	credential := bearer(r)
	edge, err := s.store.AuthenticateEdge(r.Context(), credential)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	p, err := parsePoll(r.URL.RawQuery)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	if err := s.takeHealth(edge.ID, p.have, r.Header.Get(snapshot.HealthHeader)); err != nil {
		s.fail(w, r, err)
		return
	}
	// The server's timeouts are for short answers; send sets a deadline of its own.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Time{})
	version, err := s.hold(r.Context(), p, credential)
	switch {
	case err != nil:
		s.fail(w, r, err)
	case version == p.have:
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(http.StatusNotModified)
	default:
		s.send(w, r, edge, version)
	}
}

// hold waits until there is another version than the edge has, and returns it; or the
// edge's own when the time is up. The edge has proved itself anew by then.
func (s *Service) hold(ctx context.Context, p poll, credential string) (snapshot.Version, error) {
	s.counts.held.Add(1)
	defer s.counts.held.Add(-1)
	timeout := time.NewTimer(jitter(p.wait))
	defer timeout.Stop()
	recheck := time.NewTicker(jitter(recheckEvery))
	defer recheck.Stop()
	for {
		now, err := s.current(ctx)
		if err == nil && p.have.Compare(now.version) > 0 {
			// Another instance may be ahead of this one.
			now, err = s.look(ctx)
		}
		if err != nil {
			return snapshot.Version{}, err
		}
		if c := p.have.Compare(now.version); c > 0 {
			return snapshot.Version{}, controlapi.Errorf(controlapi.CodeConflict,
				"the edge has version %v, and the database is at %v: it went back; run `controlapi restore` on it, which raises the epoch", p.have, now.version)
		} else if c < 0 {
			return now.version, nil
		}
		select {
		case <-s.closing:
			return snapshot.Version{}, errClosing
		case <-ctx.Done():
			return snapshot.Version{}, ctx.Err()
		case <-timeout.C:
			return p.have, nil
		case <-now.next:
		case <-recheck.C:
		}
		// Who cannot be asked for is not thrown out: the edge keeps its poll while the
		// database is gone.
		if _, err := s.store.AuthenticateEdge(ctx, credential); controlapi.CodeOf(err) == controlapi.CodeUnauthenticated {
			return snapshot.Version{}, err
		}
	}
}

// send gives the edge its group's snapshot, one of a few at a time.
func (s *Service) send(w http.ResponseWriter, r *http.Request, edge controlapi.EdgeIdentity, version snapshot.Version) {
	if err := s.takePlace(r.Context()); err != nil {
		s.fail(w, r, err)
		return
	}
	defer func() { <-s.places }()
	b, err := s.builder.get(r.Context(), edge.GroupID, version)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	coding := codingFor(strings.Join(r.Header.Values("Accept-Encoding"), ","))
	octets := b.octets[coding]
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("Vary", "Accept-Encoding")
	h.Set("ETag", strconv.Quote(strings.TrimSuffix(b.etag+"-"+coding, "-")))
	h.Set(snapshot.VersionHeader, b.version.String())
	h.Set("Content-Length", strconv.Itoa(len(octets)))
	if coding != "" {
		h.Set("Content-Encoding", coding)
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(sendTimeout))
	if _, err := w.Write(octets); err != nil {
		s.log.Warn("sending a snapshot failed", zap.String("edge_id", edge.ID), zap.Stringer("snapshot_version", b.version), zap.Error(err))
		return
	}
	s.counts.sent.Add(1)
}

func (s *Service) takePlace(ctx context.Context) error {
	timeout := time.NewTimer(placeWait)
	defer timeout.Stop()
	select {
	case s.places <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-timeout.C:
		return controlapi.Errorf(controlapi.CodeUnavailable, "%d edges are downloading; ask again", downloads)
	}
}

// codingFor is the content coding that the edge takes and that is sent, best first.
func codingFor(accepted string) string {
	for _, coding := range []string{"zstd", "gzip"} {
		for item := range strings.SplitSeq(accepted, ",") {
			name, weight, weighted := strings.Cut(strings.ReplaceAll(item, " ", ""), ";q=")
			q, err := strconv.ParseFloat(weight, 64)
			if strings.EqualFold(name, coding) && (!weighted || err == nil && q > 0) {
				return coding
			}
		}
	}
	return ""
}

// bearer is the credential of a request; empty: none, or more than one.
func bearer(r *http.Request) string {
	values := r.Header.Values("Authorization")
	if len(values) != 1 {
		return ""
	}
	scheme, credential, _ := strings.Cut(values[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return credential
}

// parsePoll reads the query. An edge that leaves have out has nothing.
func parsePoll(query string) (p poll, err error) {
	p.wait = defaultWait
	values, err := url.ParseQuery(query)
	if err != nil {
		return p, controlapi.Invalid("query", "it cannot be read; write ?have=1.42&wait=25s")
	}
	for name, list := range values {
		if len(list) != 1 {
			return p, controlapi.Invalid(name, "it is given more than once")
		}
		switch name {
		case "have":
			if p.have, err = snapshot.ParseVersion(list[0]); err != nil {
				return p, controlapi.Invalid(name, err.Error())
			}
		case "wait":
			if p.wait, err = time.ParseDuration(list[0]); err != nil || p.wait < 0 || p.wait > longestWait {
				return p, controlapi.Invalid(name, "write a duration of at most "+longestWait.String()+", as in 25s")
			}
		default:
			return p, controlapi.Invalid("query", "there are the parameters have and wait, no others")
		}
	}
	return p, nil
}

// maxHealth bounds the health that comes with a poll, in octets.
const maxHealth = 2048

// takeHealth passes on how the edge is, if it says so, and which version it has applied.
func (s *Service) takeHealth(edgeID string, applied snapshot.Version, text string) error {
	if text == "" {
		return nil
	}
	var h snapshot.Health
	if len(text) > maxHealth || json.Unmarshal([]byte(text), &h) != nil {
		return controlapi.Invalid(snapshot.HealthHeader, "it is no health report")
	}
	if err := h.Check(); err != nil {
		return controlapi.Invalid(snapshot.HealthHeader, err.Error())
	}
	s.report(edgeID, applied, h)
	return nil
}

// isGone tells whether the asker has gone, which nobody needs an answer for.
func isGone(r *http.Request, err error) bool {
	return errors.Is(err, context.Canceled) && r.Context().Err() != nil
}
