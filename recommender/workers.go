package recommender

import (
	"context"
	"sync/atomic"
)

// Requests use a processor from the moment at which their user was read. One for each processor does so at
// once: every further one would only make those before it late, and, waiting in line for a processor with
// them, what has come over the network would not be read (see DESIGN.md). Where searches share passes over
// the index more are let in: most of them wait for a pass, and use none.
const ridersPerWorker = 8

// workers bounds the requests that use a processor. Those that wait use none.
type workers struct {
	places  chan struct{} // holds who is in
	waiting atomic.Int64
	usher   *usher
	// owed are the places that were left and that the usher is to free.
	owed atomic.Int64
}

// newWorkers returns n places, negative = no limit. The usher, which may not be there yet, has to know of them.
func newWorkers(n int, u *usher) *workers {
	if n < 0 {
		return nil
	}
	return &workers{places: make(chan struct{}, n), usher: u}
}

// enter waits for a place, at most until ctx is done, and returns how to leave it. Whoever got none goes on
// without: a late answer is better than none, and there is little left to do in the time.
func (w *workers) enter(ctx context.Context) (leave func()) {
	if w == nil || !w.take(ctx) {
		return func() {}
	}
	return w.leave
}

// take tells whether there was a place before ctx was done.
func (w *workers) take(ctx context.Context) bool {
	select {
	case w.places <- struct{}{}:
		return true
	default:
	}
	w.waiting.Add(1)
	defer w.waiting.Add(-1)
	select {
	case w.places <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

// leave gives a place back: to the usher when somebody waits for it, else directly. Who begins to wait after
// the look finds the place free.
func (w *workers) leave() {
	if w.waiting.Load() == 0 {
		<-w.places
		return
	}
	w.owed.Add(1)
	if !w.usher.call() {
		w.free()
	}
}

// free frees what is owed. Of several who do so at once each frees a part.
func (w *workers) free() {
	for range w.owed.Swap(0) {
		<-w.places
	}
}

// places returns the workers among whom a request takes a place.
func (r *Recommender) places(m *modelView) *workers {
	if m != nil && m.index.SharesPasses() {
		return r.riders
	}
	return r.workers
}
