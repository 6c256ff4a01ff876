package train

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/models"
	"github.com/sartorhq/sartor/models/kernel"
)

// TowerOptions say how the item feature tower is trained beside the tables. The zero value of a field
// means its default; without a Catalog there is no tower.
type TowerOptions struct {
	Catalog *Catalog
	Hidden  int // size of the hidden layer; default 64
	// IDDropout is the share of the items of a step whose rows of the tables count 0, so that the tower
	// learns to speak for new items; default 0.3.
	IDDropout float64
	// FeatureDropout is the share of an item's features that are left out in a step; default 0.1, negative = 0.
	FeatureDropout float64
	// At is the moment whose documents count; zero = the newest event of the log.
	At time.Time
	// Freeze leaves the tower as it was.
	Freeze bool
}

// tower is the item feature tower in training. All its numbers lie in one array, with the moments of
// Adam in two more, so that a state is three slices.
type tower struct {
	spec    *models.TowerSpec
	d, h    int
	starts  []int // features of the items of the problem
	of      []models.Feature
	weights []float32
	mean    []float32
	square  []float32
	sides   [2]towerSide // input and output
	crew    crew
}

// crew divides loops and products of matrices among workers; the result does not depend on their number.
type crew struct {
	workers int
	right   kernel.Packed
	work    []kernel.Work
}

func newCrew(workers int) crew { return crew{workers: workers, work: make([]kernel.Work, workers)} }

// each calls do for parts of 0 to n.
func (c *crew) each(n int, do func(lo, hi int)) {
	parallel(c.workers, n, 64, func(_, lo, hi int) { do(lo, hi) })
}

// product sets out to x y, with k numbers in a row of x and n in one of y.
func (c *crew) product(out, x kernel.Matrix, turnX bool, y kernel.Matrix, turnY bool, k, n int) {
	c.right.Reset(k, n)
	panels, rows := c.right.Panels(), len(out.Data)/out.Stride
	parallel(c.workers, panels, min(evenly(panels, c.workers), 4), func(_, lo, hi int) { c.right.Fill(lo, hi, y, turnY) })
	parallel(c.workers, rows, productRows(rows, c.workers), func(w, lo, hi int) {
		kernel.Multiply(out, lo, hi, x, turnX, &c.right, &c.work[w])
	})
}

// The sides of a tower.
const (
	inSide = iota
	outSide
)

// towerSide is one side of the tower with the work space of a step. Rows of matrices are items of the step.
type towerSide struct {
	w, mean, square models.TowerWeights // views
	items           []int32
	dropped         []bool // id dropout, by item of the step
	uses            [][]link
	touched         []int32 // rows of the embedding
	slot            []int32 // of a row among touched, else -1
	shown           []link  // features of the step; row is one of the embedding
	shownAt         []int
	x, hidden, y    kernel.Matrix
	dHidden, dX     kernel.Matrix
	dW1, dW2        kernel.Matrix
	db1             []float32
}

// cut lays the four arrays of a side over a slice.
func cut(all []float32, v, d, h int) models.TowerWeights {
	take := func(n int) []float32 {
		part := all[:n:n]
		all = all[n:]
		return part
	}
	return models.TowerWeights{Embed: take(v * d), W1: take(h * d), B1: take(h), W2: take(d * h)}
}

// newTower returns the tower of the options, or nil. A model to start from brings its own.
func newTower(p *problem, l *Log, o Options) (*tower, error) {
	t := &tower{d: o.Dim, h: o.LAE.Tower.Hidden, crew: newCrew(o.Workers)}
	var from *models.Tower
	var known []string
	if o.LAE.From != nil {
		from, known = o.LAE.From.Table().Tower, o.LAE.From.Table().IDs
	}
	if ok, err := t.read(l, p.ids, o.LAE.Tower, from, known); !ok || err != nil {
		return nil, err
	}
	t.allocate(o.Seed)
	if from != nil {
		for i, w := range []models.TowerWeights{from.In, from.Out} {
			to := t.sides[i].w
			copy(to.Embed, w.Embed)
			copy(to.W1, w.W1)
			copy(to.B1, w.B1)
			copy(to.W2, w.W2)
		}
	}
	return t, nil
}

