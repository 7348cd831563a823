package process

// Sandbox is what a child may reach of the machine. Linux enforces it by Landlock, as far as the kernel has that
// (ProbeLandlock); elsewhere it bounds nothing. Beside what it names, the child may read what programs need to run at
// all (libraries, fonts, certificates, time zones) and execute its own program. It may write nowhere but to /dev/null,
// and listen nowhere.
type Sandbox struct {
	// Read names files, and folders with all that is below them, that the child may read as well. What does not exist
	// is left out.
	Read []string
	// ConnectTCP is the one port that the child may connect to by TCP, at any address; 0: none.
	ConnectTCP uint16
	// AnyTCP lets the child connect to every port, for a source that nobody reaches on its behalf.
	AnyTCP bool
}
