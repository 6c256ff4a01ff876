package train

import (
	"math"

	"github.com/sartorhq/sartor/models"
	"github.com/sartorhq/sartor/models/kernel"
)

// backward carries w.d, the gradient by the last block's result, back through the blocks to the sums of
// embeddings, and adds to the gradients g by the weights.
func (w *net) backward(sh *shard, t, g *models.EncoderTable, layers []packedLayer) {
	for k := len(w.acts) - 1; k >= 0; k-- {
		x := w.x
		if k > 0 {
			x = w.acts[k-1].z
		}
		w.blockBack(sh, k, &t.Blocks[k], &g.Blocks[k], &layers[k], x)
	}
	if w.p.Recall > 0 {
		kernel.Axpy(1, w.recall.dx, w.d)
	}
	w.normaliseBack(w.d, w.sum, w.inverse, t.Scale, g.Scale, g.Shift)
	kernel.Drop(w.d, w.keys[0], 0, w.drop)
	d := w.p.Dim
	for i := range w.n {
		row := w.d[i*d : (i+1)*d]
		kernel.Axpy(1, row, g.Type[int(sh.kinds[i])*d:][:d])
		kernel.Axpy(1, row, g.Gap[int(sh.gaps[i])*d:][:d])
	}
}

// normaliseBack turns d, the gradient by a LayerNorm's result, into that by its input; x is what the
// LayerNorm left of it.
func (w *net) normaliseBack(d, x, inverse, scale, byScale, byShift []float32) {
	n := w.p.Dim
	for i := range w.n {
		kernel.NormBack(d[i*n:(i+1)*n], x[i*n:(i+1)*n], scale, byScale, byShift, inverse[i])
	}
}

// linearBack takes dy, the gradient by y = x W + bias, and adds to those by W, bias and, by way of the
// packed transpose, x; add says that dx holds something already. A nil dx is not wanted.
func (w *net) linearBack(dx, x, dy []float32, back *kernel.Packed, byW, byBias []float32, in int, add bool) {
	w.affineBack(w.n, dx, x, dy, back, byW, byBias, in, add)
}

// affineBack is linearBack for n rows.
func (w *net) affineBack(n int, dx, x, dy []float32, back *kernel.Packed, byW, byBias []float32, in int, add bool) {
	out := len(byBias)
	left, right := matrix(x, n, in), matrix(dy, n, out)
	w.right.View(right, n)
	kernel.MultiplyAdd(matrix(byW, in, out), 0, in, left, true, &w.right, &w.work)
	for i := range n {
		kernel.Axpy(1, right.Row(i), byBias)
	}
	to := matrix(dx, n, in)
	if add {
		kernel.MultiplyAdd(to, 0, n, right, false, back, &w.work)
	} else {
		kernel.Multiply(to, 0, n, right, false, back, &w.work)
	}
}

// blockBack turns w.d from the gradient by the block's result into that by its input x.
func (w *net) blockBack(sh *shard, k int, b, g *models.EncoderBlock, l *packedLayer, x []float32) {
	c, p, n := &w.acts[k], w.p, w.n
	w.rest, w.dInner = resized(w.rest, n*p.Dim), resized(w.dInner, n*p.Inner)
	w.dOut, w.dGate = resized(w.dOut, n*p.Hidden), resized(w.dGate, n*p.Hidden)

	// z = LN(y + drop(W_2 drop(gelu(W_1 y))))
	w.normaliseBack(w.d, c.sum2, c.inverse2, b.Scale2, g.Scale2, g.Shift2)
	copy(w.rest, w.d)
	kernel.Drop(w.d, w.keys[3+3*k], 0, w.drop)
	w.linearBack(w.dInner, c.act, w.d, &l.downBack, g.Down, g.DownBias, p.Inner, false)
	kernel.Drop(w.dInner, w.keys[2+3*k], 0, w.drop)
	kernel.SwishBack(w.dInner, c.up, c.upSigmoid, swish)
	w.linearBack(w.rest, c.y, w.dInner, &l.upBack, g.Up, g.UpBias, p.Dim, true)

	// y = LN(x + drop(W_o (silu(gate) h)))
	w.normaliseBack(w.rest, c.sum1, c.inverse1, b.Scale1, g.Scale1, g.Shift1)
	copy(w.d, w.rest)
	kernel.Drop(w.rest, w.keys[1+3*k], 0, w.drop)
	w.linearBack(w.dOut, c.out, w.rest, &l.outBack, g.Out, g.OutBias, p.Hidden, false)
	kernel.Mul(w.dGate, w.dOut, c.h)
	kernel.SwishBack(w.dGate, c.gate, c.sigmoid, 1)
	kernel.Mul(w.dOut, w.dOut, c.gate)
	kernel.Mul(w.dOut, w.dOut, c.sigmoid) // the gradient by h from this event alone
	w.recurBack(sh, c, b, g, l)
	w.linearBack(w.d, x, w.dOut, &l.inBack, g.In, g.InBias, p.Dim, true)
	w.linearBack(w.d, x, w.dGate, &l.gateBack, g.Gate, g.GateBias, p.Dim, true)
}

// recurBack turns w.dOut from the gradient by the states into that by a, from the last event to the
// first. With r = exp(nu), q = exp(mu), lambda_t = exp(-r - ticks_t q) and gamma = sqrt(1 - exp(-2r)):
//
//	d/dnu = -r sum_t g_t lambda_t h_(t-1) + r exp(-2r) / gamma sum_t g_t a_t
//	d/dmu = -q sum_t ticks_t g_t lambda_t h_(t-1)
//
// where g_t is the gradient by h_t from all later events.
func (w *net) recurBack(sh *shard, c *activations, b, g *models.EncoderBlock, l *packedLayer) {
	hidden, s := w.p.Hidden, &w.state
	s.Carry, s.ByGamma, s.ByLambda = resized(s.Carry, hidden), resized(s.ByGamma, hidden), resized(s.ByLambda, hidden)
	w.byNu, w.byMu = resized(w.byNu, hidden), resized(w.byMu, hidden)
	for _, x := range [][]float32{s.Carry, s.ByGamma, w.byNu, w.byMu} {
		clear(x)
	}
	for i := w.n - 1; i >= 0; i-- {
		last := w.zero
		if !sh.first[i] {
			last = c.h[(i-1)*hidden : i*hidden]
		}
		kernel.DecayBack(w.dOut[i*hidden:(i+1)*hidden], last, c.a[i*hidden:(i+1)*hidden], w.lambda(sh, c, l, i, false), l.gain, s)
		if sh.first[i] {
			clear(s.Carry)
			continue
		}
		kernel.Axpy(1, s.ByLambda, w.byNu)
		if sh.ticks != nil {
			kernel.Axpy(sh.ticks[i], s.ByLambda, w.byMu)
		}
	}
	for j := range hidden {
		r := math.Exp(float64(b.Decay[j]))
		lambda, gamma := float64(l.keep[j]), float64(l.gain[j])
		g.Decay[j] += float32(r * (lambda*lambda/gamma*float64(s.ByGamma[j]) - float64(w.byNu[j])))
		if b.Fade != nil {
			g.Fade[j] += float32(-math.Exp(float64(b.Fade[j])) * float64(w.byMu[j]))
		}
	}
}
