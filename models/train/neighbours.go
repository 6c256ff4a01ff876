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
	n := len(p.ids)
	norms := make([]float64, n)
	for j := range norms {
		_, values := p.byItem.row(j)
		for _, v := range values {
			norms[j] += float64(v) * float64(v)
		}
	}
	nearest := make([][]link, n)
	sums := make([][]float64, o.Workers)
	parallel(o.Workers, n, 64, func(worker, lo, hi int) {
		if sums[worker] == nil {
			sums[worker] = make([]float64, n)
		}
		for i := lo; i < hi && ctx.Err() == nil; i++ {
			nearest[i] = p.nearest(i, norms, sums[worker])
		}
	})
	if err := ctx.Err(); err != nil {
		return nil, Report{}, fmt.Errorf("train: %w", err)
	}
	t := models.NeighbourTable{IDs: p.ids, Starts: []int{0}, Popularity: p.popularity}
	for _, list := range nearest {
		for _, x := range list {
			t.Items, t.Weights = append(t.Items, x.row), append(t.Weights, x.weight)
		}
		t.Starts = append(t.Starts, len(t.Items))
	}
	return p.neighbours(l, o, models.KindItemKNN, t, Report{Elapsed: o.Now().Sub(start)})
}

// nearest returns the nearest neighbours of item i by descending weight, ties by row. sums is zero
// before and after.
func (p *problem) nearest(i int, norms, sums []float64) []link {
	var found []int32
	users, mine := p.byItem.row(i)
	for k, u := range users {
		cols, values := p.byUser.row(int(u))
		for at, j := range cols {
			if sums[j] == 0 {
				found = append(found, j)
			}
			sums[j] += float64(mine[k]) * float64(values[at])
		}
	}
	list := make([]link, 0, len(found))
	for _, j := range found {
		if int(j) != i {
			list = append(list, link{row: j, weight: float32(sums[j] / math.Sqrt(norms[i]*norms[j]))})
		}
		sums[j] = 0
	}
	slices.SortFunc(list, func(a, b link) int {
		return cmp.Or(cmp.Compare(b.weight, a.weight), cmp.Compare(a.row, b.row))
	})
	return list[:min(neighbourCount, len(list))]
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
