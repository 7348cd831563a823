package process

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	landlock "github.com/landlock-lsm/go-landlock/landlock/syscall"
	"golang.org/x/sys/unix"
)

// What every program may read and execute, and what it may read. Folders in /etc are named down to what holds no
// secret. A symbolic link stands for its target.
var (
	programFolders = []string{"/usr", "/lib", "/lib32", "/lib64", "/bin", "/sbin"}
	plainFiles     = []string{
		"/etc/ld.so.cache", "/etc/ld.so.preload", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/localtime",
		"/etc/fonts", "/var/cache/fontconfig",
		"/etc/ssl/certs", "/etc/ssl/openssl.cnf", "/etc/ca-certificates", "/etc/pki/tls/certs", "/etc/pki/ca-trust",
		"/etc/crypto-policies", "/etc/gnutls",
		"/dev/zero", "/dev/urandom", "/dev/random",
		"/sys/devices/system/cpu", "/sys/devices/system/node", "/proc/cpuinfo", "/proc/meminfo", "/proc/stat",
	}
	// deviceFiles are where drivers in user space look for the devices that they drive.
	deviceFiles = []string{"/sys/dev/char", "/sys/devices", "/sys/class/drm", "/proc/devices", "/proc/driver/nvidia"}
)

const (
	readable = landlock.AccessFSReadFile | landlock.AccessFSReadDir
	// ofFiles are the rights that a rule for a single file may name.
	ofFiles = landlock.AccessFSExecute | landlock.AccessFSReadFile | landlock.AccessFSWriteFile |
		landlock.AccessFSTruncate | landlock.AccessFSIoctlDev
)

// handled are the rights that a ruleset takes away unless a rule gives them back.
func (l Landlock) handled() landlock.RulesetAttr {
	// Every version added the next bits; no later bit is used before it is known here.
	filesBits := []int{1: 13, 2: 14, 3: 15, 4: 15, 5: 16, 6: 16, 7: 16, 8: 16, 9: 17}
	attr := landlock.RulesetAttr{HandledAccessFS: 1<<filesBits[min(int(l), len(filesBits)-1)] - 1}
	if l.TCP() {
		attr.HandledAccessNet = landlock.AccessNetBindTCP | landlock.AccessNetConnectTCP
	}
	if l.UDP() {
		attr.HandledAccessNet |= landlock.AccessNetBindUDP | landlock.AccessNetConnectSendUDP
	}
	if l.Scopes() {
		attr.Scoped = landlock.ScopeAbstractUnixSocket | landlock.ScopeSignal
	}
	return attr
}

// ruleset makes the ruleset of a child that runs a program. It is closed on exec.
func (s *Sandbox) ruleset(l Landlock, program string) (fd int, err error) {
	attr := l.handled()
	fd, err = landlock.LandlockCreateRuleset(&attr, 0)
	if err != nil {
		return -1, fmt.Errorf("making a Landlock ruleset: %w", err)
	}
	rules := ruleWriter{fd: fd, handled: attr.HandledAccessFS}
	rules.allow(readable|landlock.AccessFSExecute, programFolders...)
	rules.allow(readable|landlock.AccessFSExecute, program)
	rules.allow(readable, plainFiles...)
	rules.allow(readable, s.Read...)
	rules.allow(landlock.AccessFSReadFile|landlock.AccessFSWriteFile|landlock.AccessFSTruncate, os.DevNull)
	if len(s.Devices) > 0 {
		rules.allow(readable, deviceFiles...)
		rules.allow(landlock.AccessFSReadFile|landlock.AccessFSWriteFile|landlock.AccessFSIoctlDev, s.Devices...)
	}
	if s.ConnectTCP != 0 && l.TCP() {
		rules.connect(s.ConnectTCP)
	}
	if rules.err != nil {
		return -1, errors.Join(rules.err, unix.Close(fd))
	}
	return fd, nil
}

// ruleWriter adds rules until one fails.
type ruleWriter struct {
	fd      int
	handled uint64
	err     error
}

