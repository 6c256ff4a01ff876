//go:build unix && !linux

package main

import (
	"runtime"
	"syscall"
)

// peakMemory returns the largest resident size of the process since it began; 0 where the system does not
// say.
func peakMemory() int64 {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	if runtime.GOOS == "darwin" || runtime.GOOS == "ios" { // bytes there, KiB elsewhere
		return int64(u.Maxrss)
	}
	return int64(u.Maxrss) << 10
}

// resetPeak does nothing: the system keeps one figure for the whole process.
func resetPeak() {}
