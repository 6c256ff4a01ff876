package recommender

import "context"

// Requests use a processor from the moment at which their user was read. One for each processor does so at
// once: every further one would only make those before it late, and, waiting in line for a processor with
// them, what has come over the network would not be read (see DESIGN.md). Where searches share passes over
// the index more are let in: most of them wait for a pass, and use none.
const ridersPerWorker = 8

// workers bounds the requests that use a processor. Those that wait use none.
type workers chan struct{}

// newWorkers returns n places, negative = no limit.
func newWorkers(n int) workers {
	if n < 0 {
		return nil
	}
	return make(workers, n)
}

// enter waits for a place, at most until ctx is done, and returns how to leave it. Whoever got none goes on
// without: a late answer is better than none, and there is little left to do in the time.
func (w workers) enter(ctx context.Context) (leave func()) {
	if w == nil {
		return func() {}
	}
	select {
	case w <- struct{}{}:
	default:
		select {
		case w <- struct{}{}:
		case <-ctx.Done():
			return func() {}
		}
	}
	return func() { <-w }
}

// places returns the workers among whom a request takes a place.
func (r *Recommender) places(m *modelView) workers {
	if m != nil && m.index.SharesPasses() {
		return r.riders
	}
	return r.workers
}
