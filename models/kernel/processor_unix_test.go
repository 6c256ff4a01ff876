//go:build unix

package kernel

import (
	"syscall"
	"time"
)

// clock is the time that this process has used of any core: what other programs take does not count.
func clock() time.Duration {
	var r syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &r) != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
