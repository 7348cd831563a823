// Package deploy checks what ships for operators: the systemd units.
package deploy

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// units are the folder of the units, and the program that each starts.
const units = "../../deploy/systemd"

var programs = map[string]string{
	"headrace-edge.service":       "/usr/local/bin/edge",
	"headrace-controlapi.service": "/usr/local/bin/controlapi",
}

func readUnit(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(units, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestUnitsAreSound has systemd check each unit, with another program in the place of
// ours: systemd wants it to be installed.
func TestUnitsAreSound(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("no systemd-analyze here")
	}
	shipped, err := filepath.Glob(filepath.Join(units, "*.service"))
	if err != nil || len(shipped) != len(programs) {
		t.Fatalf("got the units %v (%v), want %d", shipped, err, len(programs))
	}
	for name, program := range programs {
		t.Run(name, func(t *testing.T) { verify(t, analyze, name, program) })
	}
}

func verify(t *testing.T, analyze, name, program string) {
	t.Helper()
	installed := filepath.Join(t.TempDir(), name)
	text := readUnit(t, name)
	if !strings.Contains(text, "ExecStart="+program+" ") {
		t.Errorf("it does not start %s", program)
	}
	if err := os.WriteFile(installed, []byte(strings.ReplaceAll(text, program, "/bin/true")), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(analyze, "verify", installed).CombinedOutput()
	if err != nil {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
	for line := range strings.Lines(string(out)) {
		// Older versions leave out what they do not know, which the edge makes up for.
		if strings.Contains(line, "Unknown key 'DelegateSubgroup'") && version(t, analyze) < 254 {
			continue
		}
		t.Errorf("systemd-analyze verify: %s", line)
	}
}

func version(t *testing.T, analyze string) (v int) {
	t.Helper()
	out, err := exec.Command(analyze, "--version").Output()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscanf(string(out), "systemd %d", &v); err != nil {
		t.Fatalf("%q: %v", out, err)
	}
	return v
}

// TestUnitLetsTheEdgeConfine checks what the edge cannot do without, and that nothing
// of systemd's own hardening is in its way.
func TestUnitLetsTheEdgeConfine(t *testing.T) {
	settings := make(map[string]string)
	for line := range strings.Lines(readUnit(t, "headrace-edge.service")) {
		if key, value, found := strings.Cut(strings.TrimSpace(line), "="); found && !strings.HasPrefix(key, "#") {
			settings[key] = value
		}
	}
	for key, want := range map[string]string{
		"Type": "notify", "User": "headrace", "Delegate": "cpu memory pids", "DelegateSubgroup": "edge", "KillMode": "mixed",
		"OOMPolicy": "continue", "TimeoutStopSec": "20", "Restart": "always", "RestartSec": "1", "NoNewPrivileges": "yes", "LimitCORE": "0",
		"ProtectControlGroups": "", "PrivateUsers": "", "ProtectProc": "", "RestrictNamespaces": "", "PrivateDevices": "", "DynamicUser": "",
	} {
		if got := settings[key]; got != want {
			t.Errorf("%s: got %q, want %q", key, got, want)
		}
	}
	if settings["AmbientCapabilities"] != settings["CapabilityBoundingSet"] || !strings.Contains(settings["AmbientCapabilities"], "CAP_KILL") {
		t.Errorf("got capabilities %q within %q", settings["AmbientCapabilities"], settings["CapabilityBoundingSet"])
	}
}

// TestReadmeInstallsTheUnit checks that the steps of the README name what is there.
func TestReadmeInstallsTheUnit(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(readme), "\n## Run it confined\n")
	if !found {
		t.Fatal("README has no section Run it confined")
	}
	section, _, _ = strings.Cut(section, "\n## ")
	text := readUnit(t, "headrace-edge.service")
	for _, want := range []string{"deploy/systemd/headrace-edge.service", "/usr/local/bin/edge", "/etc/headrace/Caddyfile", "/etc/headrace/edge.env", "/run/headrace/admin.sock", "/var/lib/headrace"} {
		if !strings.Contains(section, want) {
			t.Errorf("Run it confined does not name %s", want)
		}
		if name := strings.TrimPrefix(want, "deploy/systemd/"); name == want && !strings.Contains(text, want) {
			t.Errorf("the unit does not name %s", want)
		}
	}
}
