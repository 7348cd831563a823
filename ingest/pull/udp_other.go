//go:build !linux

package pull

import (
	"net"
	"net/netip"
)

// onlyJoined has nothing to do: elsewhere a socket gets the groups that it joined.
func onlyJoined(*net.UDPConn, netip.Addr) error { return nil }
