package train

import "github.com/sartorhq/sartor/models/kernel"

// rowSolver solves, or improves, a row. Fit is that of kernel.Solver.
type rowSolver interface {
	solve(x []float32, s *kernel.System) bool
	Fit() float64
}

func newRowSolver(o Options) rowSolver {
	if o.Steps > 0 {
		return descent{kernel.NewConjugate(o.Dim), o.Steps}
	}
	return exact{kernel.NewSolver(o.Dim)}
}

type exact struct{ *kernel.Solver }

func (e exact) solve(x []float32, s *kernel.System) bool {
	e.Reset(s.Gram, s.Ridge)
	e.Add(s.Rows, s.IDs, s.Weights)
	return e.Solve(x)
}

type descent struct {
	*kernel.Conjugate
	steps int
}

func (d descent) solve(x []float32, s *kernel.System) bool { return d.Improve(x, s, d.steps) }
