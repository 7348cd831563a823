package process

import (
	"os"
	"syscall"
	"time"
)

// Exit says how a child ended.
type Exit struct {
	// Code is the exit code; -1 when a signal ended the child.
	Code int
	// Signal is the signal that ended the child; 0 when it exited by itself, also in answer to a signal (FFmpeg
	// answers SIGTERM with code 255).
	Signal syscall.Signal
	// Started and Ended span the child's life; both carry the monotonic clock.
	Started, Ended time.Time
	// Asked tells that Stop or Kill was called while the child was alive: the end is ours, not a failure.
	Asked bool
}

// codeAndSignal reads what the kernel says about a reaped child. A nil state means that somebody else reaped it.
func codeAndSignal(state *os.ProcessState) (int, syscall.Signal) {
	if state == nil {
		return -1, 0
	}
	if ws, ok := state.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return -1, ws.Signal()
	}
	return state.ExitCode(), 0
}
