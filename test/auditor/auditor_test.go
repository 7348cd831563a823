package auditor

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/headrace/headrace/ingest/playlist"
)

const streamURL = "http://edge.example/live/TOKEN/news/index.m3u8"

// audit watches an origin for a while of a bubble's time.
func audit(t *testing.T, o *origin, length time.Duration, during func(*Auditor)) Report {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), length)
	defer cancel()
	a := New(streamURL, Options{Client: &http.Client{Transport: o}, FetchSegments: true})
	if during != nil {
		go during(a)
	}
	if err := a.Run(ctx); err != nil {
		t.Fatal(err)
	}
	return a.Report()
}

// rules are the distinct rules of a report's violations.
func rules(r Report) []Rule {
	got := []Rule{}
	for _, v := range r.Violations {
		if !slices.Contains(got, v.Rule) {
			got = append(got, v.Rule)
		}
	}
	slices.Sort(got)
	return got
}

func TestAuditorFindsNothingInACorrectHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := audit(t, newOrigin(), 110*time.Second, nil)
		if len(r.Violations) > 0 || len(r.Holes) > 0 || len(r.NonOK) > 0 || r.Errors > 0 || r.Late > 0 {
			t.Errorf("got %v", r)
		}
		// 3 at the start, 10 before the hole, 43 after it; twice each.
		if want := 2 * (3 + 10 + 43); r.Segments < want-4 || r.Segments > want+4 {
			t.Errorf("got %d segments, want about %d", r.Segments, want)
		}
		// Nearly all are fetched when listed and again; those long removed three times.
		if r.Fetches < 2*r.Segments || r.Fetches > 3*r.Segments {
			t.Errorf("got %d fetches of %d segments", r.Fetches, r.Segments)
		}
	})
}

