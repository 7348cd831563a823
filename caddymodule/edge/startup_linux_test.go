package edge

import (
	"bufio"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestUnchangedMappings(t *testing.T) {
	const smaps = `00400000-00402000 r--p 00000000 fe:00 1 /usr/bin/edge
Rss:                   8 kB
Anonymous:             0 kB
VmFlags: rd mr mw me
00402000-01d34000 r-xp 00002000 fe:00 1 /usr/bin/edge
Anonymous:             0 kB
03e86000-03e87000 r--p 03a85000 fe:00 1 /usr/bin/edge
Anonymous:             4 kB
03e87000-04073000 rw-p 03a86000 fe:00 1 /usr/bin/edge
Anonymous:             0 kB
7f0000000000-7f0000001000 r--p 00000000 fe:00 2 /usr/bin/edge (deleted)
Anonymous:             0 kB
7f0000002000-7f0000003000 r-xp 00000000 fe:00 2 /usr/lib/libc.so.6
Anonymous:             0 kB
7f0000004000-7f0000005000 rw-p 00000000 00:00 0
Anonymous:             0 kB
7f0000006000-7f0000007000 r-xs 00000000 fe:00 1 /usr/bin/edge
Anonymous:             0 kB
`
	got, err := unchangedMappings(bufio.NewScanner(strings.NewReader(smaps)), "/usr/bin/edge")
	if err != nil {
		t.Fatal(err)
	}
	want := []mapping{{0x400000, 0x402000}, {0x402000, 0x1d34000}}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(mapping{})); diff != "" {
		t.Errorf("mappings (-want +got):\n%s", diff)
	}
}

// TestForgetStartUp lives on without the pages that it gave back.
func TestForgetStartUp(t *testing.T) {
	if err := forgetStartUp(); err != nil {
		t.Fatal(err)
	}
	if err := forgetStartUp(); err != nil {
		t.Error(err)
	}
}
