package recommender

import (
	"sync"
	"time"
)

// breaker keeps a failing dependency from costing every request its time budget: after threshold
// failures in a row it refuses at once, then lets one probe through after a pause that doubles
// from minPause up to maxPause while probes fail. One success closes it.
type breaker struct {
	threshold          int
	minPause, maxPause time.Duration
	now                func() time.Time

	mu       sync.Mutex
	failures int // in a row
	pause    time.Duration
	until    time.Time // refuse before this moment while open
	open     bool
	probing  bool
}

func newBreaker(threshold int, minPause, maxPause time.Duration, now func() time.Time) *breaker {
	return &breaker{threshold: threshold, minPause: minPause, maxPause: maxPause, now: now}
}

// allow tells whether a call may be made. Whoever gets true must report the outcome with done.
func (b *breaker) allow() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.open {
		return true
	}
	if b.probing || b.now().Before(b.until) {
		return false
	}
	b.probing = true
	return true
}

// outcome is how a call ended. A call that its own client abandoned says nothing of the dependency.
type outcome int

const (
	succeeded outcome = iota
	failed
	abandoned
)

// done reports the outcome of an allowed call.
func (b *breaker) done(o outcome) {
	b.mu.Lock()
	defer b.mu.Unlock()
	wasProbe := b.probing
	b.probing = false
	switch {
	case o == succeeded:
		b.failures, b.open, b.pause = 0, false, 0
	case o == abandoned:
	case b.open && !wasProbe: // a straggler from before the breaker opened
	default:
		b.failures++
		if b.open || b.failures >= b.threshold {
			b.open = true
			b.pause = min(max(2*b.pause, b.minPause), b.maxPause)
			b.until = b.now().Add(b.pause)
		}
	}
}

// failing tells whether the latest call failed, whether or not calls are refused for it yet.
func (b *breaker) failing() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.open || b.failures > 0
}

// isOpen tells whether calls are refused at the moment, for metrics and status.
func (b *breaker) isOpen() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.open
}
