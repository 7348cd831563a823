package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/headrace/headrace/controlapi/snapshot"
)

// certificate is a certificate and its key in files, read again when they change: what
// renews them need not know of this program.
type certificate struct {
	certFile, keyFile string

	mu      sync.Mutex
	loaded  *tls.Certificate
	readAt  time.Time // modification time of the certificate that was loaded
	checked time.Time
}

// recheckEvery is how often the files are looked at.
const recheckEvery = 10 * time.Second

func loadCertificate(certFile, keyFile string) (*certificate, error) {
	c := &certificate{certFile: certFile, keyFile: keyFile}
	if err := c.load(); err != nil {
		return nil, err
	}
	return c, nil
}

func (c *certificate) load() error {
	info, err := os.Stat(c.certFile)
	if err != nil {
		return fmt.Errorf("loading the certificate: %w", err)
	}
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return fmt.Errorf("loading the certificate %s with its key %s: %w", c.certFile, c.keyFile, err)
	}
	c.loaded, c.readAt, c.checked = &pair, info.ModTime(), time.Now()
	return nil
}

// get gives the certificate for a connection. Files that cannot be read, half-written
// ones for example, leave the last good one in force.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.checked) >= recheckEvery {
		c.checked = time.Now()
		if info, err := os.Stat(c.certFile); err == nil && !info.ModTime().Equal(c.readAt) {
			_ = c.load() // the old one goes on; it is tried again in a moment
		}
	}
	return c.loaded, nil
}

// fingerprint is what an edge must be told to trust the certificate.
func (c *certificate) fingerprint() (snapshot.Fingerprint, error) {
	leaf, between, err := readCertificates(c.certFile)
	if err != nil {
		return snapshot.Fingerprint{}, err
	}
	return fingerprintOf(leaf, between), nil
}

// readCertificates reads a file of certificates, the server's own first.
func readCertificates(file string) (leaf *x509.Certificate, between *x509.CertPool, err error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the certificate: %w", err)
	}
	between = x509.NewCertPool()
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		one, err := x509.ParseCertificate(block.Bytes)
		switch {
		case block.Type != "CERTIFICATE":
		case err != nil:
			return nil, nil, fmt.Errorf("reading the certificate %s: %w", file, err)
		case leaf == nil:
			leaf = one
		default:
			between.AddCert(one)
		}
	}
	if leaf == nil {
		return nil, nil, fmt.Errorf("reading the certificate: %s holds none", file)
	}
	return leaf, between, nil
}

// fingerprintOf is zero if every system trusts the certificate.
func fingerprintOf(leaf *x509.Certificate, between *x509.CertPool) snapshot.Fingerprint {
	if _, err := leaf.Verify(x509.VerifyOptions{Intermediates: between}); err == nil {
		return snapshot.Fingerprint{}
	}
	return snapshot.FingerprintOf(leaf)
}

// The certificate that this program makes for itself, in the data folder.
const (
	ownCertFile = "control.crt"
	ownKeyFile  = "control.key"
)

// ownCertificate loads the certificate that this program made for itself, or makes it.
// It is good for ten years: edges know it by its fingerprint, and a new one would have to
// be told to each.
func ownCertificate(folder string, hosts []string) (*certificate, error) {
	certFile, keyFile := filepath.Join(folder, ownCertFile), filepath.Join(folder, ownKeyFile)
	if _, err := os.Stat(certFile); err == nil {
		return loadCertificate(certFile, keyFile)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("looking for the certificate: %w", err)
	}
	certPEM, keyPEM, err := selfSigned(hosts, time.Now())
	if err != nil {
		return nil, fmt.Errorf("making a certificate: %w", err)
	}
	// The key first: a certificate without its key would be found at the next start.
	if err := os.WriteFile(keyFile, keyPEM, 0o600); err != nil {
		return nil, fmt.Errorf("keeping the certificate's key: %w", err)
	}
	if err := os.WriteFile(certFile, certPEM, 0o644); err != nil { //nolint:gosec // a certificate is public
		return nil, fmt.Errorf("keeping the certificate: %w", err)
	}
	return loadCertificate(certFile, keyFile)
}

func selfSigned(hosts []string, now time.Time) (certPEM, keyPEM []byte, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "Headrace control plane"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(10, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, BasicConstraintsValid: true,
	}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, nil, err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), nil
}
