package recommender

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/sartorhq/sartor/features"
)

func TestWorkersAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorkers(2, new(usher))
		first, second := w.enter(t.Context()), w.enter(t.Context())
		entered := make(chan func())
		go func() { entered <- w.enter(t.Context()) }()
		synctest.Wait()
		select {
		case <-entered:
			t.Fatal("a third came in")
		default:
		}
		first()
		third := <-entered
		// Whoever runs out of time goes on without a place, and leaves none.
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		w.enter(ctx)()
		second()
		third()
		if len(w.places) != 0 {
			t.Errorf("%d places are taken in the end", len(w.places))
		}
		unbounded := newWorkers(-1, new(usher))
		for range 100 {
			unbounded.enter(t.Context())
		}
	})
}

// patience bounds a hang and judges nothing.
const patience = time.Minute

// ushered runs an usher beside a test and returns how to end it. It waits until it is there, where there can
// be one.
func ushered(t *testing.T, u *usher, free func()) (end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- u.run(ctx, free) }()
	end = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil && !errors.Is(err, os.ErrNoDeadline) {
			t.Error(err)
		}
	})
	t.Cleanup(end)
	for u.pipe.Load() == nil && runtime.GOOS != "windows" && t.Context().Err() == nil {
		runtime.Gosched()
	}
	return end
}

// TestUsherLetsIn has a place handed on by the usher, to who waits for it.
func TestUsherLetsIn(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there is no usher on Windows")
	}
	u := new(usher)
	w := newWorkers(1, u)
	freed := make(chan struct{}, 1)
	defer ushered(t, u, func() {
		w.free()
		select {
		case freed <- struct{}{}:
		default:
		}
	})()
	first := w.enter(t.Context())
	second := make(chan func())
	go func() { second <- w.enter(t.Context()) }()
	for w.waiting.Load() == 0 {
		runtime.Gosched()
	}
	first()
	<-freed // by no other way is it filled
	(<-second)()
	if n := len(w.places); n != 0 {
		t.Errorf("%d places are taken in the end", n)
	}
}

// TestNoPlaceIsLostOrGivenTwice has crowds take and leave places of two pools while they run out of time, by
// chance, and while ushers come and go under them.
func TestNoPlaceIsLostOrGivenTwice(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	for seed := range uint64(4) {
		u := new(usher)
		pools := []*workers{newWorkers(1, u), newWorkers(3, u)}
		free := func() {
			for _, w := range pools {
				w.free()
			}
		}
		var in [2]atomic.Int64
		var crowd sync.WaitGroup
		for person := range uint64(24) {
			rng := rand.New(rand.NewPCG(seed, person))
			crowd.Go(func() {
				for range 300 {
					p := rng.IntN(len(pools))
					w := pools[p]
					ctx, cancel := context.WithCancel(t.Context())
					switch rng.IntN(4) {
					case 0: // is late already
						cancel()
					case 1: // runs out of time about now
						go cancel()
					}
					if w.take(ctx) {
						if n := in[p].Add(1); n > int64(cap(w.places)) {
							t.Errorf("%d are in a pool of %d", n, cap(w.places))
						}
						for range rng.IntN(3) {
							runtime.Gosched()
						}
						in[p].Add(-1)
						w.leave()
					}
					cancel()
				}
			})
		}
		over := make(chan struct{})
		go func() { crowd.Wait(); close(over) }()
		limit := time.After(patience)
		for going := true; going; {
			end := ushered(t, u, free)
			for range 50 {
				runtime.Gosched()
			}
			end()
			select {
			case <-over:
				going = false
			case <-limit:
				t.Fatalf("after %v requests still wait: %d and %d places are taken", patience, len(pools[0].places), len(pools[1].places))
			default:
			}
		}
		for p, w := range pools {
			if len(w.places) != 0 || w.owed.Load() != 0 || w.waiting.Load() != 0 {
				t.Errorf("pool %d: %d places are taken in the end, %d owed, %d wait", p, len(w.places), w.owed.Load(), w.waiting.Load())
			}
		}
	}
}

// TestUsherThatFails gives places back although the pipe is broken under the usher.
func TestUsherThatFails(t *testing.T) {
	u := new(usher)
	w := newWorkers(1, u)
	r, pipe, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(r.Close(), pipe.Close()); err != nil {
		t.Fatal(err)
	}
	u.pipe.Store(pipe)
	for range 3 {
		leave := w.enter(t.Context())
		w.waiting.Add(1) // as if somebody waited
		leave()
		w.waiting.Add(-1)
	}
	if len(w.places) != 0 || w.owed.Load() != 0 {
		t.Errorf("%d places are taken in the end, %d owed", len(w.places), w.owed.Load())
	}
}

// TestUsherOnlyOne refuses a second usher, goes on with the first, and takes another one after its end. It
// works without a limit too, where there is nothing to do.
func TestUsherOnlyOne(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there is no usher on Windows")
	}
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	r := New(Options{Schema: features.Default(), Workers: -1})
	for range 2 {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- r.Usher(ctx) }()
		for r.usher.pipe.Load() == nil {
			runtime.Gosched()
		}
		if err := r.Usher(t.Context()); !errors.Is(err, ErrUsher) {
			t.Errorf("a second usher: %v, want ErrUsher", err)
		}
		if !r.usher.call() {
			t.Error("the first usher is gone")
		}
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the end of the usher: %v", err)
		}
		if r.usher.call() {
			t.Error("there is an usher after the end of the last")
		}
	}
}
