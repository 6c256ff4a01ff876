//go:build !unix

package main

// peakMemory returns the largest resident size of the process; 0, as the system does not say.
func peakMemory() int64 { return 0 }

// resetPeak does nothing.
func resetPeak() {}
