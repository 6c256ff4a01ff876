package main

import (
	"fmt"
	"runtime/debug"
	"time"
)

// gcWhileReading is how much garbage, in percent of what is kept, may lie about while events are read into
// memory: what they leave behind would else take as much again as the events. Most of what is kept has no
// pointers, so that looking through it more often costs little.
const gcWhileReading = 20

// meter measures what a part of a run costs, from newMeter on.
type meter struct{ began time.Duration }

// newMeter gives what nobody needs any more back to the system first, or it would count as the part's.
func newMeter() meter {
	debug.FreeOSMemory()
	resetPeak()
	return meter{began: processCPU()}
}

// cost returns what has been used since.
func (m meter) cost() cost {
	return cost{Processor: processCPU() - m.began, Memory: peakMemory()}
}

// cost is what a part of a run used. 0 = the system does not say.
type cost struct {
	Processor time.Duration // of all threads
	Memory    int64         // bytes, resident, of the whole process
}

// String says it for people.
func (c cost) String() string {
	return fmt.Sprintf("%.1f processor seconds, peak memory %.0f MiB", c.Processor.Seconds(), mebi(c.Memory))
}

func mebi(bytes int64) float64 { return float64(bytes) / (1 << 20) }
