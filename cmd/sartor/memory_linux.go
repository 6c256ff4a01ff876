package main

import (
	"bytes"
	"os"
	"strconv"
)

// peakMemory returns the largest resident size of the process since it began, or since resetPeak; 0 where
// the system does not say.
func peakMemory() int64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, rest, _ := bytes.Cut(status, []byte("VmHWM:"))
	number, _, _ := bytes.Cut(bytes.TrimSpace(rest), []byte(" "))
	kib, err := strconv.ParseInt(string(number), 10, 64)
	if err != nil {
		return 0
	}
	return kib << 10
}

// resetPeak lets peakMemory begin anew; where the system does not allow that, it goes on from the start of
// the process.
func resetPeak() { _ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) }
