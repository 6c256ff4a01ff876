package main

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"sync"
	"time"

	"github.com/sartorhq/sartor/models/index"
)

// The searches of the part index.
const (
	ivfQueries  = 64
	ivfHits     = 500
	ivfTopHits  = 100
	goalRecall  = 0.95
	vectorsPart = 1 << 14 // vectors that one generator of random numbers makes
)

// vectorsOnly tells whether nothing but vectors is measured: then no catalogue is made, which at ten
// million items would not fit beside them.
func (o *benchServeOptions) vectorsOnly() bool { return len(o.only) == 1 && o.only[0] == partIndex }

// indexes sets the approximate index beside the exact one over the same vectors.
func (b *benchServeRun) indexes(ctx context.Context, n int) error {
	b.printf("\n%s VECTORS of %d dimensions, no catalogue\n", thousands(int64(n)), b.opts.factors)
	vectors := benchVectors(n, b.opts.factors)
	exact, took, spent := buildTimed(func() *index.Flat { return index.NewFlat(b.opts.factors, vectors) })
	b.printf("  %-46s %9s   CPU %s, %d B an item beside its floats\n", "exact index, built in", took.Round(time.Millisecond), spent.Round(time.Millisecond), b.opts.factors+4)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	before := heapBytes()
	ivf, took, spent := buildTimed(func() *index.IVF { return index.NewIVF(b.opts.factors, vectors, index.IVFOptions{}) })
	own := (heapBytes()-before)/int64(n) + int64(b.opts.factors) // the codes are not in the heap
	b.printf("  %-46s %9s   CPU %s, %d B an item beside its floats\n", "approximate index (IVF), built in", took.Round(time.Millisecond), spent.Round(time.Millisecond), own)
	b.printf("  %-46s %9d   of %d, chosen for a recall of %.3f\n", "  groups that a search looks at", ivf.Probes(), ivf.Groups(), ivf.Recall())
	b.printf("  %-46s %9s %9s %9s %9s   recall of the best %d, of %d\n", fmt.Sprintf("the best %d, queries made of three items", ivfHits), "exact p50", "p99", "IVF p50", "p99", ivfTopHits, ivfHits)
	worst := 1.0
	for _, f := range []float64{1, 0.5, 0.05, 0.005} {
		r := b.searches(exact, ivf, vectors, f)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		worst = min(worst, r.recallTop)
		b.printf("  %-46s %9s %9s %9s %9s   %.3f, %.3f\n", fmt.Sprintf("  %g %% allowed", 100*f), millis(r.exact.P50), millis(r.exact.P99), millis(r.ivf.P50), millis(r.ivf.P99), r.recallTop, r.recall)
	}
	b.verdict(fmt.Sprintf("recall of the best %d at least %.2f", ivfTopHits, goalRecall), worst >= goalRecall, "%.3f under the worst filter", worst)
	runtime.KeepAlive(vectors)
	return nil
}

func buildTimed[T any](build func() T) (out T, took, spent time.Duration) {
	begin, before := time.Now(), processCPU()
	out = build()
	return out, time.Since(begin), processCPU() - before
}

// searchResult is what both indexes did with the same queries.
type searchResult struct {
	exact, ivf        spread
	recallTop, recall float64
}

// searches asks both indexes in turn, with a share of the rows allowed.
func (b *benchServeRun) searches(exact *index.Flat, ivf *index.IVF, vectors []float32, share float64) (out searchResult) {
	dim, rng := b.opts.factors, rand.New(rand.NewPCG(5, uint64(share*1000)))
	n := len(vectors) / dim
	var allowed index.Bitmap
	if share < 1 {
		allowed = index.NewBitmap(n)
		for i := range n {
			if rng.Float64() < share {
				allowed.Set(i)
			}
		}
	}
	q := make([]float32, dim)
	var hits [2][]index.Hit
	var took [2][]time.Duration
	var topFound, topAll, found, all int
	for range ivfQueries {
		clear(q)
		for range 3 {
			row := rng.IntN(n)
			for j, v := range vectors[row*dim : (row+1)*dim] {
				q[j] += v
			}
		}
		for i, search := range []func(dst []index.Hit) []index.Hit{
			func(dst []index.Hit) []index.Hit { return exact.AppendSearch(dst, q, ivfHits, allowed) },
			func(dst []index.Hit) []index.Hit { return ivf.AppendSearch(dst, q, ivfHits, allowed) },
		} {
			begin := time.Now()
			hits[i] = search(hits[i][:0])
			took[i] = append(took[i], time.Since(begin))
		}
		f, a := shared(hits[0], hits[1], ivfTopHits)
		topFound, topAll = topFound+f, topAll+a
		f, a = shared(hits[0], hits[1], ivfHits)
		found, all = found+f, all+a
	}
	out.exact, out.ivf = spreadOf(took[0]), spreadOf(took[1])
	out.recallTop, out.recall = float64(topFound)/float64(max(topAll, 1)), float64(found)/float64(max(all, 1))
	return out
}

// shared counts which of the first k true hits are among the first k that were found.
func shared(truth, found []index.Hit, k int) (n, of int) {
	in := make(map[int]bool, k)
	for _, h := range found[:min(k, len(found))] {
		in[h.Row] = true
	}
	truth = truth[:min(k, len(truth))]
	for _, h := range truth {
		if in[h.Row] {
			n++
		}
	}
	return n, len(truth)
}

// benchVectors are item vectors as benchModel makes them, by all processors and the same for any number of
// them: tastes in clusters, a falling spectrum, sizes with a long tail.
func benchVectors(n, dim int) []float32 {
	const clusters = 200
	rng := rand.New(rand.NewPCG(3, 3))
	fall := make([]float32, dim)
	for j := range fall {
		fall[j] = float32(1 / math.Pow(1+float64(j), 0.35))
	}
	centres := make([]float32, clusters*dim)
	for i := range centres {
		centres[i] = float32(rng.NormFloat64()) * fall[i%dim]
	}
	out := make([]float32, n*dim)
	parts := make(chan int)
	var done sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		done.Go(func() {
			for first := range parts {
				rng := rand.New(rand.NewPCG(3, uint64(first)))
				for i := first; i < min(first+vectorsPart, n); i++ {
					size := float32(0.2 * math.Exp(0.45*rng.NormFloat64()))
					centre, row := centres[rng.IntN(clusters)*dim:], out[i*dim:(i+1)*dim]
					for j := range row {
						row[j] = size * (centre[j] + 0.5*fall[j]*float32(rng.NormFloat64()))
					}
				}
			}
		})
	}
	for first := 0; first < n; first += vectorsPart {
		parts <- first
	}
	close(parts)
	done.Wait()
	return out
}