// Every rule, broken once. A case names what the origin does wrong and all rules
// that this breaks: a wrong history often breaks more than one.
func TestAuditorFinds(t *testing.T) {
	// From when on an origin does wrong; before that a correct past is learnt.
	const from = 36 * time.Second
	// By then the discontinuity of the correct past has left the list.
	const settled = 50 * time.Second
	after := func(now time.Duration) bool { return now >= from }
	tests := []struct {
		name string
		make func(o *origin)
		want []Rule
	}{
		{"text that is no playlist", func(o *origin) {
			o.text = func(r string, now time.Duration, b []byte) []byte {
				if after(now) && now < from+time.Second {
					return []byte("<html>")
				}
				return b
			}
		}, []Rule{RuleSyntax}},
		{"an end in a live list", func(o *origin) {
			o.text = func(r string, now time.Duration, b []byte) []byte { return append(b, "#EXT-X-ENDLIST\n"...) }
		}, []Rule{RuleLive}},
		{"a type in a live list", func(o *origin) {
			o.text = func(r string, now time.Duration, b []byte) []byte {
				return bytes.Replace(b, []byte("#EXTM3U\n"), []byte("#EXTM3U\n#EXT-X-PLAYLIST-TYPE:EVENT\n"), 1)
			}
		}, []Rule{RuleLive}},
		{"target duration changes", func(o *origin) {
			o.list = func(r string, now time.Duration, m *playlist.Media) {
				if after(now) {
					m.TargetDuration = 5
				}
			}
		}, []Rule{RuleRenditions, RuleTargetDuration}},
		{"a segment above the target duration", func(o *origin) {
			o.retain += 4 // enough for its longer lists
			o.script = o.script[:20]
			s := &o.script[19]
			s.Duration = 4500 * time.Millisecond
			s.at += 2500 * time.Millisecond
			o.run(s.at, 120*time.Second, s.msn+1, s.discontinuity)
			o.script[20].Discontinuity = false
		}, []Rule{RuleTargetDuration}},
		{"media sequence goes back", func(o *origin) {
			o.list = func(r string, now time.Duration, m *playlist.Media) {
				if after(now) {
					m.MediaSequence -= 500
				}
			}
		}, []Rule{RuleMediaSequence, RuleRetention, RuleUnavailable}},
		{"the list's end goes back", func(o *origin) {
			o.list = func(r string, now time.Duration, m *playlist.Media) {
				if now >= from+time.Second && now < from+2*time.Second {
					m.Segments = m.Segments[:7]
				}
			}
		}, []Rule{RuleMediaSequence}},
		{"numbers are skipped", func(o *origin) {
			for i := 24; i < len(o.script); i++ {
				o.script[i].msn += 100
				o.script[i].generation = 1
			}
			o.list = func(r string, now time.Duration, m *playlist.Media) {
				if len(m.Segments) < 6 && after(now) {
					m.TargetDuration = target
				}
			}
		}, []Rule{RuleMediaSequence, RuleRetention, RuleWindow}},
		{"a segment removed without counting", func(o *origin) {
			o.list = func(r string, now time.Duration, m *playlist.Media) {
				if now >= settled {
					m.Segments = slices.Delete(m.Segments, 0, 1)
				}
			}
			name(o)
		}, []Rule{RuleBytes, RuleMediaSequence, RuleName, RuleRenditions, RuleRewritten}},
		{"discontinuity sequence goes back", func(o *origin) {
			o.list = func(r string, now time.Duration, m *playlist.Media) {
				if after(now) {
					m.DiscontinuitySequence = 0
				}
			}
		}, []Rule{RuleDiscontinuitySequence}},
		{"discontinuity sequence moves late", func(o *origin) {
			o.list = func(r string, now time.Duration, m *playlist.Media) {
				if now < settled && m.DiscontinuitySequence == 1 {
					m.DiscontinuitySequence = 0
				}
			}
		}, []Rule{RuleDiscontinuitySequence}},
		{"a rewritten length", func(o *origin) {
			o.list = func(r string, now time.Duration, m *playlist.Media) {
				if after(now) && now < from+time.Second {
					m.Segments[2].Duration += 10 * time.Millisecond
				}
			}
		}, []Rule{RuleRewritten}},
		{"a rewritten date", func(o *origin) {
			o.list = func(r string, now time.Duration, m *playlist.Media) {
				if after(now) && now < from+time.Second {
					m.Segments[2].ProgramDateTime = m.Segments[2].ProgramDateTime.Add(time.Millisecond)
				}
			}
		}, []Rule{RuleRewritten}},
		{"a discontinuity taken back", func(o *origin) {
			o.list = func(r string, now time.Duration, m *playlist.Media) {
				if now > 32*time.Second {
					for i := range m.Segments {
						m.Segments[i].Discontinuity = false
					}
				}
			}
		}, []Rule{RuleDiscontinuitySequence, RuleRewritten}},
		{"a segment that becomes a gap", func(o *origin) {
			o.list = func(r string, now time.Duration, m *playlist.Media) {
				if after(now) && now < from+time.Second {
					m.Segments[2].Gap = true
				}
			}
		}, []Rule{RuleRewritten}},
		{"names that are no numbers", func(o *origin) {
			o.list = func(r string, now time.Duration, m *playlist.Media) {
				for i := range m.Segments {
					m.Segments[i].URI = fmt.Sprintf("../%s/%d.ts", r, m.MediaSequence+int64(i))
				}
			}
		}, []Rule{RuleName}},
		{"a window that shrinks", func(o *origin) {
			o.list = func(r string, now time.Duration, m *playlist.Media) {
				if now >= settled {
					m.Segments = m.Segments[3:]
					m.MediaSequence += 3
				}
			}
		}, []Rule{RuleWindow}},
		{"an undeclared hole", func(o *origin) {
			o.script = o.script[:24]
			o.run(o.last().at+6*time.Second, 120*time.Second, o.last().msn+1, o.last().discontinuity+1)
		}, []Rule{RuleCadence}},
		{"a stream that stops for good", func(o *origin) { o.script = o.script[:30] }, []Rule{RuleCadence}},
		{"a date missing", func(o *origin) {
			o.script[24].ProgramDateTime = time.Time{}
		}, []Rule{RuleDateTime}},
		{"dates that leave a hole without saying so", func(o *origin) { shift(o, 100*time.Millisecond) }, []Rule{RuleDateTime}},
		{"dates that overlap", func(o *origin) { shift(o, -100*time.Millisecond) }, []Rule{RuleDateTime}},
		{"dates that overlap after a discontinuity", func(o *origin) {
			o.script = o.script[:24]
			o.run(o.last().at, 120*time.Second, o.last().msn+1, o.last().discontinuity+1)
			shift(o, -time.Second)
		}, []Rule{RuleDateTime}},
		{"renditions with other dates", func(o *origin) {
			o.list = func(r string, now time.Duration, m *playlist.Media) {
				for i := range m.Segments {
					if r == "low" {
						m.Segments[i].ProgramDateTime = m.Segments[i].ProgramDateTime.Add(80 * time.Millisecond)
					}
				}
			}
		}, []Rule{RuleRenditions}},
		{"renditions with other discontinuity numbers", func(o *origin) {
			o.list = func(r string, now time.Duration, m *playlist.Media) {
				if r == "low" {
					m.DiscontinuitySequence++
				}
			}
		}, []Rule{RuleRenditions}},
		{"renditions with another target duration", func(o *origin) {
			o.list = func(r string, now time.Duration, m *playlist.Media) {
				if r == "low" {
					m.TargetDuration = 5
				}
			}
		}, []Rule{RuleRenditions}},
		{"a rendition that vanishes", func(o *origin) {
			o.reply = func(kind string, r *http.Request, w *httptest.ResponseRecorder) {
				if kind == "multivariant" && after(time.Since(o.start)) {
					w.Body.Reset()
					w.Body.WriteString("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nhigh/index.m3u8\n")
				}
			}
		}, []Rule{RuleRenditions}},
		{"a listed segment that is not there", refuse("segment", "/low/1024.ts", http.StatusNotFound), []Rule{RuleRetention, RuleUnavailable}},
		{"a playlist refused", refuseAt("media", from, http.StatusForbidden), []Rule{RuleUnavailable}},
		{"a playlist that fails", refuseAt("media", from, http.StatusServiceUnavailable), []Rule{RuleServerError, RuleUnavailable}},
		{"a multivariant that fails", refuseAt("multivariant", from, http.StatusBadGateway), []Rule{RuleServerError, RuleUnavailable}},
		{"a connection lost", func(o *origin) {
			o.down = func(now time.Duration) bool { return after(now) && now < from+time.Second }
		}, []Rule{RuleUnavailable}},
		{"a segment that comes slower than it plays", func(o *origin) {
			o.delay = func(path string) time.Duration {
				if strings.HasSuffix(path, "/low/1024.ts") {
					return 2500 * time.Millisecond
				}
				return 0
			}
		}, []Rule{RuleUnavailable}},
		{"a wrong type", header("segment", "Content-Type", "application/octet-stream"), []Rule{RuleContent}},
		{"no length", header("segment", "Content-Length", ""), []Rule{RuleContent}},
		{"no PAT", func(o *origin) {
			o.body = func(r string, msn int64, now time.Duration, b []byte) []byte {
				b[2] = 1
				return b
			}
		}, []Rule{RuleContent}},
		{"half a packet", func(o *origin) {
			o.body = func(r string, msn int64, now time.Duration, b []byte) []byte { return b[:188+94] }
		}, []Rule{RuleContent}},
		{"an empty segment", func(o *origin) {
			o.body = func(r string, msn int64, now time.Duration, b []byte) []byte { return nil }
		}, []Rule{RuleContent}},
		{"other bytes later", func(o *origin) {
			o.body = func(r string, msn int64, now time.Duration, b []byte) []byte {
				if after(now) {
					b[300]++
				}
				return b
			}
		}, []Rule{RuleBytes}},
		{"segments forgotten when they leave the list", func(o *origin) { o.retain = 0 }, []Rule{RuleRetention}},
		{"segments forgotten a little too early", func(o *origin) { o.retain = window }, []Rule{RuleRetention}},
		{"a playlist of a wrong type", header("media", "Content-Type", "text/plain"), []Rule{RuleHeaders}},
		{"a playlist that is cached too long", header("media", "Cache-Control", "max-age=10"), []Rule{RuleHeaders}},
		{"a playlist without ETag", header("media", "ETag", ""), []Rule{RuleHeaders}},
		{"an ETag without quotes", header("media", "ETag", "x"), []Rule{RuleConditional, RuleHeaders}},
		{"an old Last-Modified", func(o *origin) {
			o.reply = func(kind string, r *http.Request, w *httptest.ResponseRecorder) {
				w.Header().Set("Date", time.Now().UTC().Format(http.TimeFormat))
				w.Header().Set("Last-Modified", time.Now().Add(-time.Minute).UTC().Format(http.TimeFormat))
			}
		}, []Rule{RuleHeaders}},
		{"a multivariant that is cached too long", header("multivariant", "Cache-Control", "max-age=3600"), []Rule{RuleHeaders}},
		{"a multivariant of a wrong type", header("multivariant", "Content-Type", "text/plain"), []Rule{RuleHeaders}},
		{"segments that are not kept", header("segment", "Cache-Control", "no-cache"), []Rule{RuleHeaders}},
		{"segments without ranges", header("segment", "Accept-Ranges", ""), []Rule{RuleHeaders}},
		{"segments compressed", header("segment", "Content-Encoding", "br"), []Rule{RuleHeaders}},
		{"no CORS on segments", header("segment", "Access-Control-Allow-Origin", ""), []Rule{RuleHeaders}},
		{"CORS with credentials", header("media", "Access-Control-Allow-Credentials", "true"), []Rule{RuleHeaders}},
		{"an exposed header missing", header("media", "Access-Control-Expose-Headers", "Date"), []Rule{RuleHeaders}},
		{"no timing", header("media", "Timing-Allow-Origin", ""), []Rule{RuleHeaders}},
		{"no Vary", header("media", "Vary", ""), []Rule{RuleHeaders}},
		{"an error that may be cached", func(o *origin) {
			refuse("segment", "/low/1024.ts", http.StatusNotFound)(o)
			inner := o.reply
			o.reply = func(kind string, r *http.Request, w *httptest.ResponseRecorder) {
				inner(kind, r, w)
				if w.Code == http.StatusNotFound {
					w.Header().Del("Cache-Control")
				}
			}
		}, []Rule{RuleHeaders, RuleRetention, RuleUnavailable}},
		{"If-None-Match ignored", func(o *origin) {
			o.reply = func(kind string, r *http.Request, w *httptest.ResponseRecorder) {
				if w.Code == http.StatusNotModified {
					w.Code = http.StatusOK
				}
			}
		}, []Rule{RuleConditional}},
		{"304 without ETag", func(o *origin) {
			o.reply = func(kind string, r *http.Request, w *httptest.ResponseRecorder) {
				if w.Code == http.StatusNotModified {
					w.Header().Del("ETag")
				}
			}
		}, []Rule{RuleConditional}},
		{"an ETag for ever", header("media", "ETag", `"1"`), []Rule{RuleConditional}},
		{"no gzip", func(o *origin) {
			o.text = func(r string, now time.Duration, b []byte) []byte {
				return append(b, strings.Repeat("# long\n", 150)...)
			}
			o.reply = func(kind string, r *http.Request, w *httptest.ResponseRecorder) {
				if kind == "media" && r.Header.Get("If-None-Match") == "" {
					r.Header.Set("Accept-Encoding", "identity")
					w.Body.Reset()
					w.Header().Del("Content-Encoding")
					o.servePlaylist(w, r, strings.Split(r.URL.Path, "/")[4], time.Since(o.start))
				}
			}
		}, []Rule{RuleGzip}},
		{"gzip that is behind", func(o *origin) {
			o.reply = func(kind string, r *http.Request, w *httptest.ResponseRecorder) {
				if w.Header().Get("Content-Encoding") == "gzip" && after(time.Since(o.start)) {
					w.Body.Reset()
					o.servePlaylist(w, r, strings.Split(r.URL.Path, "/")[4], time.Since(o.start)-5*time.Second)
				}
			}
		}, []Rule{RuleGzip}},
		{"gzip that is broken", func(o *origin) {
			o.reply = func(kind string, r *http.Request, w *httptest.ResponseRecorder) {
				if w.Header().Get("Content-Encoding") == "gzip" {
					w.Body.Truncate(w.Body.Len() / 2)
				}
			}
		}, []Rule{RuleGzip}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := newOrigin()
				tt.make(o)
				r := audit(t, o, 66*time.Second, nil)
				if diff := cmp.Diff(tt.want, rules(r)); diff != "" {
					t.Errorf("rules (-want +got):\n%s\n%v", diff, r)
				}
				if strings.Contains(r.String(), "TOKEN") {
					t.Errorf("the report shows the token: %v", r)
				}
			})
		})
	}
}

