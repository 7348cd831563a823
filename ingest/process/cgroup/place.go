package cgroup

import (
	"bytes"
	"path"
	"slices"
	"strconv"
	"strings"
)

// mount is one hierarchy as it is mounted: all of it, or, in a container, the part below root.
type mount struct {
	root, point string
	v2          bool
	controllers []string // of version 1
}

// places are the folders of the groups that hold this process.
type places struct {
	v2 string            // "": version 2 is not mounted
	v1 map[string]string // by controller
}

// parseOwn reads /proc/self/cgroup (cgroups(7)): the group of the process by controller, and under "" that of version 2.
func parseOwn(text []byte) map[string]string {
	own := make(map[string]string)
	for line := range bytes.Lines(text) {
		fields := strings.SplitN(strings.TrimSuffix(string(line), "\n"), ":", 3)
		if len(fields) < 3 {
			continue
		}
		for controller := range strings.SplitSeq(fields[1], ",") {
			own[controller] = fields[2]
		}
	}
	return own
}

// parseMounts reads the hierarchies out of /proc/self/mountinfo (proc_pid_mountinfo(5)).
func parseMounts(text []byte) []mount {
	var mounts []mount
	for line := range bytes.Lines(text) {
		before, after, found := strings.Cut(string(line), " - ")
		place, kind := strings.Fields(before), strings.Fields(after)
		const root, point = 3, 4
		if !found || len(place) <= point || len(kind) < 3 || kind[0] != "cgroup" && kind[0] != "cgroup2" {
			continue
		}
		m := mount{root: unescape(place[root]), point: unescape(place[point]), v2: kind[0] == "cgroup2"}
		if !m.v2 {
			m.controllers = strings.Split(kind[2], ",")
		}
		mounts = append(mounts, m)
	}
	return mounts
}

// unescape undoes the kernel's octal escapes of blanks and backslashes.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+4 <= len(s) {
			if c, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(c))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// folder is where a group is to be seen in the mount, if it is.
func (m mount) folder(group string) (string, bool) {
	if strings.HasPrefix(group, "/..") { // outside of our namespace
		return "", false
	}
	rest, inside := strings.CutPrefix(group, strings.TrimSuffix(m.root, "/"))
	if !inside || rest != "" && rest[0] != '/' {
		return "", false
	}
	return path.Join(m.point, rest), true
}

// locate finds the folders of the groups that hold the process. The first mount that shows one counts.
func locate(own map[string]string, mounts []mount) places {
	at := places{v1: make(map[string]string)}
	for _, m := range mounts {
		if m.v2 {
			if group, in := own[""]; in && at.v2 == "" {
				at.v2, _ = m.folder(group)
			}
			continue
		}
		for _, controller := range []string{cpu, cpuacct, memory, pids} {
			group, in := own[controller]
			if !in || at.v1[controller] != "" || !slices.Contains(m.controllers, controller) {
				continue
			}
			if folder, visible := m.folder(group); visible {
				at.v1[controller] = folder
			}
		}
	}
	return at
}
