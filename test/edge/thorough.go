package edge

import "os"

// Thorough tells whether tests strike as often, and play as long, as the promises were
// measured with (HEADRACE_FAULTS=all). Otherwise they do so often and long enough to see
// a promise broken, in the time that every change can be given.
func Thorough() bool { return os.Getenv("HEADRACE_FAULTS") == "all" }
