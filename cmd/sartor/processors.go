package main

import (
	"os"
	"runtime"
)

// networkThread has Go run one thread more than there are processors, for a program that answers requests,
// and returns the number of processors, which is how many requests should use one at once.
//
// Go looks at the network when a thread has nothing else to do. While as many goroutines compute as there
// are threads, nothing that comes in is read for up to 10 ms: a request that is to be refused, or a reply of
// Redis, waits that long. A thread that has no request to compute leaves the sharing of processors to the
// system, which gives them at once to who slept. GOMAXPROCS in the environment is left as it is.
func networkThread() (processors int) {
	processors = min(runtime.GOMAXPROCS(0), runtime.NumCPU())
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(processors + 1)
	}
	return processors
}
