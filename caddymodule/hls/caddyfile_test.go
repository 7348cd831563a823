package hls_test

import (
	"testing"

	"github.com/headrace/headrace/caddymodule/internal/caddyfiletest"
)

func TestCaddyfile(t *testing.T) { caddyfiletest.Run(t, "testdata") }
