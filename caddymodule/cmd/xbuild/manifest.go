package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/caddyserver/xcaddy"
)

// readManifest reads the JSON form of xcaddy's Builder. An unknown key is an
// error: a misspelt one would build something else than was meant.
func readManifest(path string) (xcaddy.Builder, error) {
	var b xcaddy.Builder
	f, err := os.Open(path)
	if err != nil {
		return b, fmt.Errorf("reading the manifest: %w", err)
	}
	defer func() { _ = f.Close() }()
	d := json.NewDecoder(f)
	d.DisallowUnknownFields()
	if err := d.Decode(&b); err != nil {
		return b, fmt.Errorf("reading %s: %w", path, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return b, fmt.Errorf("reading %s: something stands behind the manifest", path)
	}
	if b.CaddyVersion == "" {
		return b, fmt.Errorf("reading %s: caddy_version is missing; without it the newest Caddy would be taken", path)
	}
	return b, resolve(b.Replacements, filepath.Dir(path))
}

// resolve makes relative folders count from the manifest's. The library builds in
// a folder of its own and would take them from there.
func resolve(replacements []xcaddy.Replace, folder string) error {
	for i, r := range replacements {
		folderName := string(r.New)
		if folderName != "." && !strings.HasPrefix(folderName, "./") && !strings.HasPrefix(folderName, "../") {
			continue // an absolute path, or another module
		}
		absolute, err := filepath.Abs(filepath.Join(folder, folderName))
		if err != nil {
			return fmt.Errorf("resolving replacement %q: %w", folderName, err)
		}
		replacements[i].New = xcaddy.ReplacementPath(absolute)
	}
	return nil
}
