package pull

import (
	"errors"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

// ipv6MulticastAll is IPV6_MULTICAST_ALL of linux/in6.h.
const ipv6MulticastAll = 29

// onlyJoined keeps groups out that other sockets of this machine have joined: Linux
// hands them to every socket on the port, and sources often share one.
func onlyJoined(conn *net.UDPConn, group netip.Addr) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var set error
	err = raw.Control(func(fd uintptr) {
		if group.Is4() {
			set = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_MULTICAST_ALL, 0)
			return
		}
		set = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, ipv6MulticastAll, 0)
	})
	return errors.Join(err, set)
}
