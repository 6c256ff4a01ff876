package train

import (
	"cmp"
	"errors"
	"fmt"
	"math"

	"github.com/sartorhq/sartor/models/kernel"
)

// The shapes of a Schedule.
const (
	Cosine   = "cosine"   // falls along half a cosine to Floor
	Plateau  = "plateau"  // halves whenever a measurement is no better
	Constant = "constant" // stays
)

// Schedule is the learning rate over the course of a training. The zero value of a field means its
// default.
type Schedule struct {
	Rate   float64 // the highest; default 0.003
	Warmup int     // steps in which it grows to Rate; default 200, negative = none
	Shape  string  // default Cosine
	Floor  float64 // share of Rate at which a cosine ends; default 0.02, negative = 0
}

func (s Schedule) withDefaults() Schedule {
	return Schedule{Rate: cmp.Or(s.Rate, 0.003), Warmup: max(cmp.Or(s.Warmup, 200), 0), Shape: cmp.Or(s.Shape, Cosine),
		Floor: max(cmp.Or(s.Floor, 0.02), 0)}
}

// Validate refuses a schedule that means nothing.
func (s Schedule) Validate() error {
	s = s.withDefaults()
	switch {
	case !(s.Rate > 0 && s.Rate <= 1):
		return fmt.Errorf("the learning rate is %v: need more than 0, at most 1", s.Rate)
	case s.Shape != Cosine && s.Shape != Plateau && s.Shape != Constant:
		return fmt.Errorf("the learning rate's shape is %q: it can be %s, %s or %s", s.Shape, Cosine, Plateau, Constant)
	case !(s.Floor <= 1):
		return fmt.Errorf("the learning rate ends at %v of its height: need at most 1", s.Floor)
	}
	return nil
}

// at returns the rate of a step, counted from 0, when the share done of the training has passed and
// measurements were no better so many times.
func (s Schedule) at(step int, done float64, worse int) float64 {
	rate := s.Rate
	if step < s.Warmup {
		rate *= float64(step+1) / float64(s.Warmup)
	}
	switch s.Shape {
	case Cosine:
		rate *= s.Floor + (1-s.Floor)*0.5*(1+math.Cos(math.Pi*min(max(done, 0), 1)))
	case Plateau:
		rate *= math.Exp2(-float64(worse))
	}
	return rate
}

// errDiverged says that a step was not made, since it would have broken the model.
var errDiverged = errors.New("lower the learning rate or clip the gradient")

// clipping returns the factor that brings a gradient whose squares add up to sum to at most the given
// norm; limit 0 = no bound. A gradient that is not finite is an error.
func clipping(sum, limit float64) (factor float32, err error) {
	norm := math.Sqrt(sum)
	switch {
	case math.IsNaN(norm) || math.IsInf(norm, 0):
		return 0, fmt.Errorf("the gradient is not finite: %w", errDiverged)
	case limit > 0 && norm > limit:
		return float32(limit / norm), nil
	}
	return 1, nil
}

// scaled multiplies x by factor.
func scaled(x []float32, factor float32) {
	if factor == 1 {
		return
	}
	for i := range x {
		x[i] *= factor
	}
}

// moments are weights with what AdamW knows of them; all have one length.
type moments struct {
	values, mean, square []float32
}

// step moves the part from lo to hi against the gradient.
func (m *moments) step(a kernel.Adam, lo, hi int, gradient []float32) {
	a.Step(m.values[lo:hi], m.mean[lo:hi], m.square[lo:hi], gradient)
}