// name makes an origin write the names that segments had in its script.
func name(o *origin) {
	for i := range o.script {
		o.script[i].URI = fmt.Sprintf("%d.ts", o.script[i].msn)
	}
}

// shift moves the dates of all segments after the hole's, without a discontinuity.
func shift(o *origin, by time.Duration) {
	for i := 24; i < len(o.script); i++ {
		o.script[i].ProgramDateTime = o.script[i].ProgramDateTime.Add(by)
	}
}

// header makes an origin send another value, or none, in all answers of a kind.
func header(kind, name, value string) func(*origin) {
	return func(o *origin) {
		o.reply = func(k string, r *http.Request, w *httptest.ResponseRecorder) {
			switch {
			case k != kind:
			case value == "":
				w.Header().Del(name)
			default:
				w.Header().Set(name, value)
			}
		}
	}
}

// refuse makes an origin answer with a status whatever ends in a suffix.
func refuse(kind, suffix string, status int) func(*origin) {
	return func(o *origin) {
		o.reply = func(k string, r *http.Request, w *httptest.ResponseRecorder) {
			if k == kind && strings.HasSuffix(r.URL.Path, suffix) {
				w.Body.Reset()
				fail(w, status)
				w.Code = status
			}
		}
	}
}

// refuseAt makes an origin answer with a status for some time.
func refuseAt(kind string, from time.Duration, status int) func(*origin) {
	return func(o *origin) {
		o.reply = func(k string, r *http.Request, w *httptest.ResponseRecorder) {
			now := time.Since(o.start)
			if k == kind && now >= from && (kind == "multivariant" || now < from+time.Second) {
				w.Body.Reset()
				fail(w, status)
				w.Code = status
			}
		}
	}
}

