package kernel

import (
	"math"
	"math/rand/v2"
	"testing"
)

func random(rng *rand.Rand, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(rng.NormFloat64())
	}
	return x
}

// dot64 is the reference: the sum and the sum of magnitudes, which bounds the rounding error.
func dot64(x, y []float32) (sum, size float64) {
	for i := range x {
		p := float64(x[i]) * float64(y[i])
		sum += p
		size += math.Abs(p)
	}
	return sum, size
}

func near(t *testing.T, what string, got float32, want, size float64) {
	t.Helper()
	if math.Abs(float64(got)-want) > 4e-6*size+1e-30 {
		t.Fatalf("%s = %v, want %v", what, got, want)
	}
}

func TestDotAndAxpyAtEveryLength(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for n := range 140 {
		x, y := random(rng, n), random(rng, n)
		want, size := dot64(x, y)
		near(t, "Dot", Dot(x, y), want, size)
		near(t, "dotGeneric", dotGeneric(x, y), want, size)
		fast, slow := append([]float32(nil), y...), append([]float32(nil), y...)
		Axpy(1.5, x, fast)
		axpyGeneric(1.5, x, slow)
		for i := range fast {
			near(t, "Axpy", fast[i], float64(slow[i]), math.Abs(float64(slow[i]))+1)
		}
	}
}

func TestRowsAndRowsAt(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 1))
	for _, dim := range []int{1, 3, 8, 16, 24, 64, 72, 100, 128, 20000} {
		for _, n := range []int{0, 1, 2, 3, 4, 5, 17, 64} {
			rows, q := random(rng, n*dim), random(rng, dim)
			ids := make([]int32, n)
			for i := range ids {
				ids[i] = int32(rng.IntN(n))
			}
			all, some := make([]float32, n), make([]float32, n)
			Rows(all, q, rows)
			RowsAt(some, q, rows, ids)
			for i := range n {
				want, size := dot64(q, rows[i*dim:(i+1)*dim])
				near(t, "Rows", all[i], want, size)
				at := int(ids[i])
				want, size = dot64(q, rows[at*dim:(at+1)*dim])
				near(t, "RowsAt", some[i], want, size)
			}
		}
	}
}

// A scan must give one row the same score wherever the row stands: ties are broken by row, and a
// filter must not change a score. So both scans, and the rows left over by the blocks of four, agree.
func TestScoreOfARowDoesNotDependOnTheScan(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 1))
	for _, dim := range []int{8, 24, 40, 64, 72, 136} {
		row, q := random(rng, dim), random(rng, dim)
		var rows []float32
		ids := make([]int32, 11)
		for i := range ids {
			rows = append(rows, row...)
			ids[i] = int32(i)
		}
		a, b := make([]float32, 11), make([]float32, 11)
		Rows(a, q, rows)
		RowsAt(b, q, rows, ids)
		for i := range a {
			if a[i] != a[0] || b[i] != a[0] {
				t.Fatalf("dim %d: the same row scores %v and %v by place", dim, a, b)
			}
		}
	}
}

func TestRowsAtRefusesARowOutOfRange(t *testing.T) {
	for _, id := range []int32{-1, 2, math.MaxInt32} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("id %d: no panic", id)
				}
			}()
			RowsAt(make([]float32, 1), make([]float32, 8), make([]float32, 16), []int32{id})
		}()
	}
}

func TestNextAbove(t *testing.T) {
	nan := float32(math.NaN())
	for _, n := range []int{0, 1, 31, 32, 33, 64, 100, 257} {
		for at := -1; at < n; at++ {
			x := make([]float32, n)
			for i := range x {
				x[i] = 1
				if i%7 == 0 {
					x[i] = nan
				}
			}
			want := n
			if at >= 0 {
				x[at], want = 2, at
			}
			for _, from := range []int{0, at / 2, max(at, 0)} {
				if got := NextAbove(x, from, 1); got != want {
					t.Fatalf("n %d: above at %d, got %d from %d", n, want, got, from)
				}
			}
		}
	}
	if got := NextAbove([]float32{1, 1}, 0, 1); got != 2 {
		t.Errorf("a value equal to the floor is above: %d", got)
	}
}

func TestFinite(t *testing.T) {
	inf := float32(math.Inf(1))
	for _, c := range []struct {
		x    []float32
		want bool
	}{{nil, true}, {[]float32{0, -1, math.MaxFloat32, math.SmallestNonzeroFloat32}, true},
		{[]float32{1, float32(math.NaN())}, false}, {[]float32{inf}, false}, {[]float32{-inf}, false}} {
		if got := Finite(c.x); got != c.want {
			t.Errorf("Finite(%v) = %v", c.x, got)
		}
	}
}

func TestScansDoNotAllocate(t *testing.T) {
	rows, q, scores, ids := make([]float32, 640), make([]float32, 64), make([]float32, 10), make([]int32, 10)
	if n := testing.AllocsPerRun(10, func() {
		Rows(scores, q, rows)
		RowsAt(scores, q, rows, ids)
		NextAbove(scores, 0, 1)
		Axpy(1, q, rows[:64])
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
