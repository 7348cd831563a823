package faults

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/headrace/headrace/controlapi/token"
	"github.com/headrace/headrace/ingest"
	"github.com/headrace/headrace/ingest/ffmpeg"
	"github.com/headrace/headrace/ingest/guard"
	"github.com/headrace/headrace/ingest/source"
	"github.com/headrace/headrace/test/edge"
	"github.com/headrace/headrace/test/origin"
)

// wrong is how far a clock is off in scenario 22.
const wrong = 10 * time.Minute

// TestScenario22ClockTokens checks what a clock that is ten minutes off does to
// tokens: they get the documented leeway and no more (contracts/token.md, Clock).
// The clock is injected: Go does not heed libfaketime. The check is the one that
// the edge makes, called with the time that an edge would have read.
//
// That the last good snapshot is taken all the same is a test of the follower.
func TestScenario22ClockTokens(t *testing.T) {
	t.Parallel()
	const secret = "scenario-22-secret-0000000000000000000000"
	ref := token.KeyRef{Reseller: "r1", Kid: "k1"}
	v, err := token.NewVerifier(token.Config{
		Keys:   []token.Key{{KeyRef: ref, Secret: secret}},
		Grants: map[string]token.Grant{"r1": {Show: []string{"news"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	leeway := time.Minute
	claims := edge.Claims("news")
	minted := func(notBefore, expires time.Time) string {
		claims.NotBefore, claims.Expires = notBefore.Unix(), expires.Unix()
		tok, err := token.Mint(claims, secret)
		if err != nil {
			t.Fatal(err)
		}
		return tok
	}
	long := minted(now, now.Add(time.Hour))
	short := minted(now, now.Add(5*time.Minute))
	tests := []struct {
		name  string
		token string
		kind  token.Kind
		clock time.Time
		want  token.Reason
	}{
		{"right clock", long, token.Playlist, now, token.Accepted},
		{"ahead, a long token", long, token.Playlist, now.Add(wrong), token.Accepted},
		{"ahead, a token that has ended by that clock", short, token.Playlist, now.Add(wrong), token.Expired},
		{"ahead, its segments", short, token.Segment, now.Add(wrong), token.Expired},
		{"behind, a token of now", long, token.Playlist, now.Add(-wrong), token.NotYetValid},
		{"behind by the leeway", long, token.Playlist, now.Add(-leeway), token.Accepted},
		{"behind by a second more", long, token.Playlist, now.Add(-leeway - time.Second), token.NotYetValid},
		{"behind, a token without lower bound", minted(time.Unix(0, 0), now.Add(time.Hour)), token.Playlist, now.Add(-wrong), token.Accepted},
		{"ended, segments within the grace", short, token.Segment, now.Add(5*time.Minute + leeway), token.Accepted},
		{"ended, playlists have none", short, token.Playlist, now.Add(5*time.Minute + time.Second), token.Expired},
		{"ended, segments a second after the grace", short, token.Segment, now.Add(5*time.Minute + leeway + time.Second), token.Expired},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, got := v.Verify(tt.token, token.Request{
				Stream: "news", Kind: tt.kind, Client: netip.MustParseAddr("203.0.113.9"), Now: tt.clock.Unix(),
			})
			if got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

// TestScenario22ClockNumbers checks that numbers never go back over a restart,
// whatever the clock did meanwhile (design.md, Numbering: the state folder
// remembers the highest ones). The engine reads the machine's clock; a first life
// under a clock that is ten minutes ahead is made by telling it the numbers that
// such a clock would have given, so that for the second life the clock is ten
// minutes behind. A clock that jumps within a life is without effect by
// construction: a warm packager counts on and does not ask the clock.
func TestScenario22ClockNumbers(t *testing.T) {
	t.Parallel()
	s := newStudio(t)
	f := s.feed("s22", origin.Recipe{GOP: time.Second}, origin.Options{})
	src, err := source.Parse(s.URL(f))
	if err != nil {
		t.Fatal(err)
	}
	const segment = 2 * time.Second
	state := t.TempDir()
	live := func(clock time.Duration) (first int64) {
		t.Helper()
		e, err := ingest.New(ingest.Options{StateDir: state})
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		e.SetPolicy(guard.Policy{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
		spec := ingest.StreamSpec{
			ID: "s22", Sources: []source.Source{src}, Renditions: []ffmpeg.Rendition{{Name: "source", Copy: true}},
			SegmentDuration: segment, LongestGOP: segment, Window: 8,
		}
		if clock > 0 {
			spec.MinMSN = time.Now().Add(clock).UnixNano() / int64(segment)
		}
		if err := e.Apply([]ingest.StreamSpec{spec}); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		v, err := e.Lookup("s22").Wait(ctx, 0)
		if err != nil {
			t.Fatal(err)
		}
		return v.LastMSN()
	}

	right := live(0)
	ahead := live(wrong)
	behind := live(0)
	if want := right + int64(wrong/segment); ahead < want {
		t.Errorf("under a clock that is ahead: got number %d, want at least %d", ahead, want)
	}
	if behind <= ahead || behind > ahead+3 {
		t.Errorf("after the clock went back: got number %d, want the one after %d", behind, ahead)
	}
	t.Logf("figures: numbers %d, %d with the clock 10 min ahead, %d with it set back", right, ahead, behind)
}