// read chooses what the tower reads, or takes it from the tower of a model to start from, whose items have
// the ids known, and lists the features of the items: from the catalogue, else as that model had them. ok
// is false when there is to be no tower.
func (t *tower) read(l *Log, ids []string, o TowerOptions, from *models.Tower, known []string) (ok bool, err error) {
	at := o.At
	if at.IsZero() {
		at = l.Newest()
	}
	switch {
	case from != nil:
		t.spec, t.h = from.Spec, from.Hidden
	case o.Catalog == nil:
		return false, nil
	default:
		if t.spec, err = o.Catalog.towerSpec(ids, at); err != nil {
			return false, fmt.Errorf("train: %w", err)
		}
		if len(t.spec.Features) == 0 {
			return false, fmt.Errorf("train: no feature of the catalogue is shared by %d items: train without it: %w", minFeatureItems, ErrTooLittle)
		}
	}
	had := map[string][]models.Feature{}
	if from != nil {
		for j, id := range known {
			had[id] = from.Of[from.Starts[j]:from.Starts[j+1]]
		}
	}
	t.starts = append(t.starts, 0)
	for _, id := range ids {
		of := had[id]
		if o.Catalog != nil {
			if it := (&features.Item{}); o.Catalog.read(it, id, at) {
				of = t.spec.Of(it)
			}
		}
		t.of = append(t.of, of...)
		t.starts = append(t.starts, len(t.of))
	}
	return true, nil
}

// allocate makes the weights: small random embeddings, a random first layer, and a second one of zeros,
// with which the tower begins as a sum of embeddings.
func (t *tower) allocate(seed uint64) {
	v := len(t.spec.Features)
	one := v*t.d + 2*t.h*t.d + t.h
	t.weights, t.mean, t.square = make([]float32, 2*one), make([]float32, 2*one), make([]float32, 2*one)
	t.view()
	const spread = 0.05
	rng := rand.New(rand.NewPCG(seed, 0x70e4))
	for i := range t.sides {
		w := t.sides[i].w
		for k := range w.Embed {
			w.Embed[k] = float32(rng.NormFloat64() * spread)
		}
		for k := range w.W1 {
			w.W1[k] = float32(rng.NormFloat64() * math.Sqrt(2/float64(t.d)))
		}
		t.sides[i].slot = slices.Repeat([]int32{-1}, v)
	}
}

// view lays the sides over the arrays.
func (t *tower) view() {
	v, half := len(t.spec.Features), len(t.weights)/2
	for i := range t.sides {
		s := &t.sides[i]
		s.w, s.mean, s.square = cut(t.weights[i*half:], v, t.d, t.h), cut(t.mean[i*half:], v, t.d, t.h), cut(t.square[i*half:], v, t.d, t.h)
	}
}

// model returns the tower as a model keeps it.
func (t *tower) model() *models.Tower {
	v, half := len(t.spec.Features), len(t.weights)/2
	w := slices.Clone(t.weights)
	return &models.Tower{Spec: t.spec, Hidden: t.h, Starts: t.starts, Of: t.of, In: cut(w, v, t.d, t.h), Out: cut(w[half:], v, t.d, t.h)}
}

// draw prepares a side for the items of a step: which of them lose their row of the table, and which of
// their features are shown.
func (t *tower) draw(side int, rng *rand.Rand, items []int32, o TowerOptions) {
	s := &t.sides[side]
	s.items = items
	s.dropped, s.shown, s.shownAt = s.dropped[:0], s.shown[:0], append(s.shownAt[:0], 0)
	for _, j := range items {
		of := t.of[t.starts[j]:t.starts[j+1]]
		s.dropped = append(s.dropped, len(of) > 0 && rng.Float64() < o.IDDropout)
		for _, f := range of {
			if o.FeatureDropout <= 0 || rng.Float64() >= o.FeatureDropout {
				s.shown = append(s.shown, link{row: f.Row, weight: f.Weight})
			}
		}
		s.shownAt = append(s.shownAt, len(s.shown))
	}
	s.invert()
}

// invert lists for every feature of the step the items that have it, in their order.
func (s *towerSide) invert() {
	for _, r := range s.touched {
		s.slot[r] = -1
	}
	s.touched = s.touched[:0]
	for k := range s.items {
		for _, f := range s.shown[s.shownAt[k]:s.shownAt[k+1]] {
			at := s.slot[f.row]
			if at < 0 {
				at = int32(len(s.touched))
				s.slot[f.row], s.touched = at, append(s.touched, f.row)
				if len(s.uses) < len(s.touched) {
					s.uses = append(s.uses, nil)
				}
				s.uses[at] = s.uses[at][:0]
			}
			s.uses[at] = append(s.uses[at], link{row: int32(k), weight: f.weight})
		}
	}
}

// row adds the row of the table to the tower's output for item k of the step, unless the row was dropped,
// and returns the sum.
func (t *tower) row(side, k int, table []float32) []float32 {
	s := &t.sides[side]
	y := s.y.Row(k)
	if !s.dropped[k] {
		kernel.Axpy(1, table, y)
	}
	return y
}

