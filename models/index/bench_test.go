package index

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/sartorhq/sartor/models/kernel"
)

// least returns the shortest of 15 runs in microseconds: other programs disturb only upwards.
func least(f func()) float64 {
	shortest := math.Inf(1)
	for range 15 {
		start := time.Now()
		f()
		shortest = min(shortest, float64(time.Since(start).Nanoseconds())/1e3)
	}
	return shortest
}

// BenchmarkSearch prints microseconds of a search for 500 of n items of 64 dimensions, beside the
// limit of the same run: reading all vectors once, with the same kernel and no selection. It measures
// by itself; ns/op means nothing.
func BenchmarkSearch(b *testing.B) {
	const dim, k = 64, 500
	for _, n := range []int{10_000, 100_000, 1_000_000} {
		rng := rand.New(rand.NewPCG(1, 1))
		vectors, q := random(rng, n*dim), random(rng, dim)
		x, scores, dst := NewFlat(dim, vectors), make([]float32, chunk), make([]Hit, 0, k)
		scan := func() {
			for first := 0; first < n; first += chunk {
				m := min(chunk, n-first)
				kernel.Rows(scores[:m], q, vectors[first*dim:(first+m)*dim])
			}
		}
		for _, share := range []float64{1, 0.5, 0.05, 0.0005} {
			var allowed Bitmap
			if share < 1 {
				allowed = NewBitmap(n)
				for i := range n {
					if rng.Float64() < share {
						allowed.Set(i)
					}
				}
			}
			b.Run(fmt.Sprintf("n-%d-allowed-%g", n, share), func(b *testing.B) {
				for b.Loop() {
					dst = x.AppendSearch(dst[:0], q, k, allowed)
				}
				search, limit := least(func() { dst = x.AppendSearch(dst[:0], q, k, allowed) }), least(scan)
				b.ReportMetric(search, "us")
				b.ReportMetric(limit, "us-scan")
				b.ReportMetric(search/limit, "ratio")
				b.ReportMetric(float64(n*dim*4)/limit/1e3, "GB/s-scan")
			})
		}
	}
}
