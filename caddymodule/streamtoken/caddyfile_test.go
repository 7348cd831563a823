package streamtoken_test

import (
	"testing"

	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/fileserver"

	_ "github.com/headrace/headrace/caddymodule/edge"
	_ "github.com/headrace/headrace/caddymodule/hls"
	"github.com/headrace/headrace/caddymodule/internal/caddyfiletest"
	_ "github.com/headrace/headrace/caddymodule/streamtoken"
)

func TestCaddyfile(t *testing.T) { caddyfiletest.Run(t, "testdata") }
