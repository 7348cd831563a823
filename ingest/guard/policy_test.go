package guard

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
)

func TestPolicy(t *testing.T) {
	for _, tt := range []struct{ addr, why string }{
		{"8.8.8.8", ""},
		{"93.184.216.34", ""},
		{"2606:4700::1111", ""},
		{"::ffff:8.8.8.8", ""},
		{"64:ff9b::808:808", ""}, // NAT64 of 8.8.8.8
		{"100.63.255.255", ""},
		{"100.128.0.0", ""},
		{"172.32.0.1", ""},

		{"0.0.0.0", "this network"},
		{"0.1.2.3", "this network"},
		{"127.0.0.1", "loopback"},
		{"127.255.255.254", "loopback"},
		{"::1", "loopback"},
		{"::ffff:127.0.0.1", "loopback"},
		{"::ffff:7f00:1", "loopback"},
		{"::127.0.0.1", "reserved"}, // IPv4-compatible
		{"64:ff9b::7f00:1", "loopback"},
		{"64:ff9b::a9fe:a9fe", "cloud metadata"},
		{"64:ff9b:1::a00:1", "local NAT64"},
		{"2002:7f00:1::", "6to4"},
		{"2001:0:4136:e378:8000:63bf:3fff:fdd2", "Teredo"},
		{"::", "unspecified"},
		{"10.0.0.1", "private"},
		{"172.16.0.1", "private"},
		{"172.31.255.255", "private"},
		{"192.168.1.1", "private"},
		{"fc00::1", "private"},
		{"fdff::1", "private"},
		{"169.254.0.1", "link-local"},
		{"fe80::1", "link-local"},
		{"fe80::1%eth0", "link-local"},
		{"100.64.0.1", "carrier NAT"},
		{"100.127.255.255", "carrier NAT"},
		{"169.254.169.254", "cloud metadata"},
		{"169.254.170.2", "cloud metadata"},
		{"100.100.100.200", "cloud metadata"},
		{"168.63.129.16", "cloud metadata"},
		{"192.0.0.192", "cloud metadata"},
		{"fd00:ec2::254", "cloud metadata"},
		{"fd20:ce::254", "cloud metadata"},
		{"224.0.0.1", "multicast"},
		{"239.255.255.255", "multicast"},
		{"ff02::1", "multicast"},
		{"255.255.255.255", "reserved"},
		{"240.0.0.1", "reserved"},
		{"192.0.0.1", "protocol assignments"},
		{"192.0.2.1", "documentation"},
		{"198.51.100.1", "documentation"},
		{"203.0.113.1", "documentation"},
		{"2001:db8::1", "documentation"},
		{"3fff::1", "documentation"},
		{"192.88.99.1", "6to4"},
		{"198.18.0.1", "benchmarking"},
		{"198.19.255.255", "benchmarking"},
		{"100::1", "discard"},
		{"2001:2::1", "protocol assignments"},
		{"fec0::1", "site-local"},
		{"4000::1", "reserved"},
		{"5f00::1", "reserved"},
	} {
		t.Run(tt.addr, func(t *testing.T) {
			err := Policy{}.Check(netip.MustParseAddr(tt.addr))
			if (err == nil) != (tt.why == "") {
				t.Fatalf("got %v, want it refused for %q", err, tt.why)
			}
			if err != nil && (!strings.Contains(err.Error(), tt.why) || !strings.Contains(err.Error(), "guard { allow")) {
				t.Errorf("got %q, want the kind %q and the remedy", err, tt.why)
			}
		})
	}
	if err := (Policy{}).Check(netip.Addr{}); err == nil {
		t.Error("no address at all is allowed")
	}
}

