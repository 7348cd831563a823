package pull

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"time"

	"github.com/headrace/headrace/ingest/guard"
)

const (
	// receiveBuffer is what the kernel may hold while the child is slow, in bytes: a
	// second at 30 Mbit/s. It grants less where net.core.rmem_max is lower.
	receiveBuffer = 4 << 20
	longestPacket = 64 << 10
)

// feedUDP receives MPEG-TS, plain or in RTP, from a multicast group or on an address
// of this machine. Whoever can send there is on the air: both must be named in the
// operator's list, even if they are public.
func feedUDP(ctx context.Context, g *guard.Guard, from *url.URL, to io.Writer) error {
	at, err := listenAddress(g, from)
	if err != nil {
		return err
	}
	conn, err := receive(at, from.Query().Get("localaddr"))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	defer closeWith(ctx, conn)()
	_ = conn.SetReadBuffer(receiveBuffer) // the kernel gives what it may
	buf := make([]byte, longestPacket)
	for {
		if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
			return err
		}
		n, err := conn.Read(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return silent(err)
		}
		if err != nil {
			return err
		}
		if packets := transportPackets(buf[:n]); len(packets) > 0 {
			if _, err := to.Write(packets); err != nil {
				return err
			}
		}
	}
}

// listenAddress is where to receive, if the operator names it.
func listenAddress(g *guard.Guard, from *url.URL) (netip.AddrPort, error) {
	addr, err := netip.ParseAddr(from.Hostname())
	port, portErr := strconv.ParseUint(from.Port(), 10, 16)
	if err != nil || portErr != nil || port == 0 {
		return netip.AddrPort{}, unusable("a udp source is written udp://address:port, with a multicast group or an address of this machine")
	}
	if !g.Policy().Names(addr) {
		return netip.AddrPort{}, &guard.ForbiddenError{Addr: addr, Why: "udp is received only where that is named"}
	}
	return netip.AddrPortFrom(addr.Unmap(), uint16(port)), nil
}

// receive opens the socket. local is the address of the interface on which a group
// is joined; empty: the one that the system chooses.
func receive(at netip.AddrPort, local string) (*net.UDPConn, error) {
	to := net.UDPAddrFromAddrPort(at)
	if !at.Addr().IsMulticast() {
		return net.ListenUDP("udp", to)
	}
	through, err := interfaceOf(local)
	if err != nil {
		return nil, err
	}
	conn, err := net.ListenMulticastUDP("udp", through, to)
	if err != nil {
		return nil, err
	}
	if err := onlyJoined(conn, at.Addr()); err != nil {
		return nil, errors.Join(fmt.Errorf("keeping other groups out: %w", err), conn.Close())
	}
	return conn, nil
}

func interfaceOf(local string) (*net.Interface, error) {
	if local == "" {
		return nil, nil
	}
	interfaces, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	for _, i := range interfaces {
		addrs, err := i.Addrs()
		if err != nil {
			continue
		}
		for _, a := range addrs {
			if ipNet, ok := a.(*net.IPNet); ok && ipNet.IP.String() == local {
				return &i, nil
			}
		}
	}
	return nil, unusable("localaddr: no interface of this machine has the address %.40q", local)
}

// transportPackets are those of MPEG-TS in a datagram: all of it, or what an RTP
// header stands before (RFC 3550 §5.1). Anything else is dropped.
func transportPackets(datagram []byte) []byte {
	const sync = 0x47
	if len(datagram) == 0 || datagram[0] == sync {
		return datagram
	}
	if len(datagram) < 12 || datagram[0]>>6 != 2 {
		return nil
	}
	header := 12 + 4*int(datagram[0]&0x0f)
	if datagram[0]&0x10 != 0 { // an extension, as long as it says in words
		if len(datagram) < header+4 {
			return nil
		}
		header += 4 + 4*(int(datagram[header+2])<<8|int(datagram[header+3]))
	}
	if len(datagram) <= header || datagram[header] != sync {
		return nil
	}
	payload := datagram[header:]
	if datagram[0]&0x20 != 0 { // padding, whose last byte counts it
		padding := int(payload[len(payload)-1])
		payload = payload[:max(len(payload)-padding, 0)]
	}
	return payload
}
