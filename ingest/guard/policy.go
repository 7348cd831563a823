// Package guard stands between sources and the network: it decides which addresses
// a source may be at, and it is the only way by which a child reaches http sources.
package guard

import (
	"fmt"
	"net/netip"
	"strings"
)

// Policy says which addresses a source may be at: those of the public internet, and
// what the operator allows besides. The zero value allows nothing besides.
type Policy struct {
	// Allow holds addresses that would be refused: private networks, the machine
	// itself, multicast groups.
	Allow []netip.Prefix
}

// ParseAllow reads an address or a prefix as an operator writes it: 10.1.2.3,
// 10.0.0.0/8, fd00::/8.
func ParseAllow(text string) (netip.Prefix, error) {
	prefix, err := netip.ParsePrefix(text)
	if err != nil {
		addr, addrErr := netip.ParseAddr(text)
		if addrErr != nil || addr.Zone() != "" {
			return netip.Prefix{}, fmt.Errorf("%q is neither an address nor a prefix; write 10.1.2.3 or 10.0.0.0/8", text)
		}
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	if masked := prefix.Masked(); masked != prefix {
		return netip.Prefix{}, fmt.Errorf("%q has bits behind its length; write %s", text, masked)
	}
	if prefix.Addr().Is4In6() {
		return netip.Prefix{}, fmt.Errorf("%q is an IPv4 prefix in IPv6 notation; write it as IPv4", text)
	}
	return prefix, nil
}

// ForbiddenError says that a source is at an address where it may not be.
type ForbiddenError struct {
	Addr netip.Addr
	// Why names the range that the address belongs to.
	Why string
}

func (e *ForbiddenError) Error() string {
	return fmt.Sprintf("the address %s is not allowed (%s); if it is meant, name it in guard { allow … }", e.Addr, e.Why)
}

// Check gives nil for an address where a source may be, else a *ForbiddenError.
func (p Policy) Check(addr netip.Addr) error {
	addr = addr.WithZone("").Unmap()
	if p.Names(addr) {
		return nil
	}
	if inner, ok := translated(addr); ok {
		// The network's translator connects to the address inside: that one counts.
		return p.Check(inner)
	}
	if why := special(addr); why != "" {
		return &ForbiddenError{Addr: addr, Why: why}
	}
	return nil
}

// Names tells whether the operator allows the address by name, not only because it
// is one of the public internet.
func (p Policy) Names(addr netip.Addr) bool {
	addr = addr.WithZone("").Unmap()
	for _, prefix := range p.Allow {
		if prefix.Contains(addr) {
			return true
		}
	}
	return false
}

// String lists what is allowed besides the public internet.
func (p Policy) String() string {
	texts := make([]string, len(p.Allow))
	for i, prefix := range p.Allow {
		texts[i] = prefix.String()
	}
	return strings.Join(texts, " ")
}
