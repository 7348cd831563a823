package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"time"

	"go.uber.org/zap"

	"github.com/headrace/headrace/controlapi/snapshot"
)

// listener is where the program listens, and how.
type listener struct {
	net.Listener
	scheme string
	// fingerprint is what an edge must be told to trust the certificate; zero: nothing.
	fingerprint snapshot.Fingerprint
}

// listen opens the address. Beyond this machine only TLS is spoken: with the operator's
// certificate, or with one that is made and kept in the data folder.
func listen(address, certFile, keyFile, data string) (*listener, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, usagef("--listen %q: give host and port, like 0.0.0.0:8443", address)
	}
	if (certFile == "") != (keyFile == "") {
		return nil, usagef("--tls-cert and --tls-key belong together")
	}
	var cert *certificate
	switch {
	case certFile != "":
		cert, err = loadCertificate(certFile, keyFile)
	case !isLoopback(host):
		cert, err = ownCertificate(data, namesOf(host))
	}
	if err != nil {
		return nil, err
	}
	var fingerprint snapshot.Fingerprint
	if cert != nil {
		if fingerprint, err = cert.fingerprint(); err != nil {
			return nil, err
		}
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listening: %w; is another controlapi running? --listen takes another address", err)
	}
	if cert == nil {
		return &listener{Listener: l, scheme: "http"}, nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: cert.get, NextProtos: []string{"h2", "http/1.1"}}
	return &listener{Listener: tls.NewListener(l, config), scheme: "https", fingerprint: fingerprint}, nil
}

func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

// namesOf are the names that a certificate of ours bears: the host that was listened on,
// this machine's, and loopback's.
func namesOf(host string) []string {
	names := []string{"localhost", "127.0.0.1", "::1"}
	if addr, err := netip.ParseAddr(host); host != "" && (err != nil || !addr.IsUnspecified()) {
		names = append(names, host)
	}
	if name, err := os.Hostname(); err == nil && name != "" {
		names = append(names, name)
	}
	return names
}

// Times of the server. Answers have no common one: polls of edges are held, and set their
// own.
const (
	headerTimeout = 10 * time.Second
	idleTimeout   = 2 * time.Minute
	maxHeader     = 32 << 10
	// farewell is how long requests that are being answered may take when the program ends.
	farewell = 10 * time.Second
)

// serveHTTP answers on a listener until ctx is done, and then lets what is in flight end.
func serveHTTP(ctx context.Context, l net.Listener, handler http.Handler, logger *zap.Logger) error {
	// It speaks of strangers' broken connections.
	errorLog, err := zap.NewStdLogAt(logger, zap.DebugLevel)
	if err != nil {
		return err
	}
	server := &http.Server{
		Handler: handler, ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
		ErrorLog: errorLog,
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(l) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serving: %w", err)
	case <-ctx.Done():
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
	defer cancel()
	if err := server.Shutdown(last); err != nil {
		logger.Warn("requests were cut off at the end", zap.Error(err))
		return errors.Join(server.Close(), <-failed)
	}
	if err := <-failed; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving: %w", err)
	}
	return nil
}
