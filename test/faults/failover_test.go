package faults

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/headrace/headrace/ingest"
	"github.com/headrace/headrace/test/edge"
	"github.com/headrace/headrace/test/origin"
)

// onAir is the budget for a backup after its source's failure (issue 3, Shown by 4).
const onAir = 5 * time.Second

// TestSourceFailover checks the order of sources: cut, and gone silent, the primary
// makes way for the backup within the budget; one fault consumes one source; the way
// back takes the configured time of health, and no hole (issue 3, Shown by 4).
func TestSourceFailover(t *testing.T) {
	const returnAfter = 6 * time.Second
	for name, fault := range map[string]func(*origin.Feed){
		"cut":    (*origin.Feed).Stop,
		"silent": (*origin.Feed).Hang,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStudio(t)
			id := "failover-" + name
			primary := s.feed(id+"-1", origin.Recipe{}, origin.Options{})
			backup := s.feed(id+"-2", origin.Recipe{Height: 240}, origin.Options{})
			third := s.feed(id+"-3", origin.Recipe{}, origin.Options{})
			streams := []edge.Stream{edge.Copy(id, s.URL(primary), s.URL(backup), s.URL(third)).With("slate", fmt.Sprintf("return_after %v", returnAfter))}
			n := edge.Start(t, edge.Config{Streams: streams})
			n.AwaitLive(30 * time.Second)
			watch := startAudit(t, n, id)
			sights := observe(t, n, streams)
			awaitDelivered(t, sights, 2)

			watch.expect(id, "primary "+name, 8*time.Second)
			failed := time.Now()
			before := sights[0].Last()
			fault(primary)
			seen, err := sights[0].Beyond(30*time.Second, before.Discontinuity)
			if err != nil {
				t.Fatal(err)
			}
			over := seen.At.Sub(failed)
			awaitDelivered(t, sights, 3)
			if st := n.Stream(id); st.SourceIndex != 1 || st.State != ingest.StateLive {
				t.Errorf("got source %d in state %s, want the backup", st.SourceIndex, st.State)
			}
			if third.Served() != 0 {
				t.Error("one fault consumed two sources: the third was asked")
			}

			primary.Heal()
			healed := time.Now()
			edge.Await(t, time.Minute, "the primary beside the backup", func() bool { return n.Stream(id).Standby != "" && primary.Clients() > 0 })
			beside := time.Now()
			edge.Await(t, time.Minute, "the primary back on the air", func() bool { return n.Stream(id).SourceIndex == 0 })
			back, proven := time.Since(healed), time.Since(beside)
			awaitDelivered(t, sights, 2)
			t.Logf("figures: primary %s → backup on air after %v; primary healed → on air after %v, %v of them beside the backup",
				name, over.Round(time.Millisecond), back.Round(time.Millisecond), proven.Round(time.Millisecond))
			if over > onAir {
				t.Errorf("the backup was on the air after %v, want %v", over, onAir)
			}
			if proven < returnAfter {
				t.Errorf("the primary took over after %v, want it to have delivered for %v", proven, returnAfter)
			}
			if got := n.Stream(id).Restarts[ingest.ReasonPreferred]; got != 1 {
				t.Errorf("got %d returns, want 1", got)
			}
			noServerErrors(t, sights)
			watch.finish() // the way back costs no hole: none was declared
		})
	}
}

// TestSlate checks that viewers see a card, not an error, while nothing delivers.
func TestSlate(t *testing.T) {
	s := newStudio(t)
	only := s.feed("slated", origin.Recipe{}, origin.Options{})
	streams := []edge.Stream{edge.Copy("slated", s.URL(only)).With("slate")}
	n := edge.Start(t, edge.Config{Streams: streams})
	n.AwaitLive(30 * time.Second)
	watch := startAudit(t, n, "slated")
	sights := observe(t, n, streams)
	awaitDelivered(t, sights, 2)
	watch.expect("slated", "the only source stops", 8*time.Second)
	stopped, before := time.Now(), sights[0].Last()
	only.Stop()
	seen, err := sights[0].Beyond(30*time.Second, before.Discontinuity)
	if err != nil {
		t.Fatal(err)
	}
	awaitDelivered(t, sights, 3)
	codecs, decoded := probe(t, n.URL("slated"), 4)
	if st := n.Stream("slated"); st.Source != "slate:" || codecs != "h264 aac" || decoded < 3.5 {
		t.Errorf("got source %s, %s, %.1f s of 4 decoded", st.Source, codecs, decoded)
	}
	only.Heal()
	healed := time.Now()
	edge.Await(t, time.Minute, "the source back on the air", func() bool { return n.Stream("slated").SourceIndex == 0 })
	t.Logf("figures: slate on air after %v, source back after %v", seen.At.Sub(stopped).Round(time.Millisecond), time.Since(healed).Round(time.Millisecond))
	if over := seen.At.Sub(stopped); over > onAir {
		t.Errorf("the slate was on the air after %v, want %v", over, onAir)
	}
	awaitDelivered(t, sights, 2)
	noServerErrors(t, sights)
	watch.finish()
}

