// Command xbuild builds an edge from a manifest, xcaddy.json: Caddy at the version
// named there, with our modules and whatever plugins an operator adds. It calls
// xcaddy's library and needs a Go toolchain, but no xcaddy program.
//
//	go run ./caddymodule/cmd/xbuild [-manifest xcaddy.json] [-output bin/edge]
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	path := flag.String("manifest", "xcaddy.json", "the manifest; paths in it count from its folder")
	output := flag.String("output", "edge", "the program to write")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *path, *output, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "xbuild:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, path, output string, rest []string) error {
	if len(rest) > 0 {
		return fmt.Errorf("%q is one argument too many; name the files with -manifest and -output", rest[0])
	}
	builder, err := readManifest(path)
	if err != nil {
		return err
	}
	if err := builder.Build(ctx, output); err != nil {
		return fmt.Errorf("building %s: %w", output, err)
	}
	return nil
}
