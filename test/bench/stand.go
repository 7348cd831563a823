package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/headrace/headrace/controlapi/token"
	"github.com/headrace/headrace/ingest/playlist"
)

// raise starts the edge with one stream of about 0.8 MB a segment, copies a
// playlist and a segment of it to disk, and starts the peers on those files.
func raise(ctx context.Context, dir, edge string) (_ *stand, err error) {
	s := &stand{dir: dir, plain: map[string]string{}, tls: map[string]string{}, key: randomKey()}
	defer func() {
		if err != nil {
			s.stop()
		}
	}()
	program, err := filepath.Abs(edge)
	if err != nil {
		return nil, err
	}
	if err := s.certificate(); err != nil {
		return nil, err
	}
	if err := s.startEdge(ctx, program); err != nil {
		return nil, err
	}
	if err := s.copyFiles(); err != nil {
		return nil, err
	}
	if err := s.startCaddy(program); err != nil {
		return nil, err
	}
	if err := s.startNginx(); err != nil {
		return nil, err
	}
	for _, srv := range []*server{s.edge, s.caddy, s.nginx} {
		if srv == nil {
			continue
		}
		if err := s.ready(ctx, srv); err != nil {
			return nil, err
		}
		if err := pinAll(srv, 0); err != nil {
			fmt.Println("  not pinned:", err)
		}
	}
	return s, nil
}

func pinAll(srv *server, core int) error {
	for _, pid := range srv.processes() {
		if err := pin(pid, core); err != nil {
			return err
		}
	}
	return nil
}

// source is a loop of noise at 3.2 Mbit/s, so that a segment of 2 s has 0.8 MB.
func (s *stand) source(ctx context.Context) (string, error) {
	path := filepath.Join(s.dir, "source.ts")
	cmd := exec.CommandContext(ctx, "ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=640x360:rate=25,noise=alls=60:allf=t",
		"-f", "lavfi", "-i", "sine=sample_rate=48000", "-t", "20", "-c:v", "libx264", "-preset", "ultrafast", "-g", "50", "-sc_threshold", "0",
		"-b:v", "3000k", "-maxrate", "3000k", "-bufsize", "1500k", "-nal-hrd", "cbr", "-c:a", "aac", "-b:a", "96k", path)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("making the source: %w: %s", err, out)
	}
	return path, nil
}

func (s *stand) ports(name string) (plain, secure int, err error) {
	if plain, err = freePort(); err != nil {
		return 0, 0, err
	}
	if secure, err = freePort(); err != nil {
		return 0, 0, err
	}
	s.plain[name] = fmt.Sprintf("127.0.0.1:%d", plain)
	s.tls[name] = fmt.Sprintf("127.0.0.1:%d", secure)
	return plain, secure, nil
}

func (s *stand) startEdge(ctx context.Context, program string) error {
	source, err := s.source(ctx)
	if err != nil {
		return err
	}
	keyFile, err := write(s.dir, "key", s.key)
	if err != nil {
		return err
	}
	plain, secure, err := s.ports("edge")
	if err != nil {
		return err
	}
	config, err := write(s.dir, "Caddyfile", fmt.Sprintf(`{
	admin off
	auto_https off
	edge {
		id bench
		state %s
		key r1 k1 {
			secret_file %s
		}
		default_key r1 k1
		stream bench {
			source file:%s
			rendition source copy
		}
	}
}
(media) {
	@viewer stream_token
	hls @viewer
	hls
	edge_status
}
http://localhost:%d {
	import media
}
https://localhost:%d {
	tls %s %s
	import media
}
`, filepath.Join(s.dir, "state"), keyFile, source, plain, secure, filepath.Join(s.dir, "cert.pem"), filepath.Join(s.dir, "key.pem")))
	if err != nil {
		return err
	}
	if s.edge, err = startServer("edge", s.dir, program, "run", "--config", config, "--adapter", "caddyfile"); err != nil {
		return err
	}
	tok, err := token.Mint(token.Claims{
		Kid: "k1", Reseller: "r1", User: "bench", Scope: token.OneStream, ID: "bench", Expires: time.Now().Add(time.Hour).Unix(),
	}, s.key)
	if err != nil {
		return err
	}
	s.playlist = "/live/" + tok + "/bench/source/index.m3u8"
	return await(ctx, 60*time.Second, "a full window of the edge; see "+s.edge.log, func() bool {
		m, err := s.list()
		return err == nil && len(m.Segments) >= 8
	})
}

// list is the edge's playlist as it stands.
func (s *stand) list() (*playlist.Media, error) {
	body, err := s.fetch("edge", s.playlist)
	if err != nil {
		return nil, err
	}
	return playlist.ParseMedia(body)
}

func (s *stand) fetch(server, path string) ([]byte, error) {
	request, err := http.NewRequest(http.MethodGet, "http://"+s.plain[server]+path, nil)
	if err != nil {
		return nil, err
	}
	request.Host = "localhost"
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %s", server, answer.Status)
	}
	return io.ReadAll(answer.Body)
}

type piece struct {
	path string
	size int
}

