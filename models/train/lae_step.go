package train

import (
	"math"
	"slices"

	"github.com/sartorhq/sartor/models"
	"github.com/sartorhq/sartor/models/kernel"
)

// passes is the work space of a step. Rows of user matrices are users of the batch, rows of item
// matrices the items of the batch.
type passes struct {
	user, dUser  kernel.Matrix // u and the gradient of the loss by it
	userScale    []float32     // 1/|sum of inputs|
	item, dItem  kernel.Matrix // b/|b| and the gradient by it
	input        kernel.Matrix // with a tower: rows of the input table with what the tower adds, then the gradient by them
	itemScale    []float32     // 1/|b|
	logit        kernel.Matrix // cosines, then the gradient by them
	loss, weight []float64     // by user
	right        kernel.Packed
	work         []kernel.Work // by worker
	gradient     [][]float32   // by worker: of one input row
}

func grown(m kernel.Matrix, rows, dim int) kernel.Matrix {
	stride := (dim + 15) &^ 15
	if stride%1024 == 0 {
		stride += 16 // rows that lie a multiple of 4 KiB apart share one set of the cache
	}
	return kernel.Matrix{Data: slices.Grow(m.Data[:0], rows*stride)[:rows*stride], Dim: dim, Stride: stride}
}

func (s *passes) reset(users, items, dim, workers int) {
	s.user, s.dUser = grown(s.user, users, dim), grown(s.dUser, users, dim)
	s.item, s.dItem = grown(s.item, items, dim), grown(s.dItem, items, dim)
	s.logit = grown(s.logit, users, items)
	s.userScale, s.itemScale = slices.Grow(s.userScale[:0], users)[:users], slices.Grow(s.itemScale[:0], items)[:items]
	s.loss, s.weight = slices.Grow(s.loss[:0], users)[:users], slices.Grow(s.weight[:0], users)[:users]
	if s.work == nil {
		s.work, s.gradient = make([]kernel.Work, workers), make([][]float32, workers)
		for w := range s.gradient {
			s.gradient[w] = make([]float32, dim)
		}
	}
}

// movers are the steps of Adam of the groups of weights.
type movers struct{ in, out, tower kernel.Adam }

// movers returns the next step at the learning rate.
func (a *autoencoder) movers(rate float64) movers {
	o, n := a.o.LAE, a.state.Step
	return movers{in: kernel.NewAdam(rate*o.RateIn, n), out: kernel.NewAdam(rate*o.RateOut, n), tower: kernel.NewAdam(rate*o.RateTower, n)}
}

// step moves both tables once, for the users of the batch, and returns the sums of the loss and of the
// weights of the targets. Every number is computed by one worker in a fixed order, so that the result
// does not depend on how many there are.
func (a *autoencoder) step(m movers) (loss, weight float64) {
	s, b := &a.passes, a.batch
	s.reset(b.users, len(b.items), a.o.Dim, a.o.Workers)
	a.forward()
	a.parallel(b.users, func(_, lo, hi int) {
		for u := lo; u < hi; u++ {
			s.loss[u], s.weight[u] = a.softmax(u)
		}
	})
	a.backward(m)
	for u := range b.users {
		loss, weight = loss+s.loss[u], weight+s.weight[u]
	}
	return loss, weight
}

// forward computes u, b/|b| and all cosines.
func (a *autoencoder) forward() {
	s, b, d := &a.passes, a.batch, a.o.Dim
	if a.tower != nil {
		a.inputRows()
		a.tower.forward(outSide)
	}
	a.parallel(len(b.items), func(_, lo, hi int) {
		for k := lo; k < hi; k++ {
			out := a.state.Out[int(b.items[k])*d:][:d]
			if a.tower != nil {
				out = a.tower.row(outSide, k, out)
			}
			s.itemScale[k] = models.InverseNorm(out)
			row := s.item.Row(k)
			clear(row)
			kernel.Axpy(s.itemScale[k], out, row)
		}
	})
	a.parallel(b.users, func(_, lo, hi int) {
		for u := lo; u < hi; u++ {
			row := s.user.Row(u)
			clear(row)
			for _, k := range b.kept[b.keptAt[u]:b.keptAt[u+1]] {
				in := a.state.In[int(k.row)*d:]
				if a.tower != nil {
					in = s.input.Row(int(b.slot[k.row]))
				}
				kernel.Axpy(k.weight, in[:d], row)
			}
			s.userScale[u] = models.InverseNorm(row)
			for i := range row {
				row[i] *= s.userScale[u]
			}
		}
	})
	a.product(s.logit, s.user, false, s.item, true, d, len(b.items))
}

// inputRows computes what is shown of every item: its row of the input table, unless that was dropped,
// and what the tower adds.
func (a *autoencoder) inputRows() {
	s, b, d := &a.passes, a.batch, a.o.Dim
	a.tower.forward(inSide)
	s.input = grown(s.input, len(b.touched), d)
	for k, j := range b.touched {
		copy(s.input.Row(k), a.tower.row(inSide, k, a.state.In[int(j)*d:][:d]))
	}
}

