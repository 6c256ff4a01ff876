package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
)

// A server that answers requests may make so much garbage before it is collected, a part of the memory that it
// may use. Go's own measure is what lives: beside a small catalogue of 15 MiB, answers would be interrupted a
// dozen times a second, for a fifteenth of a processor. While it collects, Go looks at the network late, so that
// a collection every two seconds is what the slowest hundredth of the refusals waits for. More than that lives,
// as before, and with GOMEMLIMIT no more is used than it says.
const (
	gcRoomLeast = 128 << 20
	gcRoomMost  = 512 << 20
	gcRoomPart  = 32 // of the memory
)

// gcRoom is the room in so much memory, 0 = unknown.
func gcRoom(memory uint64) uint64 { return min(max(memory/gcRoomPart, gcRoomLeast), gcRoomMost) }

// gcKeeper has garbage collected when there is as much of it as lives, or room if that is more.
type gcKeeper struct {
	room            uint64
	mu              sync.Mutex
	before, percent int
	stopped         bool
}

// keepGCRoom begins, unless GOGC in the environment says otherwise; stop goes back to what held before.
func keepGCRoom() (stop func()) {
	if os.Getenv("GOGC") != "" {
		return func() {}
	}
	k := &gcKeeper{room: gcRoom(usableMemory()), percent: 100}
	k.before = debug.SetGCPercent(k.percent)
	k.adjust(0)
	return func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.stopped = true
		debug.SetGCPercent(k.before)
	}
}

// gcBeat is dead from the start: its cleanup says that garbage was collected.
type gcBeat struct{ _ [64]byte }

// adjust sets the percentage by what lives now, and again after the next collection: a catalogue that is being
// loaded grows by leaps, and a percentage that was right for little would let much of it pile up.
func (k *gcKeeper) adjust(int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.stopped {
		return
	}
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	if p := gcPercent(k.room, sample[0].Value.Uint64()); p < k.percent || p > k.percent+k.percent/8 { // to set it halts all
		k.percent = p
		debug.SetGCPercent(p)
	}
	runtime.AddCleanup(new(gcBeat), k.adjust, 0)
}

// gcPercent is the share of what lives that the room is, in percent, at least 100.
func gcPercent(room, live uint64) int {
	const most = 3200
	return int(min(max(100*room/max(live, 1), 100), most))
}
