package process

// Sandbox is what a child may reach of the machine. Linux enforces it by Landlock, as far as the kernel has that
// (Abilities.Landlock); elsewhere it bounds nothing. Beside what it names, the child may read what programs need to
// run at all (libraries, fonts, certificates, time zones) and execute its own program. It may write nowhere but to
// /dev/null and its devices: it has no folder of its own. It may listen nowhere, signal nobody but its own, and has no capability but
// that of reading.
type Sandbox struct {
	// Read names files, and folders with all that is below them, that the child may read as well. What does not exist
	// is left out.
	Read []string
	// Devices are files in /dev that the child may use: a graphics card's. It gets the groups that own them, too, if it
	// runs under a user id of its own.
	Devices []string
	// ConnectTCP is the one port that the child may connect to by TCP, at any address; 0: none.
	ConnectTCP uint16
}

// Landlock is the version of the kernel's Landlock interface (ABI), 0 if there is none. It tells what a Sandbox covers.
type Landlock int

// Files tells whether reading and writing files is bounded.
func (l Landlock) Files() bool { return l >= 1 }

// TCP tells whether connecting and listening by TCP is bounded.
func (l Landlock) TCP() bool { return l >= 4 }

// Scopes tells whether signals and abstract unix sockets end at the sandbox.
func (l Landlock) Scopes() bool { return l >= 6 }

// UDP tells whether sending by UDP is bounded.
func (l Landlock) UDP() bool { return l >= 10 }

// UserBase and UserCount span the user ids that are free for children: above those that systems, containers and
// directories hand out, and within 31 bits.
const (
	UserBase  = 1_900_000_000
	UserCount = 100_000_000
)

// Abilities are what this process, on this kernel, can do to confine the children that it starts.
type Abilities struct {
	// Landlock is what a Sandbox covers.
	Landlock Landlock
	// Users tells whether children can run under user ids of their own, from UserBase on.
	Users bool
	// UserLimits tells whether such children can be given resource limits; all others can.
	UserLimits bool
}
