package main

import (
	"runtime"
	"testing"
)

// TestNetworkThread: one thread more than there are processors, however often it is asked for, and none where
// the environment says how many there are.
func TestNetworkThread(t *testing.T) {
	t.Cleanup(func() { networkThread() }) // other tests' servers have it
	t.Setenv("GOMAXPROCS", "")
	first := networkThread()
	for range 3 {
		if n, threads := networkThread(), runtime.GOMAXPROCS(0); n != first || threads != n+1 {
			t.Errorf("%d processors and %d threads, want %d and %d", n, threads, first, first+1)
		}
	}
	t.Setenv("GOMAXPROCS", "1")
	runtime.GOMAXPROCS(1)
	if n, threads := networkThread(), runtime.GOMAXPROCS(0); n != 1 || threads != 1 {
		t.Errorf("GOMAXPROCS says 1: %d processors and %d threads", n, threads)
	}
}