// product sets c to the product of x and y, which has k rows of n columns.
func (a *autoencoder) product(c, x kernel.Matrix, turnX bool, y kernel.Matrix, turnY bool, k, n int) {
	s := &a.passes
	s.right.Reset(k, n)
	panels, rows := s.right.Panels(), len(c.Data)/c.Stride
	parallel(a.o.Workers, panels, min(evenly(panels, a.o.Workers), 4), func(_, lo, hi int) { s.right.Fill(lo, hi, y, turnY) })
	parallel(a.o.Workers, rows, productRows(rows, a.o.Workers), func(w, lo, hi int) {
		kernel.Multiply(c, lo, hi, x, turnX, &s.right, &s.work[w])
	})
}

// evenly is the length of the parts when n is divided by two for each worker: so that none waits long for the
// last part of another.
func evenly(n, workers int) int { return max((n+2*workers-1)/(2*workers), 1) }

// productRows is how many rows of a product are one part of the work. All parts but the last fill lowest tiles of
// four rows.
func productRows(rows, workers int) int { return min((evenly(rows, workers)+3)&^3, 192) }

// softmax turns the user's cosines into the gradient of the loss by them, and returns his loss and the
// weight of his targets:
//
//	loss = - W^-1/2 sum_t w_t log softmax_t(cosine / tau),  W = sum_t w_t
//
// What was shown is out of the denominator. Cosines are at most 1, so 1/tau takes the place of the
// largest logit.
func (a *autoencoder) softmax(u int) (loss, weight float64) {
	s, b := &a.passes, a.batch
	row, goals := s.logit.Row(u), b.goal[b.goalAt[u]:b.goalAt[u+1]]
	const never = -1e6
	for _, k := range b.kept[b.keptAt[u]:b.keptAt[u+1]] {
		if p := b.position[k.row]; p >= 0 {
			row[p] = never
		}
	}
	for _, p := range b.ignored[u] {
		row[p] += float32(a.o.LAE.Tau * math.Log(a.o.LAE.ExposureWeight))
	}
	inverse := 1 / a.o.LAE.Tau
	aimed := 0.0
	for _, g := range goals {
		weight += float64(g.weight)
		aimed += float64(g.weight) * (float64(row[g.row]) - 1) * inverse
	}
	sum := kernel.Exp(row, float32(inverse), float32(-inverse))
	scale := inverse / math.Sqrt(weight) / float64(b.users)
	each := float32(scale * weight / float64(sum))
	for i := range row {
		row[i] *= each
	}
	for _, g := range goals {
		row[g.row] -= float32(scale) * g.weight
	}
	return weight*math.Log(float64(sum)) - aimed, weight
}

// backward carries the gradient back to the tables and moves them.
func (a *autoencoder) backward(m movers) {
	s, b, d := &a.passes, a.batch, a.o.Dim
	learnTower := a.tower != nil && !a.o.LAE.Tower.Freeze
	if !a.o.LAE.FreezeIn || learnTower {
		a.product(s.dUser, s.logit, false, s.item, false, len(b.items), d)
	}
	if !a.o.LAE.FreezeOut || learnTower {
		a.product(s.dItem, s.logit, true, s.user, false, b.users, d)
		a.parallel(len(b.items), func(_, lo, hi int) {
			for k := lo; k < hi; k++ {
				g := s.dItem.Row(k)
				tangent(g, s.item.Row(k), s.itemScale[k])
				if a.o.LAE.FreezeOut || a.tower != nil && a.tower.sides[outSide].dropped[k] {
					continue
				}
				at := int(b.items[k]) * d
				m.out.Step(a.state.Out[at:at+d], a.state.OutMean[at:], a.state.OutSquare[at:], g)
			}
		})
	}
	if learnTower {
		a.towerBackward(outSide, s.dItem, m.tower)
	}
	if a.o.LAE.FreezeIn && !learnTower {
		return
	}
	a.parallel(b.users, func(_, lo, hi int) {
		for u := lo; u < hi; u++ {
			tangent(s.dUser.Row(u), s.user.Row(u), s.userScale[u])
		}
	})
	a.parallel(len(b.touched), func(worker, lo, hi int) {
		g := s.gradient[worker]
		for k := lo; k < hi; k++ {
			clear(g)
			for _, use := range b.uses[b.usesAt[k]:b.usesAt[k+1]] {
				kernel.Axpy(use.weight, s.dUser.Row(int(use.row)), g)
			}
			if a.tower != nil {
				copy(s.input.Row(k), g)
			}
			if a.o.LAE.FreezeIn || a.tower != nil && a.tower.sides[inSide].dropped[k] {
				continue
			}
			at := int(b.touched[k]) * d
			m.in.Step(a.state.In[at:at+d], a.state.InMean[at:], a.state.InSquare[at:], g)
		}
	})
	if learnTower {
		a.towerBackward(inSide, s.input, m.tower)
	}
}

// tangent turns the gradient by x/|x| into that by x: what points along x falls away.
func tangent(g, unit []float32, inverse float32) {
	along := kernel.Dot(g, unit)
	kernel.Axpy(-along, unit, g)
	for i := range g {
		g[i] *= inverse
	}
}

// parallel divides 0..n-1 among the workers.
func (a *autoencoder) parallel(n int, do func(worker, lo, hi int)) { parallel(a.o.Workers, n, 32, do) }
