package train

import (
	"math"

	"github.com/sartorhq/sartor/models/kernel"
)

// lossRows is how many goals are scored at a time: their logits stay in the second-level cache for a few
// thousand candidates.
const lossRows = 128

// lossSpace is the work space of the softmax.
type lossSpace struct {
	query, scaled, back kernel.Matrix // rows of goals, D wide
	logit               kernel.Matrix // goals x candidates
	coefficient         []float32
	right               kernel.Packed
}

// scoring is what the workers share of a step's softmax.
type scoring struct {
	table         []float32     // items of the step by place, D wide
	bias          []float32     // of the candidates, sampling correction included
	turned, plain kernel.Packed // the candidates' rows as columns, and as rows
	frozen        bool          // the table needs no gradient
	aloft         bool          // nothing below the head needs one
	weight        float64       // of all goals of the step
	left          float32       // added to the logits of what a user was shown and left
}

// softmax computes the loss of the shard's goals
//
//	loss = - sum_g w_g log softmax(E z + bias)_item(g) / sum of all w
//
// times that sum, leaves the gradient by the network's result in w.d, and adds to those by the item
// table and the bias. With P = e^(logit - max), c = w / (sum of w) / (sum of P), the gradient by the
// logits is c P less w / (sum of w) at the goal; c is applied to the rows of z rather than to P.
func (w *net) softmax(sh *shard, s *scoring, byItem, byBias []float32) (loss float64) {
	d, z, candidates := w.p.Dim, w.scored(), len(s.bias)
	w.d = resized(w.d, w.n*d)
	clear(w.d)
	sp := &w.loss
	for from := 0; from < len(sh.goals); from += lossRows {
		goals := sh.goals[from:min(from+lossRows, len(sh.goals))]
		m := len(goals)
		sp.query, sp.scaled, sp.back = grown(sp.query, m, d), grown(sp.scaled, m, d), grown(sp.back, m, d)
		sp.logit, sp.coefficient = grown(sp.logit, m, candidates), resized(sp.coefficient, m)
		for i, g := range goals {
			copy(sp.query.Row(i), z[int(g.at)*d:])
		}
		kernel.Multiply(sp.logit, 0, m, sp.query, false, &s.turned, &w.work)
		for i, g := range goals {
			loss += w.softmaxRow(i, g, s)
		}
		kernel.Multiply(sp.back, 0, m, sp.logit, false, &s.plain, &w.work)
		for i, g := range goals {
			share := float32(float64(g.weight) / s.weight)
			to := w.d[int(g.at)*d : int(g.at+1)*d]
			kernel.Axpy(sp.coefficient[i], sp.back.Row(i), to)
			kernel.Axpy(-share, s.table[int(g.item)*d:int(g.item+1)*d], to)
		}
		if !s.frozen {
			w.softmaxItems(goals, s, byItem, byBias)
		}
	}
	return loss
}

// softmaxRow turns the logits of goal i into P and returns its loss.
func (w *net) softmaxRow(i int, g goal, s *scoring) float64 {
	row := w.loss.logit.Row(i)
	for _, place := range g.left {
		if place != g.item {
			row[place] += s.left
		}
	}
	most := kernel.MaxSum(row, s.bias)
	aim := float64(row[g.item]) + float64(s.bias[g.item]) - float64(most)
	sum := float64(kernel.ExpSum(row, s.bias, -most))
	w.loss.coefficient[i] = float32(float64(g.weight) / s.weight / sum)
	return float64(g.weight) * (math.Log(sum) - aim)
}

// softmaxItems adds the goals' part to the gradients by item table and bias.
func (w *net) softmaxItems(goals []goal, s *scoring, byItem, byBias []float32) {
	sp, d, m := &w.loss, w.p.Dim, len(goals)
	for i := range m {
		row := sp.scaled.Row(i)
		clear(row)
		kernel.Axpy(sp.coefficient[i], sp.query.Row(i), row)
		kernel.Axpy(sp.coefficient[i], sp.logit.Row(i), byBias[:len(s.bias)])
	}
	sp.right.View(sp.scaled, m)
	kernel.MultiplyAdd(matrix(byItem, len(s.bias), d), 0, len(s.bias), sp.logit, true, &sp.right, &w.work)
	for i, g := range goals {
		share := float32(float64(g.weight) / s.weight)
		kernel.Axpy(-share, sp.query.Row(i), byItem[int(g.item)*d:int(g.item+1)*d])
		byBias[g.item] -= share
	}
}
