package kernel

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// written writes a test system down with both triangles of gram.
func written(s system) *System {
	gram, pad := slices.Clone(s.gram), Pad(s.m.Dim)
	for i := range pad {
		for j := range i {
			gram[i*pad+j] = gram[j*pad+i]
		}
	}
	return &System{Gram: gram, Ridge: s.ridge, Rows: s.m, IDs: s.ids, Weights: s.weights}
}

// As many steps as unknowns give the solution, up to rounding.
func TestConjugateArrivesAtTheSolution(t *testing.T) {
	rng := rand.New(rand.NewPCG(14, 1))
	for _, c := range []struct{ dim, stride, rows, picked int }{
		{1, 1, 5, 3}, {5, 7, 9, 4}, {8, 8, 20, 1}, {16, 16, 40, 64}, {24, 32, 40, 65}, {64, 64, 300, 0}, {64, 72, 300, 129},
	} {
		s := newSystem(rng, c.dim, c.stride, c.rows, c.picked)
		conjugate, x := NewConjugate(c.dim), make([]float32, c.dim)
		for range 2 { // the second round starts where the first ended, and stays
			if !conjugate.Improve(x, written(s), 2*c.dim) {
				t.Fatalf("%+v: not solved", c)
			}
			var worst, size, fit float64
			for i, v := range x {
				worst = max(worst, math.Abs(float64(v)-s.want[i]))
				size = max(size, math.Abs(s.want[i]))
			}
			if worst > 1e-4*size+1e-9 {
				t.Errorf("%+v: error %.2g of %.2g", c, worst, size)
			}
			solver, exact := NewSolver(c.dim), make([]float32, c.dim)
			solver.Reset(s.gram, s.ridge)
			solver.Add(s.m, s.ids, s.weights)
			if fit = conjugate.Fit(); !solver.Solve(exact) || math.Abs(fit-solver.Fit()) > 1e-4*(1e-6+solver.Fit()) {
				t.Errorf("%+v: fit %v, of the solver %v", c, fit, solver.Fit())
			}
		}
	}
}

// Every step lowers the quadratic form, from wherever it begins.
func TestConjugateNeverGoesAway(t *testing.T) {
	rng := rand.New(rand.NewPCG(15, 1))
	for range 20 {
		s := newSystem(rng, 32, 32, 100, 40)
		conjugate, x := NewConjugate(32), random(rng, 32)
		if !conjugate.Improve(x, written(s), 0) {
			t.Fatal("not finite")
		}
		last := conjugate.Fit()
		for range 6 {
			conjugate.Improve(x, written(s), 1)
			if conjugate.Fit() < last-1e-4*math.Abs(last) {
				t.Fatalf("the fit fell from %v to %v", last, conjugate.Fit())
			}
			last = conjugate.Fit()
		}
	}
}

func TestConjugateKnownAnswer(t *testing.T) {
	// As in TestSolverKnownAnswer; one unknown needs one step.
	c, x := NewConjugate(2), make([]float32, 2)
	s := &System{Gram: make([]float32, 16*16), Ridge: 1, Rows: Matrix{Data: []float32{9, 9, 2, 0}, Dim: 2, Stride: 2},
		IDs: []int32{1}, Weights: []float32{3}}
	if !c.Improve(x, s, 1) || math.Abs(float64(x[0])-6.0/13) > 1e-6 || x[1] != 0 || math.Abs(c.Fit()-36.0/13) > 1e-5 {
		t.Errorf("got %v, fit %v", x, c.Fit())
	}
}

func TestConjugateRefusesWhatIsNotFinite(t *testing.T) {
	for _, bad := range []float32{float32(math.NaN()), float32(math.Inf(1))} {
		s := &System{Gram: make([]float32, 16*16), Ridge: 1, Rows: Matrix{Data: []float32{bad, 1}, Dim: 2, Stride: 2},
			IDs: []int32{0}, Weights: []float32{3}}
		x := []float32{1, 2}
		if NewConjugate(2).Improve(x, s, 3) || x[0] != 1 || x[1] != 2 {
			t.Errorf("%v: improved to %v", bad, x)
		}
	}
}
