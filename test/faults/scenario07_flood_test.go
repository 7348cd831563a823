package faults

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/headrace/headrace/test/edge"
)

// flooding writes a line of 10 MB without an end, then 100 MB/s of short lines for
// 5 s, to stderr, and says how long its slowest write took.
const flooding = `exec perl -MTime::HiRes=time,sleep -e '
my ($slowest, $sent, $line) = (0, 0, ("[warning] packet corrupt (stream = 0, dts = 123456789)\n") x 600);
sub out { my $began = time; syswrite(STDERR, $_[0]) == length $_[0] or die; my $took = time - $began; $slowest = $took if $took > $slowest; $sent += length $_[0] }
out("x" x 65536) for 1..160;
my $from = time; $sent = 0;
my $text = "[warning] packet corrupt (stream = 0, dts = 123456789)\n" x 600;
while (time - $from < 5) { out($text); my $ahead = $sent / 1e8 - (time - $from); sleep($ahead) if $ahead > 0 }
printf STDERR "\nflooded %d MB/s slowest %d ms\n", $sent / 1e6 / (time - $from), $slowest * 1000;
exit 3'`

// TestScenario07StderrFlood checks that a child that floods its stderr, with a line of
// 10 MB in it, costs the edge less than 8 MiB, is never held up for more than 100 ms,
// and disturbs nobody.
func TestScenario07StderrFlood(t *testing.T) {
	const flood = "s07-flood"
	c := edge.Config{FFmpeg: unruly(t, flood, flooding)}
	n, ns, calm := beside(t, c, "")
	grown := growth(t, n)
	spoil(t, n, ns, c, flood)

	slowest := figures{name: "slowest write of a flood"}
	var rates []int
	heard := ""
	edge.Await(t, time.Minute, "three floods", func() bool {
		status := n.Stream(flood)
		if len(status.Log) == 0 {
			return false
		}
		last := status.Log[len(status.Log)-1]
		if at := last.Time.String(); strings.HasPrefix(last.Text, "flooded") && at != heard {
			heard = at
			var rate, took int
			if _, err := fmt.Sscanf(last.Text, "flooded %d MB/s slowest %d ms", &rate, &took); err != nil {
				t.Fatalf("%q: %v", last.Text, err)
			}
			rates = append(rates, rate)
			slowest.add(time.Duration(took) * time.Millisecond)
		}
		return len(rates) >= 3
	})
	more := grown()
	beat := ns.end("jitter beside a flood")
	t.Logf("figures: %v MB/s; %v; edge RSS +%d KiB; %v; %v", rates, &slowest, more>>10, calm, beat)
	slowest.judge(t, 0.5, 100*time.Millisecond) // the worst one may be the machine's
	beat.judgeBeside(t, calm, 0.99, jitterBudget)
	if more > 8<<20 {
		t.Errorf("the edge took %d bytes more, want at most 8 MiB", more)
	}
	for _, l := range n.Stream(flood).Log {
		if len(l.Text) > 2<<10 {
			t.Errorf("a line of %d bytes was kept, want it cut at 2 KiB", len(l.Text))
		}
	}
}
