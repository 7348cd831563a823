package guard

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"
	"time"
)

// connectTime bounds one attempt to connect, with the resolution of the name.
const connectTime = 5 * time.Second

// Guard makes every connection to a source. The address that a connection really
// goes to is checked in the moment in which it is made: whatever a name resolves to,
// now or the next time, and wherever a redirect leads. It is safe for concurrent use.
type Guard struct {
	policy atomic.Pointer[Policy]
}

// New returns a guard with a policy.
func New(p Policy) *Guard {
	g := new(Guard)
	g.SetPolicy(p)
	return g
}

// SetPolicy changes the policy for connections that are made from now on.
func (g *Guard) SetPolicy(p Policy) { g.policy.Store(&p) }

// Policy is the one in force.
func (g *Guard) Policy() Policy { return *g.policy.Load() }

// DialContext connects to "host:port" on a network like tcp, if the policy lets it.
// Where it does not, a *ForbiddenError is in the error's chain.
func (g *Guard) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	d := net.Dialer{Timeout: connectTime, KeepAlive: 15 * time.Second, Control: g.control}
	return d.DialContext(ctx, network, address)
}

// Resolve gives the addresses of a host where the policy lets a source be, for
// those who connect by themselves. They must use an address, not the name again.
func (g *Guard) Resolve(ctx context.Context, host string) ([]netip.Addr, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	found, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	var allowed []netip.Addr
	var refused error
	for _, addr := range found {
		if err := g.check(addr); err != nil {
			refused = err
			continue
		}
		allowed = append(allowed, addr.Unmap())
	}
	if len(allowed) == 0 {
		return nil, refused
	}
	return allowed, nil
}

// control is called with the address that a socket is about to connect to.
func (g *Guard) control(_, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("reading the address to connect to: %w", err)
	}
	return g.check(to.Addr())
}

// check is the policy's, and refuses the machine's own addresses as well: what
// listens there may trust a firewall that such a connection does not pass.
func (g *Guard) check(addr netip.Addr) error {
	p := g.policy.Load()
	if err := p.Check(addr); err != nil {
		return err
	}
	if !p.Names(addr) && own(addr.Unmap()) {
		return &ForbiddenError{Addr: addr.Unmap(), Why: "of this machine"}
	}
	return nil
}

// own tells whether an interface of this machine has the address.
func own(addr netip.Addr) bool {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	for _, a := range addrs {
		if ipNet, ok := a.(*net.IPNet); ok {
			if ip, ok := netip.AddrFromSlice(ipNet.IP); ok && ip.Unmap() == addr {
				return true
			}
		}
	}
	return false
}
