package faults

import (
	"context"
	"errors"
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// dialThin connects as over a network with packets of Ethernet's size and with a
// small receive buffer. Loopback's packets of 64 KiB make the kernel buffer more
// than 2 MB for a connection, in which a whole segment would vanish at once.
func dialThin(ctx context.Context, address string) (net.Conn, error) {
	d := net.Dialer{Timeout: 10 * time.Second, Control: func(_, _ string, c syscall.RawConn) error {
		var failed error
		err := c.Control(func(fd uintptr) {
			failed = errors.Join(
				unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_MAXSEG, 1400),
				unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 8<<10),
			)
		})
		return errors.Join(err, failed)
	}}
	return d.DialContext(ctx, "tcp", address)
}
