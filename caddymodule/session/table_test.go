package session

import (
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/headrace/headrace/controlapi/token"
)

const ttl = 12 * time.Second

var (
	home  = netip.MustParseAddr("203.0.113.9")
	phone = netip.MustParseAddr("2001:db8::9")
)

// request is one step of a story: who asks after how long, and what happens.
type request struct {
	after  time.Duration
	claims token.Claims
	client netip.Addr
	stream string
	want   bool
}

func TestTable(t *testing.T) {
	ann := token.Claims{Reseller: "r1", User: "ann"}
	annOne := token.Claims{Reseller: "r1", User: "ann", Max: 1}
	annTwo := token.Claims{Reseller: "r1", User: "ann", Max: 2}
	withClaim := func(c token.Claims, session string) token.Claims { c.Session = session; return c }

	cases := []struct {
		name   string
		limit  int
		story  []request
		open   int
		viewer map[string]int
	}{
		{
			name: "one address is one session",
			story: []request{
				{0, annOne, home, "news", true},
				{1, annOne, home, "news", true},
			},
			open: 1, viewer: map[string]int{"news": 1},
		},
		{
			name: "another address is another session",
			story: []request{
				{0, annTwo, home, "news", true},
				{0, annTwo, phone, "news", true},
			},
			open: 2, viewer: map[string]int{"news": 2},
		},
		{
			name: "the limit counts all of the user's sessions",
			story: []request{
				{0, annOne, home, "news", true},
				{0, annOne, phone, "sport", false},
				{0, annTwo, phone, "sport", true},
				{0, annOne, home, "news", true}, // open already
			},
			open: 2, viewer: map[string]int{"news": 1, "sport": 1},
		},
		{
			name: "the session claim goes before the address",
			story: []request{
				{0, withClaim(annOne, "j1"), home, "news", true},
				{0, withClaim(annOne, "j1"), phone, "news", true},
				{0, withClaim(annOne, "j2"), home, "news", false},
			},
			open: 1, viewer: map[string]int{"news": 1},
		},
		{
			name: "an address in IPv6 clothes is the same, and so is one with a zone",
			story: []request{
				{0, annTwo, home, "news", true},
				{0, annTwo, netip.MustParseAddr("::ffff:203.0.113.9"), "news", true},
				{0, annTwo, netip.MustParseAddr("fe80::1%eth0"), "news", true},
				{0, annTwo, netip.MustParseAddr("fe80::1%eth1"), "news", true},
			},
			open: 2, viewer: map[string]int{"news": 2},
		},
		{
			name: "users and resellers are counted apart",
			story: []request{
				{0, annOne, home, "news", true},
				{0, token.Claims{Reseller: "r1", User: "bob", Max: 1}, home, "news", true},
				{0, token.Claims{Reseller: "r2", User: "ann", Max: 1}, home, "news", true},
			},
			open: 3, viewer: map[string]int{"news": 3},
		},
		{
			name: "a session ends after its time and makes room",
			story: []request{
				{0, annOne, home, "news", true},
				{ttl, annOne, phone, "news", false},
				{1, annOne, phone, "news", true},
				{0, annOne, home, "news", false},
			},
			open: 1, viewer: map[string]int{"news": 1},
		},
		{
			name: "each request renews it",
			story: []request{
				{0, annOne, home, "news", true},
				{ttl, annOne, home, "news", true},
				{ttl, annOne, home, "news", true},
				{ttl, annOne, phone, "news", false},
			},
			open: 1, viewer: map[string]int{"news": 1},
		},
		{
			name: "an ended session comes back",
			story: []request{
				{0, annOne, home, "news", true},
				{ttl + 1, annOne, home, "news", true},
			},
			open: 1, viewer: map[string]int{"news": 1},
		},
		{
			name: "a session is at the stream that it asked for last",
			story: []request{
				{0, ann, home, "news", true},
				{0, ann, home, "sport", true},
			},
			open: 1, viewer: map[string]int{"news": 0, "sport": 1},
		},
		{
			name: "short tokens name nobody",
			story: []request{
				{0, token.Claims{Short: true, Reseller: "r1"}, home, "news", true},
				{0, token.Claims{Short: true, Reseller: "r1"}, phone, "news", true},
				{0, token.Claims{Short: true, Reseller: "r1"}, phone, "news", true},
			},
			open: 2, viewer: map[string]int{"news": 2},
		},
		{
			name:  "beyond three quarters who has no limit is let in uncounted",
			limit: 4,
			story: []request{
				{0, withClaim(ann, "1"), home, "news", true},
				{0, withClaim(ann, "2"), home, "news", true},
				{0, withClaim(ann, "3"), home, "news", true},
				{0, withClaim(ann, "4"), home, "news", true},
				{0, withClaim(ann, "5"), home, "news", true},
			},
			open: 3, viewer: map[string]int{"news": 3},
		},
		{
			name:  "the last quarter is for those with a limit, who are then refused",
			limit: 4,
			story: []request{
				{0, withClaim(ann, "1"), home, "news", true},
				{0, withClaim(ann, "2"), home, "news", true},
				{0, withClaim(ann, "3"), home, "news", true},
				{0, token.Claims{Reseller: "r1", User: "bob", Max: 9}, home, "news", true},
				{0, token.Claims{Reseller: "r1", User: "eve", Max: 9}, home, "news", false},
				{0, token.Claims{Reseller: "r1", User: "bob", Max: 9}, home, "news", true},
			},
			open: 4, viewer: map[string]int{"news": 4},
		},
		{
			name:  "a full table empties",
			limit: 1,
			story: []request{
				{0, annOne, home, "news", true},
				{0, token.Claims{Reseller: "r1", User: "bob", Max: 9}, home, "news", false},
				{ttl + 1, annOne, home, "news", true},
			},
			open: 1, viewer: map[string]int{"news": 1},
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				table := NewTable(c.limit)
				for i, r := range c.story {
					time.Sleep(r.after)
					if got := table.Touch(&r.claims, r.client, r.stream, time.Now(), ttl); got != r.want {
						t.Errorf("request %d: allowed %v, want %v", i, got, r.want)
					}
				}
				if got := table.Len(); got != c.open {
					t.Errorf("%d sessions, want %d", got, c.open)
				}
				for stream, want := range c.viewer {
					if got := table.Viewers(stream); got != want {
						t.Errorf("%d viewers of %s, want %d", got, stream, want)
					}
				}
			})
		})
	}
}

func TestTableWithoutRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := NewTable(0)
		for i := range 5000 {
			c := token.Claims{Reseller: "r1", User: fmt.Sprint(i % 7), Session: fmt.Sprint(i)}
			table.Touch(&c, home, "news", time.Now(), ttl)
		}
		if got := table.Len(); got != 5000 {
			t.Fatalf("%d sessions, want 5000", got)
		}
		time.Sleep(ttl + 1)
		if got := table.Len(); got != 0 {
			t.Errorf("%d sessions after their time, want 0", got)
		}
		if got := table.Viewers("news"); got != 0 {
			t.Errorf("%d viewers after their time, want 0", got)
		}
		for i := range table.shards {
			sh := &table.shards[i]
			if len(sh.sessions)+len(sh.users)+len(sh.audiences)+len(sh.queue) > 0 {
				t.Errorf("shard %d still holds something", i)
			}
		}
	})
}

// A table that many fill and leave is emptied by the few who come after them.
func TestTableIsSweptByOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := NewTable(10_000)
		for i := range 10_000 {
			c := token.Claims{Reseller: "r1", User: fmt.Sprint(i), Max: 1}
			table.Touch(&c, home, "news", time.Now(), ttl)
		}
		time.Sleep(ttl + 1)
		for i := range 1000 {
			c := token.Claims{Reseller: "r2", User: fmt.Sprint(i), Max: 1}
			table.Touch(&c, home, "news", time.Now(), ttl)
		}
		if got := table.open.Load(); got > 1200 {
			t.Errorf("%d sessions held, want about the 1000 that are open", got)
		}
	})
}