// forward computes the tower's output for the items of the step into y:
//
//	x = sum of w_f Embed_f,   y = x + W2 relu(W1 x + B1)
func (t *tower) forward(side int) {
	s, n := &t.sides[side], len(t.sides[side].items)
	s.x, s.y, s.hidden = grown(s.x, n, t.d), grown(s.y, n, t.d), grown(s.hidden, n, t.h)
	t.crew.each(n, func(lo, hi int) {
		for k := lo; k < hi; k++ {
			x := s.x.Row(k)
			clear(x)
			for _, f := range s.shown[s.shownAt[k]:s.shownAt[k+1]] {
				kernel.Axpy(f.weight, s.w.Embed[int(f.row)*t.d:][:t.d], x)
			}
		}
	})
	t.crew.product(s.hidden, s.x, false, flat(s.w.W1, t.d), true, t.d, t.h)
	t.crew.each(n, func(lo, hi int) {
		for k := lo; k < hi; k++ {
			row := s.hidden.Row(k)
			for i, b := range s.w.B1 {
				row[i] = max(0, row[i]+b)
			}
		}
	})
	t.crew.product(s.y, s.hidden, false, flat(s.w.W2, t.h), true, t.h, t.d)
	t.crew.each(n, func(lo, hi int) {
		for k := lo; k < hi; k++ {
			kernel.Axpy(1, s.x.Row(k), s.y.Row(k))
		}
	})
}

// backward carries the gradient by the tower's output back to its weights: to dW1, dW2 and db1, and for
// the embedding, to that by x in dX. The rows of dY beyond the items of the step do not count.
func (t *tower) backward(side int, dY kernel.Matrix) {
	s, n := &t.sides[side], len(t.sides[side].items)
	s.dHidden, s.dX = grown(s.dHidden, n, t.h), grown(s.dX, n, t.d)
	s.dW1, s.dW2 = grown(s.dW1, t.h, t.d), grown(s.dW2, t.d, t.h)
	t.crew.product(s.dHidden, dY, false, flat(s.w.W2, t.h), false, t.d, t.h)
	t.crew.product(s.dW2, dY, true, s.hidden, false, n, t.h)
	t.crew.each(n, func(lo, hi int) {
		for k := lo; k < hi; k++ {
			g := s.dHidden.Row(k)
			for i, v := range s.hidden.Row(k) {
				if v <= 0 {
					g[i] = 0
				}
			}
		}
	})
	t.crew.product(s.dX, s.dHidden, false, flat(s.w.W1, t.d), false, t.h, t.d)
	t.crew.product(s.dW1, s.dHidden, true, s.x, false, n, t.d)
	s.db1 = slices.Grow(s.db1[:0], t.h)[:t.h]
	clear(s.db1)
	for k := range n {
		kernel.Axpy(1, s.dHidden.Row(k), s.db1)
		kernel.Axpy(1, dY.Row(k), s.dX.Row(k))
	}
}

// gradientOf sets g to the gradient by the i-th of the touched rows of the embedding.
func (s *towerSide) gradientOf(i int, g []float32) {
	clear(g)
	for _, use := range s.uses[i] {
		kernel.Axpy(use.weight, s.dX.Row(int(use.row)), g)
	}
}

// towerBackward carries the gradient by the tower's output back to its weights and moves them.
func (a *autoencoder) towerBackward(side int, dY kernel.Matrix, adam kernel.Adam) {
	a.tower.backward(side, dY)
	a.towerMove(&a.tower.sides[side], adam)
}

// towerMove takes the step of Adam on every weight that was used.
func (a *autoencoder) towerMove(s *towerSide, adam kernel.Adam) {
	t := a.tower
	adam.Step(s.w.B1, s.mean.B1, s.square.B1, s.db1)
	for r := range t.h {
		at := r * t.d
		adam.Step(s.w.W1[at:at+t.d], s.mean.W1[at:], s.square.W1[at:], s.dW1.Row(r))
	}
	for r := range t.d {
		at := r * t.h
		adam.Step(s.w.W2[at:at+t.h], s.mean.W2[at:], s.square.W2[at:], s.dW2.Row(r))
	}
	a.parallel(len(s.touched), func(worker, lo, hi int) {
		g := a.passes.gradient[worker]
		for i := lo; i < hi; i++ {
			s.gradientOf(i, g)
			at := int(s.touched[i]) * t.d
			adam.Step(s.w.Embed[at:at+t.d], s.mean.Embed[at:], s.square.Embed[at:], g)
		}
	})
}

// flat is a matrix whose rows lie close together.
func flat(data []float32, dim int) kernel.Matrix {
	return kernel.Matrix{Data: data, Dim: dim, Stride: dim}
}
