// Package tools pins the programs that build and check Headrace and are no part
// of it: golangci-lint and xcaddy. The Makefile builds them from here.
package tools