// allow gives rights to paths and all that is below them. A path that is not there needs no rule.
func (w *ruleWriter) allow(rights uint64, paths ...string) {
	for _, path := range paths {
		if w.err != nil {
			return
		}
		if err := w.allowPath(rights, path); err != nil {
			w.err = fmt.Errorf("allowing %s in a Landlock ruleset: %w", path, err)
		}
	}
}

func (w *ruleWriter) allowPath(rights uint64, path string) error {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.EACCES) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		return err
	}
	if stat.Mode&unix.S_IFMT != unix.S_IFDIR {
		rights &= ofFiles
	}
	return landlock.LandlockAddPathBeneathRule(w.fd, &landlock.PathBeneathAttr{AllowedAccess: rights & w.handled, ParentFd: fd}, 0)
}

func (w *ruleWriter) connect(port uint16) {
	if w.err == nil {
		w.err = landlock.LandlockAddNetPortRule(w.fd, &landlock.NetPortAttr{AllowedAccess: landlock.AccessNetConnectTCP, Port: uint64(port)}, 0)
	}
}

// groups are the groups that own the devices.
func (s *Sandbox) groups() (ids []uint32) {
	for _, path := range s.Devices {
		var stat unix.Stat_t
		// A device that is not there is missed by who uses it.
		if err := unix.Stat(path, &stat); err == nil && stat.Gid != 0 && !slices.Contains(ids, stat.Gid) {
			ids = append(ids, stat.Gid)
		}
	}
	return ids
}

// restrict enforces a ruleset on the calling thread. It cannot be undone.
func restrict(ruleset int) error {
	if err := landlock.LandlockRestrictSelf(ruleset, 0); err != nil {
		return fmt.Errorf("entering the Landlock sandbox: %w", err)
	}
	return nil
}

// readCapability lets a child of root read what root can: all others, it loses.
const readCapability = unix.CAP_DAC_READ_SEARCH

// dropCapabilities takes from the calling thread what a program that it executes would inherit. It goes on with all
// that it has itself: it must still be able to change the child's user, and to kill it.
func dropCapabilities() error {
	for c := uintptr(0); c <= unix.CAP_LAST_CAP; c++ {
		if c == readCapability {
			continue
		}
		err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0)
		// EINVAL: the kernel knows fewer. EPERM: not even this one may be given up, and it has nothing to give on.
		if err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.EPERM) {
			return fmt.Errorf("dropping capability %d: %w", c, err)
		}
	}
	return nil
}

// ProbeAbilities asks the kernel.
func ProbeAbilities() Abilities {
	var a Abilities
	if abi, err := landlock.LandlockGetABIVersion(); err == nil {
		a.Landlock = Landlock(abi)
	}
	held := heldCapabilities()
	// Without CAP_KILL such a child could not be killed, not even by the kernel when its thread ends.
	a.Users = held.has(unix.CAP_SETUID, unix.CAP_SETGID, unix.CAP_KILL) && mapped("/proc/self/uid_map") && mapped("/proc/self/gid_map")
	a.UserLimits = held.has(unix.CAP_SYS_RESOURCE)
	return a
}

// capabilities are those in effect, one a bit.
type capabilities uint64

func (c capabilities) has(all ...int) bool {
	for _, one := range all {
		if c>>one&1 == 0 {
			return false
		}
	}
	return true
}

func heldCapabilities() capabilities {
	var sets [2]unix.CapUserData
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	if err := unix.Capget(&header, &sets[0]); err != nil {
		return 0
	}
	return capabilities(sets[1].Effective)<<32 | capabilities(sets[0].Effective)
}

// mapped tells whether the ids of children mean anything in our user namespace: containers often have but 65,536.
func mapped(file string) bool {
	text, err := os.ReadFile(file)
	return err == nil && mapsUsers(text)
}

// mapsUsers reads lines of the first id inside, the first outside, and their number (user_namespaces(7)).
func mapsUsers(text []byte) bool {
	for line := range bytes.Lines(text) {
		fields := strings.Fields(string(line))
		if len(fields) != 3 {
			continue
		}
		first, err1 := strconv.ParseUint(fields[0], 10, 32)
		count, err2 := strconv.ParseUint(fields[2], 10, 32)
		if err1 == nil && err2 == nil && first <= UserBase && first+count >= UserBase+UserCount {
			return true
		}
	}
	return false
}