func TestAuditorJudgesAHoleByItsFault(t *testing.T) {
	tests := []struct {
		name      string
		hole      time.Duration
		budget    time.Duration
		wantRules []Rule
		wantHoles int
	}{
		{"within its budget", 6 * time.Second, 9 * time.Second, []Rule{}, 2},
		{"short, still recorded", time.Second, 9 * time.Second, []Rule{}, 2},
		{"above its budget", 12 * time.Second, 9 * time.Second, []Rule{RuleCadence}, 2},
		{"open at the end", time.Hour, 9 * time.Second, []Rule{RuleCadence}, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := newOrigin()
				o.script = o.script[:24]
				fault := o.last().at + 500*time.Millisecond
				o.run(o.last().at+tt.hole, 120*time.Second, o.last().msn+1, o.last().discontinuity+1)
				r := audit(t, o, 100*time.Second, func(a *Auditor) {
					time.Sleep(fault)
					a.Expect("ffmpeg killed", tt.budget)
				})
				if diff := cmp.Diff(tt.wantRules, rules(r)); diff != "" {
					t.Errorf("rules (-want +got):\n%s\n%v", diff, r)
				}
				if len(r.Holes) != tt.wantHoles {
					t.Fatalf("got %d holes, want %d: %v", len(r.Holes), tt.wantHoles, r)
				}
				for _, h := range r.Holes {
					if h.Fault != "ffmpeg killed" || h.Budget != tt.budget || h.Open != (tt.hole == time.Hour) {
						t.Errorf("got the hole %v", h)
					}
					want := tt.hole + segmentLength // the first segment after it must be made
					if off := h.Length - want; !h.Open && off.Abs() > time.Second {
						t.Errorf("got a hole of %v, want %v", h.Length, want)
					}
					if off := h.SinceFault - (want - 500*time.Millisecond); !h.Open && off.Abs() > time.Second {
						t.Errorf("got %v after the fault, want %v", h.SinceFault, want-500*time.Millisecond)
					}
				}
			})
		})
	}
}

