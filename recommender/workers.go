package recommender

import (
	"context"
	"runtime"
)

// workersPerCPU is how many requests are worked at once, per processor, from the moment at which their
// user was read: enough to share a pass over the index, few enough that a request that is to be refused
// does not wait behind them for a processor.
const workersPerCPU = 8

// workers bounds the requests that use a processor. Those that wait use none.
type workers chan struct{}

func newWorkers(n int) workers {
	if n == 0 {
		n = workersPerCPU * runtime.GOMAXPROCS(0)
	}
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
