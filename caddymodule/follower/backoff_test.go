package follower

import (
	"errors"
	"fmt"
	"os"
	"testing"
	"time"
)

// The window of full jitter is 5 s at first and doubles to 30 s; the pauses fill it.
func TestBackoff(t *testing.T) {
	other, gone := errors.New("other"), fmt.Errorf("%w: refused", errUnreachable)
	for _, tt := range []struct {
		name string
		errs []error
		low  time.Duration // of the last pause
		high time.Duration
	}{
		{"the first failure", []error{other}, 0, 5 * time.Second},
		{"the second", []error{other, other}, 0, 10 * time.Second},
		{"the tenth", []error{other, other, other, other, other, other, other, other, other, other}, 0, 30 * time.Second},
		{"nobody is there, at first", []error{gone}, 0, 5 * time.Second},
		{"nobody is there, later", []error{other, other, gone, gone}, 1900 * time.Millisecond, 2700 * time.Millisecond},
		{"packets are lost", []error{other, fmt.Errorf("%w: %w", errUnreachable, os.ErrDeadlineExceeded)}, 0, time.Second},
		{"patience is asked for", []error{&busyError{retryAfter: 3 * time.Second}}, 3 * time.Second, 4 * time.Second},
		{"much patience is asked for", []error{&busyError{retryAfter: time.Hour}}, 30 * time.Second, 31 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var longest time.Duration
			for range 500 {
				var b backoff
				var got time.Duration
				for _, err := range tt.errs {
					got = b.after(err)
				}
				if got < tt.low || got >= tt.high {
					t.Fatalf("got %s, want %s to %s", got, tt.low, tt.high)
				}
				longest = max(longest, got)
			}
			if longest < tt.low+(tt.high-tt.low)*9/10 {
				t.Errorf("the longest of 500 pauses is %s; they do not fill the window to %s", longest, tt.high)
			}
		})
	}
}
