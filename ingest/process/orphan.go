package process

// Orphan is a child of an earlier life of this program that was found alive.
type Orphan struct {
	// PID is the process id that it had.
	PID int
	// Name is its Spec.Name.
	Name string
}

// ReapOrphans kills what an earlier life of this program left running, with its process groups, by the records in dir,
// and returns once they are dead, or after a second. Call it at boot, before any Start, and only while holding the
// lock on the state folder: the records of a living program describe no orphans.
//
// A process is killed only if it is surely the recorded one: same boot, same start time, and the record's nonce in its
// environment. Records whose process is gone are removed silently; those that cannot be read or describe somebody else
// are removed and reported in err, which wraps one error per record; the rest of the work is done all the same. The
// record of a process that could not be killed stays. Only Linux keeps records; elsewhere this does nothing.
func ReapOrphans(dir string) (killed []Orphan, err error) { return reapOrphans(dir) }
