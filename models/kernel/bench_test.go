package kernel

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// peak measures what the core can do at most on L1 data with the widest kernel here: the tile of the
// symmetric rank-k update, whose FMAs are independent. It is the limit beside which figures stand.
func peak() float64 {
	rng := rand.New(rand.NewPCG(1, 1))
	const k = 128
	a, c := random(rng, k*16), make([]float32, 256)
	return best(2*16*16*k, func() { tilesAdd(a, a, c, c, &strides{16, 16, 16, 16}, k, 1) })
}

// best returns the best rate of a function, in units of 1e9 a second of the processor, of 60 short runs: other
// programs disturb a measurement only downwards, as they take its place in the caches.
func best(units float64, f func()) float64 {
	rate := 0.0
	for range 60 {
		rate = max(rate, once(units, f))
	}
	return rate
}

// beside returns the best rates of two functions that take turns, so that both meet the same machine.
func beside(units float64, f func(), limitUnits float64, limit func()) (rate, most float64) {
	for range 60 {
		rate, most = max(rate, once(units, f)), max(most, once(limitUnits, limit))
	}
	return rate, most
}

// once returns the rate of one run of at least 0.3 ms.
func once(units float64, f func()) float64 {
	start, took, n := clock(), time.Duration(0), 0
	for took < 300*time.Microsecond {
		for range 4 {
			f()
		}
		n += 4
		took = clock() - start
	}
	return units * float64(n) / float64(took.Nanoseconds())
}

// BenchmarkKernels prints GFLOP/s of each kernel, of its twin, and the ratio to the peak of the same
// run. It measures by itself; ns/op means nothing.
func BenchmarkKernels(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 1))
	limit := peak()
	report := func(name string, units float64, fast, slow func()) {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				fast()
			}
			f, s := best(units, fast), best(units, slow)
			b.ReportMetric(f, "GFLOP/s")
			b.ReportMetric(s, "GFLOP/s-purego")
			b.ReportMetric(f/s, "ratio")
			b.ReportMetric(100*f/limit, "%-of-peak")
		})
	}
	for _, dim := range []int{64, 128} {
		const n = 64
		rows, q, scores, ids := random(rng, n*dim), random(rng, dim), make([]float32, n), make([]int32, n)
		for i := range ids {
			ids[i] = int32((i * 7) % n)
		}
		var sink float32
		each := func(f func(row []float32)) func() { // many calls, so that reading the clock does not count
			return func() {
				for i := range n {
					f(rows[i*dim : (i+1)*dim])
				}
			}
		}
		report(fmt.Sprintf("dot-%d", dim), float64(2*n*dim), each(func(row []float32) { sink += Dot(q, row) }),
			each(func(row []float32) { sink += dotGeneric(q, row) }))
		report(fmt.Sprintf("rows-%d", dim), float64(2*n*dim), func() { Rows(scores, q, rows) }, func() { rowsGeneric(scores, q, rows, dim) })
		report(fmt.Sprintf("rowsat-%d", dim), float64(2*n*dim), func() { RowsAt(scores, q, rows, ids) }, func() { rowsAtGeneric(scores, q, rows, ids) })
		report(fmt.Sprintf("axpy-%d", dim), float64(2*n*dim), each(func(row []float32) { Axpy(1e-9, q, row) }),
			each(func(row []float32) { axpyGeneric(1e-9, q, row) }))
	}
	a, c, ld := random(rng, 64*64), make([]float32, 16*64), &strides{64, 64, 64, 64}
	report("tiles-k64", 2*16*64*64, func() { tilesAdd(a, a, c, c, ld, 64, 4) }, func() { tilesGeneric(a, a, c, c, ld, 64, 4, 1) })
	for _, dim := range []int{64, 128} {
		rows, x, y := random(rng, 64*dim), random(rng, 64), make([]float32, dim)
		report(fmt.Sprintf("combine-%d", dim), float64(2*64*dim), func() { combine(y, x, rows, dim) }, func() { combineGeneric(y, x, rows, dim) })
	}
}

// BenchmarkSolve is one user of ALS: rows gathered from a large matrix, system built and solved.
func BenchmarkSolve(b *testing.B) {
	for _, dim := range []int{64, 128} {
		for _, rows := range []int{1, 30, 100} {
			b.Run(fmt.Sprintf("dim-%d-rows-%d", dim, rows), func(b *testing.B) {
				s := newSystem(rand.New(rand.NewPCG(1, 1)), dim, dim, 1000, rows)
				solver, x := NewSolver(dim), make([]float32, dim)
				for b.Loop() {
					solver.Reset(s.gram, s.ridge)
					solver.Add(s.m, s.ids, s.weights)
					solver.Solve(x)
				}
			})
		}
	}
}