func TestAuditorExpectColdRestart(t *testing.T) {
	// died is when the process dies, back when it serves again.
	const died, back = 40 * time.Second, 43500 * time.Millisecond
	restarted := func(msn, discontinuity int64) *origin {
		o := newOrigin()
		o.script = slices.DeleteFunc(o.script, func(s scripted) bool { return s.at > died })
		old := len(o.script)
		o.run(back-2*segmentLength, 120*time.Second, msn, discontinuity)
		for i := range o.script[old:] {
			o.script[old+i].generation = 1
			o.script[old+i].at += segmentLength // its first list has what it made so far
		}
		o.down = func(now time.Duration) bool { return now >= died && now < back }
		return o
	}
	tests := []struct {
		name     string
		origin   func() *origin
		declared bool
		want     []Rule
	}{
		{"declared, numbers above", func() *origin { return restarted(5000, 2) }, true, []Rule{}},
		{
			"not declared", func() *origin { return restarted(5000, 2) }, false,
			[]Rule{RuleMediaSequence, RuleRetention, RuleUnavailable, RuleWindow},
		},
		{"numbers below", func() *origin { return restarted(500, 2) }, true, []Rule{RuleRestart}},
		{"numbers used again", func() *origin { return restarted(1020, 2) }, true, []Rule{RuleRenditions, RuleRestart}},
		{"discontinuity number used again", func() *origin { return restarted(5000, 1) }, true, []Rule{RuleRestart}},
		{"status 503 until it is back", func() *origin {
			o := restarted(5000, 2)
			down := o.down
			o.down = nil
			o.reply = func(kind string, r *http.Request, w *httptest.ResponseRecorder) {
				if down(time.Since(o.start)) {
					w.Body.Reset()
					fail(w, http.StatusServiceUnavailable)
					w.Code = http.StatusServiceUnavailable
				}
			}
			return o
		}, true, []Rule{}},
		{"back with the window of a peer", func() *origin {
			o := newOrigin()
			o.down = func(now time.Duration) bool { return now >= died && now < back }
			return o
		}, true, []Rule{}},
		{"excused only until it is back", func() *origin {
			o := restarted(5000, 2)
			down := o.down
			o.down = func(now time.Duration) bool { return down(now) || now > 60*time.Second && now < 61*time.Second }
			return o
		}, true, []Rule{RuleUnavailable}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := audit(t, tt.origin(), 100*time.Second, func(a *Auditor) {
					time.Sleep(died - time.Millisecond)
					if tt.declared {
						a.ExpectColdRestart()
						a.Expect("edge killed", 9*time.Second)
					}
				})
				if diff := cmp.Diff(tt.want, rules(r)); diff != "" {
					t.Errorf("rules (-want +got):\n%s\n%v", diff, r)
				}
			})
		})
	}
}