func TestPolicyAllows(t *testing.T) {
	p := Policy{}
	for _, text := range []string{"10.1.0.0/16", "127.0.0.1", "::ffff:192.168.7.7", "fd12::/64", "239.1.1.1"} {
		prefix, err := ParseAllow(text)
		if err != nil {
			t.Fatal(err)
		}
		p.Allow = append(p.Allow, prefix)
	}
	for text, want := range map[string]bool{
		"10.1.2.3": true, "::ffff:10.1.2.3": true, "64:ff9b::a01:203": true, "10.2.0.1": false,
		"127.0.0.1": true, "127.0.0.2": false, "192.168.7.7": true, "192.168.7.8": false,
		"fd12::1%eth0": true, "fd13::1": false, "239.1.1.1": true, "239.1.1.2": false, "8.8.8.8": true,
	} {
		addr := netip.MustParseAddr(text)
		if err := p.Check(addr); (err == nil) != want {
			t.Errorf("%s: got %v, want allowed %v", text, err, want)
		}
		if text == "8.8.8.8" && p.Names(addr) {
			t.Error("a public address is allowed, but not named")
		}
	}
	if got, want := p.String(), "10.1.0.0/16 127.0.0.1/32 192.168.7.7/32 fd12::/64 239.1.1.1/32"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestParseAllow(t *testing.T) {
	for _, tt := range []struct{ text, want, err string }{
		{"10.1.2.3", "10.1.2.3/32", ""},
		{"10.0.0.0/8", "10.0.0.0/8", ""},
		{"fd00::/8", "fd00::/8", ""},
		{"::1", "::1/128", ""},
		{"0.0.0.0/0", "0.0.0.0/0", ""},
		{"10.1.2.3/8", "", "write 10.0.0.0/8"},
		{"::ffff:10.0.0.0/104", "", "write it as IPv4"},
		{"localhost", "", "neither an address nor a prefix"},
		{"127.1", "", "neither an address nor a prefix"},
		{"fe80::1%eth0", "", "neither an address nor a prefix"},
		{"10.0.0.0/33", "", "neither an address nor a prefix"},
		{"", "", "neither an address nor a prefix"},
	} {
		t.Run(tt.text, func(t *testing.T) {
			got, err := ParseAllow(tt.text)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("got %v, %v; want an error with %q", got, err, tt.err)
				}
				return
			}
			if err != nil || got.String() != tt.want {
				t.Errorf("got %v, %v; want %s", got, err, tt.want)
			}
		})
	}
}

// FuzzPolicy holds the policy against what the standard library knows of addresses,
// and against disguises of the same address.
func FuzzPolicy(f *testing.F) {
	for _, text := range []string{"127.0.0.1", "10.0.0.1", "169.254.169.254", "8.8.8.8", "::1", "fe80::1", "fd00:ec2::254", "2002:7f00:1::", "::ffff:10.0.0.1"} {
		f.Add(netip.MustParseAddr(text).AsSlice())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		addr, ok := netip.AddrFromSlice(b)
		if !ok {
			return
		}
		err := Policy{}.Check(addr)
		plain := addr.Unmap()
		if err == nil && (plain.IsLoopback() || plain.IsPrivate() || plain.IsLinkLocalUnicast() || plain.IsMulticast() || plain.IsUnspecified()) {
			t.Errorf("%s is allowed", addr)
		}
		var refused *ForbiddenError
		if err != nil && (!errors.As(err, &refused) || refused.Why == "") {
			t.Errorf("%s is refused without a reason: %v", addr, err)
		}
		if plain.Is4() {
			b4 := plain.As4()
			mapped := netip.AddrFrom16(plain.As16())
			translated := netip.AddrFrom16([16]byte{0, 0x64, 0xff, 0x9b, 12: b4[0], 13: b4[1], 14: b4[2], 15: b4[3]})
			for _, disguise := range []netip.Addr{mapped, translated} {
				if got := (Policy{}).Check(disguise); (got == nil) != (err == nil) {
					t.Errorf("%s: got %v, but %v for %s", disguise, got, err, plain)
				}
			}
		}
		if all := (Policy{Allow: []netip.Prefix{netip.PrefixFrom(plain.WithZone(""), plain.BitLen())}}); all.Check(addr) != nil {
			t.Errorf("%s is refused though the operator names it", addr)
		}
	})
}
