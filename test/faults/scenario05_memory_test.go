package faults

import (
	"testing"
	"time"

	"github.com/headrace/headrace/ingest"
	"github.com/headrace/headrace/test/edge"
)

// TestScenario05EatsMemory checks that a child that eats memory is killed by its
// limit: within 2 s, with the reason oom, counted, and nobody else notices; the edge
// takes less than 10 MiB more.
func TestScenario05EatsMemory(t *testing.T) {
	const glutton = "s05-glutton"
	const kills = 4
	c := edge.Config{
		FFmpeg:  unruly(t, glutton, "exec perl -e 'push @all, \"x\" x 1048576 while 1'"),
		Options: []string{"limits {\n\t\t\tmemory 64MiB\n\t\t}"},
	}
	n, ns, calm := beside(t, c, "memory")
	grown := growth(t, n)
	spoil(t, n, ns, c, glutton)

	life := figures{name: "start → killed"}
	pid, since := 0, time.Now()
	edge.Await(t, time.Minute, "the child to be killed often enough", func() bool {
		now := n.Streams()[glutton]
		if now.PID != pid {
			if pid != 0 {
				life.add(time.Since(since))
			}
			pid, since = now.PID, time.Now()
		}
		return len(life.times) >= kills
	})
	status := n.Stream(glutton)
	if got := status.Restarts[ingest.ReasonOOM]; got < kills || len(status.Restarts) != 1 || status.Usage.OOMKills < kills {
		t.Errorf("got restarts %v and usage %+v, want only %q, %d times or more", status.Restarts, status.Usage, ingest.ReasonOOM, kills)
	}
	if got := n.Metrics()[`headrace_stream_oom_kills_total{stream="`+glutton+`"}`]; got < kills {
		t.Errorf("got %g kills in the metrics, want %d or more", got, kills)
	}
	beat := ns.end("jitter beside a child that eats memory")
	more := grown()
	t.Logf("figures: %v; edge RSS +%d KiB; %v; %v", &life, more>>10, calm, beat)
	life.judge(t, 1, 2*time.Second)
	beat.judgeBeside(t, calm, 0.99, jitterBudget)
	if more > 10<<20 {
		t.Errorf("the edge took %d bytes more, want at most 10 MiB", more)
	}
	for _, s := range ns.streams {
		if got := n.Stream(s.ID).Restarts; len(got) > 0 {
			t.Errorf("stream %s: got restarts %v, want none", s.ID, got)
		}
	}
}
