package main

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestProxies(t *testing.T) {
	p, err := parseProxies([]string{"10.0.0.0/8", "2001:db8::1"})
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		peer    string
		headers []string
		want    string
	}{
		"no proxy":         {"192.0.2.1:5", []string{"203.0.113.9"}, "192.0.2.1:5"},
		"proxy":            {"10.1.2.3:5", []string{"203.0.113.9"}, "203.0.113.9:0"},
		"proxy by IPv6":    {"[2001:db8::1]:5", []string{"203.0.113.9"}, "203.0.113.9:0"},
		"mapped":           {"[::ffff:10.1.2.3]:5", []string{"::ffff:203.0.113.9"}, "203.0.113.9:0"},
		"two proxies":      {"10.1.2.3:5", []string{"203.0.113.9, 10.9.9.9"}, "203.0.113.9:0"},
		"two headers":      {"10.1.2.3:5", []string{"203.0.113.9", "10.9.9.9"}, "203.0.113.9:0"},
		"forged before it": {"10.1.2.3:5", []string{"127.0.0.1, 203.0.113.9"}, "203.0.113.9:0"},
		"proxies alone":    {"10.1.2.3:5", []string{"10.9.9.9"}, "10.1.2.3:5"},
		"no address":       {"10.1.2.3:5", []string{"unknown"}, "10.1.2.3:5"},
		"nothing":          {"10.1.2.3:5", nil, "10.1.2.3:5"},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
			r.RemoteAddr = tt.peer
			r.Header["X-Forwarded-For"] = tt.headers
			p.resolve(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				if r.RemoteAddr != tt.want {
					t.Errorf("got %s, want %s", r.RemoteAddr, tt.want)
				}
			})).ServeHTTP(httptest.NewRecorder(), r)
		})
	}
}
