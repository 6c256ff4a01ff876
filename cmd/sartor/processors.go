package main

import (
	"context"
	"log/slog"
	"os"
	"runtime"
	"sync"

	"github.com/sartorhq/sartor/recommender"
)

// networkThread has Go run one thread more than there are processors, for a program that answers requests,
// and returns the number of processors, which is how many requests should use one at once.
//
// Go looks at the network when a thread has nothing else to do. While as many goroutines compute as there
// are threads, nothing that comes in is read for up to 10 ms: a request that is to be refused, or a reply of
// Redis, waits that long. A thread that has no request to compute leaves the sharing of processors to the
// system, which gives them at once to who slept. GOMAXPROCS in the environment is left as it is. It may be
// called again.
func networkThread() (processors int) {
	if os.Getenv("GOMAXPROCS") != "" {
		return min(runtime.GOMAXPROCS(0), runtime.NumCPU())
	}
	runtime.SetDefaultGOMAXPROCS() // takes the thread of an earlier call back
	processors = runtime.GOMAXPROCS(0)
	runtime.GOMAXPROCS(processors + 1)
	return processors
}

// usher runs the usher of a recommender until ctx is done. Without one refusals come later under overload,
// and nothing else is amiss.
func usher(ctx context.Context, rec *recommender.Recommender, logger *slog.Logger) {
	if err := rec.Usher(ctx); err != nil {
		logger.Info("waiting requests let each other in", "error", err)
	}
}

// ushered is usher beside what the caller does until it calls stop.
func ushered(ctx context.Context, rec *recommender.Recommender, logger *slog.Logger) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { usher(ctx, rec, logger) })
	return func() { cancel(); running.Wait() }
}
