package edge

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
)

// texts gives the values of what a configuration only points at.
type texts interface {
	// secret is the one of a key.
	secret(k Key) (string, error)
	// source is a source with its placeholders replaced. Its errors never hold a
	// value, which may be a password.
	source(text string) (string, error)
}

// environment takes values from environment variables and files.
type environment struct {
	replacer *caddy.Replacer
}

func newEnvironment() environment { return environment{caddy.NewReplacer()} }

func (e environment) secret(k Key) (string, error) {
	if k.SecretFile == "" {
		return e.replace(k.Secret)
	}
	return readSecret(k.SecretFile)
}

func (e environment) source(text string) (string, error) { return e.replace(text) }

func (e environment) replace(text string) (string, error) {
	value, err := e.replacer.ReplaceOrErr(text, true, true)
	if err != nil {
		return "", fmt.Errorf("%w; set it for the process of the edge", err)
	}
	return value, nil
}

// longestSecretFile is more than any secret and its newline.
const longestSecretFile = 4096

// readSecret reads a file that holds a secret and perhaps a newline.
func readSecret(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("reading the secret: %w", err)
	}
	defer func() { _ = f.Close() }()
	b, err := io.ReadAll(io.LimitReader(f, longestSecretFile))
	if err != nil {
		return "", fmt.Errorf("reading the secret: %w", err)
	}
	secret := strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r")
	if secret == "" {
		return "", errors.New("reading the secret: file " + path + " is empty")
	}
	return secret, nil
}

// standIns are values for checking a configuration where its environment is not.
type standIns struct{}

func (standIns) secret(k Key) (string, error) {
	if k.SecretFile != "" || hasPlaceholder(k.Secret) {
		return strings.Repeat("0", 32), nil
	}
	return k.Secret, nil
}

func (standIns) source(text string) (string, error) {
	if hasPlaceholder(text) {
		return "test:", nil
	}
	return text, nil
}

// hasPlaceholder tells whether text depends on the environment.
func hasPlaceholder(text string) bool {
	open := strings.IndexByte(text, '{')
	return open >= 0 && strings.IndexByte(text[open:], '}') > 0
}

// warnOfLiteralSecrets names the keys whose secrets stand in the configuration.
func (a *App) warnOfLiteralSecrets() {
	for _, k := range a.Keys {
		if k.Secret != "" && !hasPlaceholder(k.Secret) {
			a.logger.Warn("the configuration holds the secret itself; use a placeholder or secret_file",
				zap.String("reseller", k.Reseller), zap.String("kid", k.KeyID))
		}
	}
}
