package main

import (
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

func TestName(t *testing.T) {
	if caddy.CustomBinaryName != "edge" {
		t.Errorf("got the program's name %q, want edge", caddy.CustomBinaryName)
	}
	if _, full := caddy.Version(); !strings.HasPrefix(full, "edge ") || !strings.Contains(full, ", caddy v") {
		t.Errorf("got version %q, want ours and Caddy's", full)
	}
}

// The modules that a Caddyfile of ours needs, and Caddy's own beside them.
func TestModules(t *testing.T) {
	for _, id := range []string{
		"edge", "admin.api.edge", "http.matchers.stream_token", "http.handlers.hls", "http.handlers.edge_status",
		"http.handlers.file_server", "http.handlers.metrics", "tls.issuance.acme",
	} {
		if _, err := caddy.GetModule(id); err != nil {
			t.Error(err)
		}
	}
}
