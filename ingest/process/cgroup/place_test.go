package cgroup

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

const (
	hybridOwn = "9:name=systemd:/\n8:pids:/user\n4:memory:/a/b:c\n2:cpu,cpuacct:/\n0::/user.slice\n"
	hybrid    = `30 22 0:27 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
31 30 0:28 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
34 30 0:31 / /sys/fs/cgroup/memory rw,relatime shared:7 - cgroup cgroup rw,memory
38 30 0:35 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids
40 30 0:37 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
`
)

func TestLocate(t *testing.T) {
	for _, tc := range []struct {
		name, own, mounts string
		want              places
	}{
		{
			"hybrid", hybridOwn, hybrid,
			places{"/sys/fs/cgroup/unified/user.slice", map[string]string{
				"cpu": "/sys/fs/cgroup/cpu,cpuacct", "cpuacct": "/sys/fs/cgroup/cpu,cpuacct", "memory": "/sys/fs/cgroup/memory/a/b:c", "pids": "/sys/fs/cgroup/pids/user",
			}},
		},
		{
			"version 2 alone", "0::/system.slice/edge.service/edge\n",
			"30 24 0:27 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:4 - cgroup2 cgroup2 rw,nsdelegate\n",
			places{v2: "/sys/fs/cgroup/system.slice/edge.service/edge"},
		},
		{
			"a container that sees the host's paths", "4:memory:/docker/abc\n0::/docker/abc/inner\n",
			"1 2 0:1 /docker/abc /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n1 2 0:2 /docker/abc /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n",
			places{"/sys/fs/cgroup/unified/inner", map[string]string{"memory": "/sys/fs/cgroup/memory"}},
		},
		{
			"a mount that shows another group", "4:memory:/docker/abcd\n0::/docker\n",
			"1 2 0:1 /docker/abc /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n1 2 0:2 /docker/abc /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n",
			places{},
		},
		{"outside of the namespace", "0::/../../init.scope\n", "1 2 0:2 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n", places{}},
		{"blanks in the path", "0::/\n", `1 2 0:2 / /run/my\040groups\134 rw - cgroup2 cgroup2 rw` + "\n", places{v2: `/run/my groups\`}},
		{"nothing mounted", "0::/\n", "", places{}},
		{"cut lines", "0:\n4\n", "1 2\n1 2 0:2 / /x rw - cgroup2\n", places{}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := locate(parseOwn([]byte(tc.own)), parseMounts([]byte(tc.mounts)))
			if diff := cmp.Diff(tc.want, got, cmp.AllowUnexported(places{}), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("locate (-want +got):\n%s", diff)
			}
		})
	}
}

func FuzzLocate(f *testing.F) {
	f.Add(hybridOwn, hybrid)
	f.Add("0::/\n", `1 2 0:2 /\04 /\ rw - cgroup2 cgroup2 rw`)
	f.Fuzz(func(t *testing.T, own, mounts string) {
		at := locate(parseOwn([]byte(own)), parseMounts([]byte(mounts)))
		for controller, folder := range at.v1 {
			if folder == "" {
				t.Errorf("%s is at no folder", controller)
			}
		}
	})
}

func FuzzParseTable(f *testing.F) {
	f.Add("usage_usec 12\nnr_periods 0\n")
	f.Add("oom_kill_disable 0\nunder_oom\n x 1 2\n")
	f.Fuzz(func(_ *testing.T, text string) { parseTable([]byte(text)) })
}