func TestAuditorGap(t *testing.T) {
	gap := func() *origin {
		o := newOrigin()
		o.script[24].Gap = true
		return o
	}
	noStore := func(o *origin) {
		o.reply = func(kind string, r *http.Request, w *httptest.ResponseRecorder) {
			if strings.HasSuffix(r.URL.Path, fmt.Sprintf("/%d.ts", firstMSN+24)) {
				w.Header().Set("Cache-Control", "no-store")
			}
		}
	}
	t.Run("answered as it should be", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			o := gap()
			noStore(o)
			if r := audit(t, o, 66*time.Second, nil); len(r.Violations) > 0 {
				t.Errorf("got %v", r)
			}
		})
	})
	t.Run("answer that may be kept", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := audit(t, gap(), 100*time.Second, nil)
			if diff := cmp.Diff([]Rule{RuleHeaders}, rules(r)); diff != "" {
				t.Errorf("rules (-want +got):\n%s\n%v", diff, r)
			}
		})
	})
}

func TestAuditorRunNeedsAStream(t *testing.T) {
	tests := []struct {
		name  string
		reply func(string, *http.Request, *httptest.ResponseRecorder)
	}{
		{"refused", func(_ string, _ *http.Request, w *httptest.ResponseRecorder) { w.Code = http.StatusForbidden }},
		{"no playlist", func(_ string, _ *http.Request, w *httptest.ResponseRecorder) { w.Body.Reset() }},
		{"no variants", func(_ string, _ *http.Request, w *httptest.ResponseRecorder) {
			w.Body.Reset()
			w.Body.WriteString("#EXTM3U\n")
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := newOrigin()
			o.reply = tt.reply
			err := New(streamURL, Options{Client: &http.Client{Transport: o}}).Run(t.Context())
			if err == nil || strings.Contains(err.Error(), "TOKEN") {
				t.Errorf("got %v, want an error without the token", err)
			}
		})
	}
	t.Run("not there", func(t *testing.T) {
		server := httptest.NewServer(nil)
		server.Close()
		err := New(server.URL+"/live/TOKEN/news/index.m3u8", Options{}).Run(t.Context())
		if err == nil || strings.Contains(err.Error(), "TOKEN") {
			t.Errorf("got %v, want an error without the token", err)
		}
	})
}

// Over real sockets, with the client that callers will use.
func TestAuditorOverHTTP(t *testing.T) {
	defer goleak.VerifyNone(t)
	o := newOrigin()
	o.start = o.start.Add(-40 * time.Second) // a window's worth of past
	for i := range o.script {
		o.script[i].ProgramDateTime = o.script[i].ProgramDateTime.Add(-40 * time.Second)
	}
	server := httptest.NewServer(o)
	defer server.Close()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	a := New(server.URL+"/live/TOKEN/news/index.m3u8", Options{
		Client: &http.Client{Transport: transport}, Interval: 20 * time.Millisecond, FetchSegments: true, Logger: t.Logf,
	})
	if err := a.Run(ctx); err != nil {
		t.Fatal(err)
	}
	r := a.Report()
	if len(r.Violations) > 0 || r.Lists < 50 || r.Segments < 2*(window+1) || r.Fetches < r.Segments {
		t.Errorf("got %v", r)
	}
}