// TestSlateOfAFile checks that a picture and a film are slates as well.
func TestSlateOfAFile(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	picture, film := filepath.Join(folder, "card.png"), filepath.Join(folder, "card.mp4")
	for path, args := range map[string][]string{
		picture: {"-f", "lavfi", "-i", "testsrc=size=500x333", "-frames:v", "1"},
		film: {
			"-f", "lavfi", "-i", "testsrc=size=320x180:rate=25", "-f", "lavfi", "-i", "sine=sample_rate=48000", "-t", "6",
			"-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "25", "-c:a", "aac",
		},
	} {
		if out, err := exec.CommandContext(t.Context(), "ffmpeg", append(append([]string{"-nostdin", "-v", "error"}, args...), path)...).CombinedOutput(); err != nil {
			t.Fatalf("making %s: %v\n%s", path, err, out)
		}
	}
	streams := []edge.Stream{edge.Copy("picture", "push:").With("slate file:" + picture), edge.Copy("film", "push:").With("slate file:" + film)}
	n := startPushed(t, streams)
	n.AwaitLive(30 * time.Second)
	for _, s := range streams {
		if codecs, decoded := probe(t, n.URL(s.ID), 3); codecs != "h264 aac" || decoded < 2.5 {
			t.Errorf("%s: got %s, %.1f s of 3", s.ID, codecs, decoded)
		}
	}
}

// TestPushWithBackupAndSlate checks that a publisher takes over from a backup without a
// hole, and that after it has left the backup follows within its time.
func TestPushWithBackupAndSlate(t *testing.T) {
	const hold = 3 * time.Second
	s := newStudio(t)
	backup := s.feed("p-backup", origin.Recipe{Height: 240}, origin.Options{})
	streams := []edge.Stream{edge.Copy("both", "push:", s.URL(backup)).With("slate", "return_after 4s")}
	n := startPushed(t, streams, fmt.Sprintf("hold %v", hold))
	n.AwaitLive(30 * time.Second)
	if st := n.Stream("both"); st.SourceIndex != 1 {
		t.Fatalf("got source %d without a publisher, want the backup", st.SourceIndex)
	}
	watch := startAudit(t, n.Node, "both")
	sights := observe(t, n.Node, streams)
	awaitDelivered(t, sights, 2)

	arrived := time.Now()
	publisher := ffmpegPublishes(t, recording(t), n.own("both"))
	edge.Await(t, time.Minute, "the publisher on the air", func() bool { return n.Stream("both").SourceIndex == 0 })
	taken := time.Since(arrived)
	awaitDelivered(t, sights, 3)

	watch.expect("both", "publisher leaves", hold+8*time.Second)
	left, before := time.Now(), sights[0].Last()
	publisher.kill()
	seen, err := sights[0].Beyond(30*time.Second, before.Discontinuity)
	if err != nil {
		t.Fatal(err)
	}
	over := seen.At.Sub(left)
	if st := n.Stream("both"); st.SourceIndex != 1 {
		t.Errorf("got source %d after the publisher has left, want the backup", st.SourceIndex)
	}
	t.Logf("figures: publisher on air %v after its start; backup on air %v after it left, hold %v", taken.Round(time.Millisecond), over.Round(time.Millisecond), hold)
	if over < hold || over > hold+onAir {
		t.Errorf("the backup was on the air after %v, want %v of hold and at most %v", over, hold, onAir)
	}
	awaitDelivered(t, sights, 2)
	noServerErrors(t, sights)
	watch.finish()
}
