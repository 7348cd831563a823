package main

import (
	"context"
	"crypto/md5" // what nginx's secure_link checks
	"crypto/rand"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// serving is one server on one task.
type serving struct {
	Task   string    `json:"task"`
	Server string    `json:"server"`
	Micros float64   `json:"cpu_us_per_request"` // median of the rounds
	Rounds []float64 `json:"rounds"`
	// Ratio is the edge's CPU time over this server's, as the median of the ratios
	// of each round: rounds stand side by side in time.
	Ratio float64 `json:"edge_ratio"`
}

// task is what is asked of each server.
type task struct {
	name     string
	secure   bool
	segment  bool
	requests int
}

var tasks = []task{
	{name: "playlist", requests: 12_000},
	{name: "segment", segment: true, requests: 1_500},
	{name: "segment over TLS", segment: true, secure: true, requests: 800},
}

// stand is everything that the comparison needs, running.
type stand struct {
	dir                string
	edge, nginx, caddy *server
	copying            *server           // nginx again, without sendfile
	plain, tls         map[string]string // server → address
	playlist, segment  string            // the edge's paths
	sizes              [2]int            // of playlist and segment
	key                string
}

func (r *results) sideBySide(ctx context.Context, edge string) error {
	fmt.Println("\nServing side by side: CPU µs per request, server on one core, load on the other")
	dir, err := os.MkdirTemp("", "headrace-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	s, err := raise(ctx, dir, edge)
	if err != nil {
		return err
	}
	defer s.stop()
	if s.nginx != nil {
		r.Nginx = nginxVersion()
	} else {
		r.Skipped = append(r.Skipped, "nginx is not installed: no comparison with secure_link")
		fmt.Println("  nginx is not installed; its column is left out")
	}
	if err := pin(0, 1); err != nil {
		r.Skipped = append(r.Skipped, err.Error())
	}
	for _, t := range tasks {
		rows, err := s.measure(ctx, t, r.Rounds)
		if err != nil {
			return fmt.Errorf("measuring %s: %w", t.name, err)
		}
		for _, row := range rows {
			fmt.Printf("  %-17s %-15s %8.1f µs   edge/it %.2f\n", row.Task, row.Server, row.Micros, row.Ratio)
		}
		r.Serving = append(r.Serving, rows...)
	}
	return nil
}

// measure gives each server the task in turn, round by round.
func (s *stand) measure(ctx context.Context, t task, rounds int) ([]serving, error) {
	servers := []*server{s.edge, s.caddy}
	if s.nginx != nil {
		servers = append(servers, s.nginx, s.copying)
	}
	rows := make([]serving, len(servers))
	for round := range rounds + 1 {
		for i, srv := range servers {
			rows[i].Task, rows[i].Server = t.name, srv.name
			l, err := s.load(srv, t)
			if err != nil {
				return nil, err
			}
			micros, err := once(ctx, srv, l, t.requests)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", srv.name, err)
			}
			if round > 0 { // the first warms up
				rows[i].Rounds = append(rows[i].Rounds, micros)
			}
		}
	}
	for i := range rows {
		rows[i].Micros = median(rows[i].Rounds)
		ratios := make([]float64, rounds)
		for k := range ratios {
			ratios[k] = rows[0].Rounds[k] / rows[i].Rounds[k]
		}
		rows[i].Ratio = median(ratios)
	}
	return rows, nil
}

func once(ctx context.Context, srv *server, l load, n int) (float64, error) {
	before, err := srv.cpu()
	if err != nil {
		return 0, err
	}
	if err := l.run(ctx, n); err != nil {
		return 0, err
	}
	after, err := srv.cpu()
	if err != nil {
		return 0, err
	}
	return float64((after - before).Nanoseconds()) / 1000 / float64(n), nil
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	if len(v) == 0 {
		return 0
	}
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}

// load is the same bytes from each server.
func (s *stand) load(srv *server, t task) (load, error) {
	l := load{host: "localhost", address: s.plain[srv.name], size: s.sizes[0]}
	file, path := "index.m3u8", s.playlist
	if t.segment {
		file, path, l.size = "segment.ts", s.segment, s.sizes[1]
	}
	if t.secure {
		l.address, l.tls = s.tls[srv.name], &tls.Config{ServerName: "localhost", InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}}
	}
	switch srv {
	case s.edge:
		if t.segment {
			newest, err := s.newestSegment()
			if err != nil {
				return l, err
			}
			path, l.size = newest.path, newest.size
		}
		l.path = path
	case s.nginx, s.copying:
		expires := time.Now().Add(time.Hour).Unix()
		sum := md5.Sum([]byte(fmt.Sprintf("%d/live/%s %s", expires, file, s.key)))
		l.path = fmt.Sprintf("/live/%s?md5=%s&expires=%d", file, base64.RawURLEncoding.EncodeToString(sum[:]), expires)
	default:
		l.path = "/live/" + file
	}
	return l, nil
}

func (s *stand) stop() {
	for _, srv := range []*server{s.edge, s.nginx, s.caddy} {
		if srv != nil {
			srv.stop()
		}
	}
}

func nginxVersion() string {
	out, _ := exec.Command("nginx", "-v").CombinedOutput()
	return strings.TrimPrefix(strings.TrimSpace(string(out)), "nginx version: ")
}

func randomKey() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b)
	return base64.RawURLEncoding.EncodeToString(b)
}

func write(dir, name, text string) (string, error) {
	path := filepath.Join(dir, name)
	return path, os.WriteFile(path, []byte(text), 0o600)
}