// TestTableAgainstModel compares with the plainest table that there is.
func TestTableAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		table := NewTable(0)
		now := table.epoch
		type seat struct {
			ends   time.Time
			stream string
		}
		model := make(map[user]map[key]seat)
		for range rapid.IntRange(1, 60).Draw(t, "requests") {
			now = now.Add(time.Duration(rapid.IntRange(0, 8).Draw(t, "after")) * time.Second)
			c := token.Claims{
				Reseller: rapid.SampledFrom([]string{"r1", "r2"}).Draw(t, "reseller"),
				User:     rapid.SampledFrom([]string{"", "ann", "bob"}).Draw(t, "user"),
				Session:  rapid.SampledFrom([]string{"", "j1", "j2"}).Draw(t, "session"),
			}
			if c.User != "" {
				c.Max = rapid.IntRange(0, 3).Draw(t, "max")
			}
			client := rapid.SampledFrom([]netip.Addr{home, phone, {}}).Draw(t, "client")
			stream := rapid.SampledFrom([]string{"news", "sport"}).Draw(t, "stream")
			life := time.Duration(rapid.IntRange(6, 18).Draw(t, "life")) * time.Second

			k := keyOf(&c, client)
			seats := model[k.user]
			if seats == nil {
				seats = make(map[key]seat)
				model[k.user] = seats
			}
			others := 0
			for other, s := range seats {
				if other != k && !now.After(s.ends) {
					others++
				}
			}
			old, open := seats[k]
			open = open && !now.After(old.ends)
			want := open || c.WithinMax(others)
			if want {
				ends := now.Add(life)
				if open && old.ends.After(ends) {
					ends = old.ends
				}
				seats[k] = seat{ends, stream}
			}
			if got := table.Touch(&c, client, stream, now, life); got != want {
				t.Fatalf("allowed %v, want %v", got, want)
			}
		}
		at := now.Sub(table.epoch)
		open, viewers := 0, make(map[string]int)
		for _, seats := range model {
			for _, s := range seats {
				if !now.After(s.ends) {
					open++
					viewers[s.stream]++
				}
			}
		}
		for i := range table.shards {
			table.sweep(&table.shards[i], at, stepsPerCount)
		}
		if got := int(table.open.Load()); got != open {
			t.Fatalf("%d sessions, want %d", got, open)
		}
		for _, stream := range []string{"news", "sport"} {
			if got := table.Viewers(stream); got != viewers[stream] {
				t.Fatalf("%d viewers of %s, want %d", got, stream, viewers[stream])
			}
		}
	})
}

func TestTableConcurrently(t *testing.T) {
	const workers, users, most = 8, 20, 3
	table := NewTable(0)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := range 2000 {
				c := token.Claims{Reseller: "r1", User: fmt.Sprint(i % users), Session: fmt.Sprint((w*2000 + i*7) % 11), Max: most}
				table.Touch(&c, home, fmt.Sprint(i%3), time.Now(), time.Hour)
				if i%500 == 0 {
					table.Viewers("1")
					table.Len()
				}
			}
		})
	}
	wg.Wait()
	if got := table.Len(); got != users*most {
		t.Errorf("%d sessions, want %d", got, users*most)
	}
}

func TestTouchAllocations(t *testing.T) {
	cases := []struct {
		name   string
		claims token.Claims
		client netip.Addr
	}{
		{"by address", token.Claims{Reseller: "r1", User: "ann"}, home},
		{"by an address in IPv6 clothes", token.Claims{Reseller: "r1", User: "ann"}, netip.MustParseAddr("::ffff:203.0.113.9")},
		{"by the session claim", token.Claims{Reseller: "r1", User: "ann", Session: "j1", Max: 2}, home},
		{"short", token.Claims{Short: true, Reseller: "r1"}, phone},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			table := NewTable(0)
			now := time.Now()
			table.Touch(&c.claims, c.client, "news", now, ttl)
			if got := testing.AllocsPerRun(1000, func() {
				now = now.Add(time.Millisecond)
				table.Touch(&c.claims, c.client, "news", now, ttl)
			}); got != 0 {
				t.Errorf("%v allocations for an open session, want 0", got)
			}
			other := token.Claims{Reseller: c.claims.Reseller, User: c.claims.User, Session: "j9", Max: 1}
			if c.claims.User == "" {
				return
			}
			if got := testing.AllocsPerRun(1000, func() {
				table.Touch(&other, c.client, "news", now, ttl)
			}); got != 0 {
				t.Errorf("%v allocations for a refused session, want 0", got)
			}
		})
	}
}

func BenchmarkTouch(b *testing.B) {
	table := NewTable(0)
	claims := make([]token.Claims, 10_000)
	for i := range claims {
		claims[i] = token.Claims{Reseller: "r1", User: fmt.Sprint(i), Max: 2}
		table.Touch(&claims[i], home, "news", time.Now(), ttl)
	}
	b.Run("renew", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for i := 0; pb.Next(); i++ {
				table.Touch(&claims[i%len(claims)], home, "news", time.Now(), ttl)
			}
		})
	})
	b.Run("open", func(b *testing.B) {
		b.ReportAllocs()
		table := NewTable(b.N)
		now := time.Now()
		c := token.Claims{Reseller: "r1", User: "ann", Max: 999}
		for i := range b.N {
			c.User = claims[i%len(claims)].User
			client := netip.AddrFrom4([4]byte{byte(i >> 24), byte(i >> 16), byte(i >> 8), byte(i)})
			now = now.Add(time.Millisecond)
			table.Touch(&c, client, "news", now, ttl)
		}
	})
}
