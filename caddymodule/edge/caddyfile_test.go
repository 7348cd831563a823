package edge_test

import (
	"testing"

	_ "github.com/headrace/headrace/caddymodule/edge"
	"github.com/headrace/headrace/caddymodule/internal/caddyfiletest"
)

func TestCaddyfile(t *testing.T) { caddyfiletest.Run(t, "testdata") }
