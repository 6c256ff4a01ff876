package train

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/sartorhq/sartor/models"
	"github.com/sartorhq/sartor/models/kernel"
)

// neighbourCount is how many neighbours of an item are kept by ItemKNN.
const neighbourCount = 200

// ItemKNN builds the baseline "who wanted this also wanted": the weight of two items is the cosine of
// their columns of confidences, and each item keeps its neighbourCount nearest.
func ItemKNN(ctx context.Context, l *Log, o Options) (*models.Neighbours, Report, error) {
	o = o.withDefaults()
	start := o.Now()
	p, err := weigh(l, o)
	if err != nil {
		return nil, Report{}, err
	}
	p.turn()
	n := len(p.ids)
	norms := make([]float64, n)
	for j := range norms {
		_, values := p.byItem.row(j)
		for _, v := range values {
			norms[j] += float64(v) * float64(v)
		}
	}
	nearest := make([][]link, n)
	work := make([]covisits, o.Workers)
	parallel(o.Workers, n, 64, func(worker, lo, hi int) {
		w := &work[worker]
		if w.sums == nil {
			w.sums = make([]float64, n)
		}
		for i := lo; i < hi && ctx.Err() == nil; i++ {
			nearest[i] = slices.Clone(p.nearest(i, norms, w))
		}
	})
	if err := ctx.Err(); err != nil {
		return nil, Report{}, fmt.Errorf("train: %w", err)
	}
	return p.neighbours(l, o, models.KindItemKNN, p.table(nearest), Report{Elapsed: o.Now().Sub(start)})
}

// table lays the neighbours out.
func (p *problem) table(nearest [][]link) models.NeighbourTable {
	t := models.NeighbourTable{IDs: p.ids, Starts: make([]int, 1, len(nearest)+1), Popularity: p.popularity}
	total := 0
	for _, list := range nearest {
		total += len(list)
		t.Starts = append(t.Starts, total)
	}
	t.Items, t.Weights = make([]int32, 0, total), make([]float32, 0, total)
	for _, list := range nearest {
		for _, x := range list {
			t.Items, t.Weights = append(t.Items, x.row), append(t.Weights, x.weight)
		}
	}
	return t
}

// covisits is the work space of one worker: 20 bytes for each item, whatever there is to count.
type covisits struct {
	sums  []float64 // by item; all zero between two items
	found []int32   // the items whose sum is not zero
	list  []link
}

// nearest returns the nearest neighbours of item i by descending weight, ties by row, in the work space.
func (p *problem) nearest(i int, norms []float64, w *covisits) []link {
	w.found, w.list = w.found[:0], w.list[:0]
	users, mine := p.byItem.row(i)
	for k, u := range users {
		cols, values := p.byUser.row(int(u))
		weight := float64(mine[k])
		for at, j := range cols {
			if w.sums[j] == 0 {
				w.found = append(w.found, j)
			}
			w.sums[j] += weight * float64(values[at])
		}
	}
	for _, j := range w.found {
		if int(j) != i {
			w.list = append(w.list, link{row: j, weight: float32(w.sums[j] / math.Sqrt(norms[i]*norms[j]))})
		}
		w.sums[j] = 0
	}
	w.list = first(w.list, neighbourCount)
	slices.SortFunc(w.list, nearer)
	return w.list
}

// nearer orders neighbours by descending weight, ties by row.
func nearer(a, b link) int {
	switch {
	case a.weight > b.weight:
		return -1
	case a.weight < b.weight:
		return 1
	}
	return int(a.row) - int(b.row)
}

// first returns the n links that nearer puts before all others, in any order: what a whole sort would, in
// time that grows with their number alone (Hoare's quickselect). It moves the links about.
func first(list []link, n int) []link {
	if len(list) <= n {
		return list
	}
	for lo, hi := 0, len(list)-1; lo < hi; {
		pivot := list[lo+(hi-lo)/2] // no two links are equal: their rows differ
		i, j := lo, hi
		for i <= j {
			for nearer(list[i], pivot) < 0 {
				i++
			}
			for nearer(list[j], pivot) > 0 {
				j--
			}
			if i <= j {
				list[i], list[j] = list[j], list[i]
				i, j = i+1, j-1
			}
		}
		switch {
		case n-1 <= j:
			hi = j
		case n-1 >= i:
			lo = i
		default:
			return list[:n]
		}
	}
	return list[:n]
}

func (p *problem) neighbours(l *Log, o Options, kind string, t models.NeighbourTable, r Report) (*models.Neighbours, Report, error) {
	r.Users, r.Items, r.Pairs, r.Events, r.Epochs = p.byUser.rows(), len(p.ids), len(p.byUser.cols), p.events, 1
	about := meta(l, o, r)
	about.Kind = kind
	m, err := models.NewNeighbours(about, o.Signal, t)
	return m, r, err
}

// EASE builds the closed-form linear autoencoder of Steck, for catalogues of at most
// models.MaxDenseItems items: with X the confidences, scaled to a mean of 1, and lambda the ridge,
//
//	P = (X'X + lambda Id)^-1,  W_ij = - P_ij / P_jj off the diagonal, 0 on it
func EASE(ctx context.Context, l *Log, o Options) (*models.Neighbours, Report, error) {
	o.Lambda = cmp.Or(o.Lambda, 300)
	o = o.withDefaults()
	start := o.Now()
	p, err := weigh(l, o)
	if err != nil {
		return nil, Report{}, err
	}
	n := len(p.ids)
	if n > models.MaxDenseItems {
		return nil, Report{}, fmt.Errorf("train: %d items are too many for EASE, which inverts a matrix of items by items: at most %d", n, models.MaxDenseItems)
	}
	inverse := p.gramian(o.Lambda)
	if err := invert(ctx, inverse, o.Workers); err != nil {
		return nil, Report{}, fmt.Errorf("train: invert: %w", err)
	}
	t := models.NeighbourTable{IDs: p.ids, Starts: []int{0}, Popularity: p.popularity}
	for i := range n {
		row := inverse.Row(i)
		for j, v := range row {
			if j != i {
				t.Items, t.Weights = append(t.Items, int32(j)), append(t.Weights, -v/inverse.Row(j)[j])
			}
		}
		t.Starts = append(t.Starts, len(t.Items))
	}
	return p.neighbours(l, o, models.KindEASE, t, Report{Elapsed: o.Now().Sub(start)})
}

// gramian returns X'X + lambda Id.
func (p *problem) gramian(lambda float64) kernel.Matrix {
	n := len(p.ids)
	g := kernel.Matrix{Data: make([]float32, n*n), Dim: n, Stride: n}
	mean := 0.0
	for _, v := range p.byUser.values {
		mean += float64(v) / float64(len(p.byUser.values))
	}
	scale := float32(1 / (mean * mean))
	for u := range p.byUser.rows() {
		cols, values := p.byUser.row(u)
		for k, i := range cols {
			row, v := g.Row(int(i)), values[k]*scale
			for at, j := range cols {
				row[j] += v * values[at]
			}
		}
	}
	for i := range n {
		g.Row(i)[i] += float32(lambda)
	}
	return g
}
