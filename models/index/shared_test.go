package index

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestSharedPassesFindTheSame has many searches go at once, each under a filter of its own, and wants of
// each what it finds alone.
func TestSharedPassesFindTheSame(t *testing.T) {
	const n, dim, workers = 20_000, 64, 24
	rng := rand.New(rand.NewPCG(1, 1))
	flat := NewFlat(dim, random(rng, n*dim))
	shared := flat.Share()
	if shared.limit != 0 {
		t.Fatal("an index that fits into the cache shares passes")
	}
	shared.limit = 1 // as on one processor: most searches wait
	var filters []Bitmap
	for _, share := range []float64{1, 0.5, 0.1, 0.001} {
		allowed := NewBitmap(n)
		for i := range n {
			if rng.Float64() < share {
				allowed.Set(i)
			}
		}
		filters = append(filters, allowed)
	}
	filters[0] = nil
	shared.running = 1 // a search is under way, until enough wait for its end
	var all sync.WaitGroup
	for w := range workers {
		rng := rand.New(rand.NewPCG(2, uint64(w)))
		queries := random(rng, 8*dim)
		all.Go(func() {
			for i := range 8 {
				q, k, allowed := queries[i*dim:(i+1)*dim], 1+w*17, filters[(w+i)%len(filters)]
				if got, want := shared.Search(q, k, allowed), flat.Search(q, k, allowed); !slices.Equal(got, want) {
					t.Errorf("worker %d, query %d: %d hits differ from those of a search alone", w, i, len(got))
				}
			}
		})
	}
	for waiting := 0; waiting < workers/2; runtime.Gosched() {
		shared.mu.Lock()
		waiting = len(shared.waiting)
		shared.mu.Unlock()
	}
	shared.handOver()
	all.Wait()
	if shared.running != 0 || len(shared.waiting) != 0 {
		t.Errorf("%d still run and %d wait after the last search", shared.running, len(shared.waiting))
	}
}

// TestPassThatPanicsLeavesNobodyWaiting breaks the leader of a pass in which others ride.
func TestPassThatPanicsLeavesNobodyWaiting(t *testing.T) {
	const n, dim = 5000, 64
	rng := rand.New(rand.NewPCG(1, 1))
	x := NewFlat(dim, random(rng, n*dim)).Share()
	x.running, x.limit = 1, 1 // a search is under way
	var done sync.WaitGroup
	q := random(rng, dim)
	done.Go(func() { x.Search(q, 10, nil) })
	for waiting := 0; waiting < 1; {
		x.mu.Lock()
		waiting = len(x.waiting)
		x.mu.Unlock()
	}
	x.mu.Lock()
	riders := append([]*rider{{}}, x.waiting...) // the first has no sieve
	x.waiting = nil
	x.mu.Unlock()
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the leader did not panic")
			}
		}()
		x.lead(riders, &pass{})
	}()
	done.Wait()
	if x.running != 0 {
		t.Errorf("%d run after the last search", x.running)
	}
}

// BenchmarkConcurrent prints searches a second of many at once, alone and sharing passes, at sizes within
// and beyond the processor's cache. It measures by itself; ns/op means nothing.
func BenchmarkConcurrent(b *testing.B) {
	for _, n := range []int{100_000, 1_000_000} {
		const dim, k = 64, 264
		rng := rand.New(rand.NewPCG(1, 1))
		flat := NewFlat(dim, random(rng, n*dim))
		queries := random(rng, 64*dim)
		rate := func(workers int, search func(dst []Hit, q []float32, k int, allowed Bitmap) []Hit) float64 {
			var count atomic.Int64
			var all sync.WaitGroup
			stop := time.Now().Add(time.Second)
			start := time.Now()
			for w := range workers {
				all.Go(func() {
					dst := make([]Hit, 0, k)
					for i := w; time.Now().Before(stop); i++ {
						dst = search(dst[:0], queries[i%64*dim:(i%64+1)*dim], k, nil)
						count.Add(1)
					}
				})
			}
			all.Wait()
			return float64(count.Load()) / time.Since(start).Seconds()
		}
		for _, workers := range []int{1, 4, 16, 64} {
			b.Run(fmt.Sprintf("n-%d-at-once-%d", n, workers), func(b *testing.B) {
				for b.Loop() {
				}
				alone, shared := rate(workers, flat.AppendSearch), rate(workers, flat.Share().AppendSearch)
				b.ReportMetric(alone, "alone/s")
				b.ReportMetric(shared, "shared/s")
				b.ReportMetric(shared/alone, "ratio")
			})
		}
	}
}
