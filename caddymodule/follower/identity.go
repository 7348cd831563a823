package follower

import (
	"crypto/subtle"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"net/url"
	"os"
	"strings"

	"github.com/headrace/headrace/controlapi/snapshot"
)

var errURL = errors.New("write the control plane's address as https://host:port; plain http is for this machine, http://127.0.0.1:port")

// CheckURL reads the base URL of a control plane.
func CheckURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.Trim(u.Path, "/") != "" {
		return nil, errURL
	}
	if u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u.Hostname())) {
		return nil, errURL
	}
	return u, nil
}

func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.Unmap().IsLoopback()
}

// errIdentity says that someone else is at the address, or the certificate was changed.
var errIdentity = errors.New("the certificate is not the one that the join code named; if the control plane has a new one, put its fingerprint into the configuration")

// tlsConfig trusts one certificate, or what the system trusts. A pinned certificate is
// the identity itself: neither its names nor its dates matter.
func tlsConfig(pin snapshot.Fingerprint) *tls.Config {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if pin == (snapshot.Fingerprint{}) {
		return c
	}
	c.InsecureSkipVerify = true // VerifyConnection takes its place
	c.VerifyConnection = func(s tls.ConnectionState) error {
		if len(s.PeerCertificates) == 0 {
			return errIdentity
		}
		if got := snapshot.FingerprintOf(s.PeerCertificates[0]); subtle.ConstantTimeCompare(got[:], pin[:]) != 1 {
			return errIdentity
		}
		return nil
	}
	return c
}

// maxCredential bounds a credential, in octets.
const maxCredential = 256

// readCredential reads the file with the edge's credential. Errors hold nothing of it.
func readCredential(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("reading the edge's credential: %w; run `edge join` if this edge has none", err)
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return "", fmt.Errorf("reading the edge's credential: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return "", fmt.Errorf("reading the edge's credential: others than its owner may read %s; run: chmod 600 %s", path, path)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxCredential+2))
	if err != nil {
		return "", fmt.Errorf("reading the edge's credential: %w", err)
	}
	credential := strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r")
	if !isCredential(credential) {
		return "", fmt.Errorf("reading the edge's credential: %s holds something else; run `edge join`", path)
	}
	return credential, nil
}

// isCredential tells whether text can stand behind "Bearer" (RFC 6750 §2.1, without
// what credentials of ours never hold).
func isCredential(text string) bool {
	return text != "" && len(text) <= maxCredential && strings.IndexFunc(text, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && r != '-' && r != '_'
	}) < 0
}