func (s *stand) newestSegment() (piece, error) {
	m, err := s.list()
	if err != nil {
		return piece{}, err
	}
	p := piece{path: strings.TrimSuffix(s.playlist, "index.m3u8") + m.Segments[len(m.Segments)-1].URI}
	body, err := s.fetch("edge", p.path)
	p.size = len(body)
	return p, err
}

// copyFiles lays what the edge serves on disk for the peers.
func (s *stand) copyFiles() error {
	folder := filepath.Join(s.dir, "www", "live")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	list, err := s.fetch("edge", s.playlist)
	if err != nil {
		return err
	}
	newest, err := s.newestSegment()
	if err != nil {
		return err
	}
	segment, err := s.fetch("edge", newest.path)
	if err != nil {
		return err
	}
	s.segment, s.sizes = newest.path, [2]int{len(list), len(segment)}
	fmt.Printf("  playlist of %d bytes, segment of %d bytes, %d connections\n", len(list), len(segment), connections)
	if err := os.WriteFile(filepath.Join(folder, "index.m3u8"), list, 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(folder, "segment.ts"), segment, 0o644)
}

func (s *stand) startCaddy(program string) error {
	plain, secure, err := s.ports("file_server")
	if err != nil {
		return err
	}
	config, err := write(s.dir, "Caddyfile.peer", fmt.Sprintf(`{
	admin off
	auto_https off
}
http://localhost:%d {
	root %[3]s
	file_server
}
https://localhost:%[2]d {
	tls %[4]s %[5]s
	root %[3]s
	file_server
}
`, plain, secure, filepath.Join(s.dir, "www"), filepath.Join(s.dir, "cert.pem"), filepath.Join(s.dir, "key.pem")))
	if err != nil {
		return err
	}
	s.caddy, err = startServer("file_server", s.dir, program, "run", "--config", config, "--adapter", "caddyfile")
	return err
}

func (s *stand) startNginx() error {
	program, err := exec.LookPath("nginx")
	if err != nil {
		return nil //nolint:nilerr // it is left out, and said so
	}
	plain, secure, err := s.ports("nginx")
	if err != nil {
		return err
	}
	copyPlain, copySecure, err := s.ports(nginxCopying)
	if err != nil {
		return err
	}
	config, err := write(s.dir, "nginx.conf", fmt.Sprintf(`
daemon off;
worker_processes 1;
pid %[1]s/nginx.pid;
error_log %[1]s/nginx-error.log;
%[5]s
events { worker_connections 1024; }
http {
	types { application/vnd.apple.mpegurl m3u8; video/mp2t ts; }
	access_log off;
	tcp_nopush on;
	keepalive_requests 100000000;
	client_body_temp_path %[1]s/nginx-body;
	proxy_temp_path %[1]s/nginx-proxy;
	fastcgi_temp_path %[1]s/nginx-fastcgi;
	uwsgi_temp_path %[1]s/nginx-uwsgi;
	scgi_temp_path %[1]s/nginx-scgi;
	ssl_certificate %[1]s/cert.pem;
	ssl_certificate_key %[1]s/key.pem;
	ssl_protocols TLSv1.3;
	root %[4]s;
	server {
		listen 127.0.0.1:%[2]d;
		listen 127.0.0.1:%[3]d ssl;
		sendfile on;
		include %[1]s/guarded.conf;
	}
	server {
		listen 127.0.0.1:%[6]d;
		listen 127.0.0.1:%[7]d ssl;
		sendfile off;
		include %[1]s/guarded.conf;
	}
}
`, s.dir, plain, secure, filepath.Join(s.dir, "www"), workerUser(), copyPlain, copySecure))
	if err != nil {
		return err
	}
	if _, err := write(s.dir, "guarded.conf", fmt.Sprintf(`location /live/ {
	secure_link $arg_md5,$arg_expires;
	secure_link_md5 "$secure_link_expires$uri %s";
	if ($secure_link = "") { return 403; }
	if ($secure_link = "0") { return 410; }
}
`, s.key)); err != nil {
		return err
	}
	if s.nginx, err = startServer("nginx", s.dir, program, "-c", config, "-p", s.dir); err != nil {
		return err
	}
	s.copying = &server{name: nginxCopying, cmd: s.nginx.cmd, log: s.nginx.log}
	return nil
}

// nginxCopying is nginx with its default, sendfile off: over plain HTTP it then
// copies a file's bytes into the socket, as everybody must over TLS.
const nginxCopying = "nginx, copying"

// workerUser keeps the workers readable for root's temporary folder.
func workerUser() string {
	if os.Getuid() == 0 {
		return "user root;"
	}
	return ""
}

func (s *stand) ready(ctx context.Context, srv *server) error {
	return await(ctx, 20*time.Second, srv.name+" to answer; see "+srv.log, func() bool {
		l, err := s.load(srv, task{name: "playlist"})
		if err != nil {
			return false
		}
		_, err = s.fetch(srv.name, l.path)
		return err == nil
	})
}

// certificate is one for all servers: ECDSA P-256, as certificate authorities give today.
func (s *stand) certificate() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if _, err := write(s.dir, "cert.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))); err != nil {
		return err
	}
	_, err = write(s.dir, "key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})))
	return err
}
