package train

import (
	"math"
	"math/rand/v2"
	"slices"

	"github.com/sartorhq/sartor/models"
	"github.com/sartorhq/sartor/models/kernel"
)

// swish is the factor in gelu(x) = x sigmoid(1.702 x).
const swish = 1.702

// packedLayer holds the matrices of a block as right sides of products: forward and, transposed, back.
type packedLayer struct {
	in, gate, out, up, down   kernel.Packed
	inBack, gateBack, outBack kernel.Packed
	upBack, downBack          kernel.Packed
	keep, gain                []float32 // lambda and gamma = sqrt(1 - lambda^2)
	fade                      []float32 // -exp(mu), with a clock
}

// pack brings a block's weights into the form that the workers share in a step.
func (l *packedLayer) pack(b *models.EncoderBlock, p models.EncoderParams) {
	for _, x := range []struct {
		to      *kernel.Packed
		w       []float32
		in, out int
		turned  bool
	}{{&l.in, b.In, p.Dim, p.Hidden, false}, {&l.gate, b.Gate, p.Dim, p.Hidden, false}, {&l.out, b.Out, p.Hidden, p.Dim, false},
		{&l.up, b.Up, p.Dim, p.Inner, false}, {&l.down, b.Down, p.Inner, p.Dim, false},
		{&l.inBack, b.In, p.Dim, p.Hidden, true}, {&l.gateBack, b.Gate, p.Dim, p.Hidden, true}, {&l.outBack, b.Out, p.Hidden, p.Dim, true},
		{&l.upBack, b.Up, p.Dim, p.Inner, true}, {&l.downBack, b.Down, p.Inner, p.Dim, true}} {
		m := matrix(x.w, x.in, x.out)
		if x.turned {
			x.to.Reset(x.out, x.in)
		} else {
			x.to.Reset(x.in, x.out)
		}
		x.to.Fill(0, x.to.Panels(), m, x.turned)
	}
	l.keep, l.gain = resized(l.keep, p.Hidden), resized(l.gain, p.Hidden)
	models.DecayRates(l.keep, l.gain, b.Decay)
	l.fade = l.fade[:0]
	for _, mu := range b.Fade {
		l.fade = append(l.fade, -float32(math.Exp(float64(mu))))
	}
}

func matrix(x []float32, rows, dim int) kernel.Matrix {
	return kernel.Matrix{Data: x[:rows*dim], Dim: dim, Stride: dim}
}

func resized(x []float32, n int) []float32 { return slices.Grow(x[:0], n)[:n] }

// activations are what a block's way back needs of its way there; rows are events.
type activations struct {
	a, gate, sigmoid, h, out []float32 // [n, H]: W_in x, W_g x, its sigmoid, the states, silu(gate) h
	keep                     []float32 // [n, H], with a clock: lambda by event
	sum1, y                  []float32 // [n, D]: the normalised sum, and the first half's result
	up, upSigmoid, act       []float32 // [n, F]: W_1 y, its sigmoid, gelu
	sum2, z                  []float32 // [n, D]: the normalised sum, and the block's result
	inverse1, inverse2       []float32 // [n]: of the LayerNorms
}

func (c *activations) reset(n int, p models.EncoderParams) {
	for _, x := range []*[]float32{&c.a, &c.gate, &c.sigmoid, &c.h, &c.out} {
		*x = resized(*x, n*p.Hidden)
	}
	if p.Clock > 0 {
		c.keep = resized(c.keep, n*p.Hidden)
	}
	for _, x := range []*[]float32{&c.up, &c.upSigmoid, &c.act} {
		*x = resized(*x, n*p.Inner)
	}
	for _, x := range []*[]float32{&c.sum1, &c.y, &c.sum2, &c.z} {
		*x = resized(*x, n*p.Dim)
	}
	c.inverse1, c.inverse2 = resized(c.inverse1, n), resized(c.inverse2, n)
}

// net is one worker's work space for a shard.
type net struct {
	p       models.EncoderParams
	drop    float64
	keys    []uint32 // of the places where something is dropped
	n       int
	sum, x  []float32 // [n, D]: the normalised input, and what the first block reads
	inverse []float32
	acts    []activations
	zero    []float32
	work    kernel.Work
	right   kernel.Packed
	// On the way back:
	d, rest, dOut, dGate, dInner []float32
	state                        kernel.DecayState
	byNu, byMu                   []float32
	loss                         lossSpace
	recall                       recollection
	head                         headSpace
}

func newNet(p models.EncoderParams, drop float64) *net {
	return &net{p: p, drop: drop, acts: make([]activations, p.Blocks), zero: make([]float32, p.Hidden)}
}

// forward runs the shard through the network; the result is in the last block's z. table holds the
// step's items by place. What is dropped depends on seed and part only.
func (w *net) forward(sh *shard, t *models.EncoderTable, table []float32, layers []packedLayer, seed, part uint64) {
	d := w.p.Dim
	w.n = len(sh.items)
	rng := rand.New(rand.NewPCG(seed, 0xd209^part))
	w.keys = w.keys[:0]
	for range 1 + 3*w.p.Blocks {
		w.keys = append(w.keys, rng.Uint32())
	}
	w.sum, w.x, w.inverse = resized(w.sum, w.n*d), resized(w.x, w.n*d), resized(w.inverse, w.n)
	for i := range w.n {
		row := w.sum[i*d : (i+1)*d]
		if sh.hidden(i) {
			clear(row)
		} else {
			copy(row, table[int(sh.items[i])*d:])
		}
		kernel.Axpy(1, t.Type[int(sh.kinds[i])*d:][:d], row)
		kernel.Axpy(1, t.Gap[int(sh.gaps[i])*d:][:d], row)
	}
	kernel.Drop(w.sum, w.keys[0], 0, w.drop)
	w.normalise(w.x, w.sum, w.inverse, t.Scale, t.Shift)
	x := w.x
	for k := range w.acts {
		w.block(sh, k, &t.Blocks[k], &layers[k], x)
		x = w.acts[k].z
	}
}

// normalise applies a LayerNorm to each row.
func (w *net) normalise(y, x, inverse, scale, shift []float32) {
	d := w.p.Dim
	for i := range w.n {
		inverse[i] = kernel.Norm(y[i*d:(i+1)*d], x[i*d:(i+1)*d], scale, shift)
	}
}

// linear sets y to x W + bias.
func (w *net) linear(y, x []float32, m *kernel.Packed, bias []float32, in int) {
	w.affine(w.n, y, x, m, bias, in)
}

// affine is linear for n rows.
func (w *net) affine(n int, y, x []float32, m *kernel.Packed, bias []float32, in int) {
	out := len(bias)
	for i := range n {
		copy(y[i*out:(i+1)*out], bias)
	}
	kernel.MultiplyAdd(matrix(y, n, out), 0, n, matrix(x, n, in), false, m, &w.work)
}

// block is the way of x through block k.
func (w *net) block(sh *shard, k int, b *models.EncoderBlock, l *packedLayer, x []float32) {
	c, p := &w.acts[k], w.p
	c.reset(w.n, p)
	w.linear(c.a, x, &l.in, b.InBias, p.Dim)
	w.linear(c.gate, x, &l.gate, b.GateBias, p.Dim)
	w.recur(sh, c, l)
	kernel.Sigmoid(c.sigmoid, c.gate, 1)
	kernel.Mul(c.out, c.gate, c.sigmoid)
	kernel.Mul(c.out, c.out, c.h)
	w.linear(c.sum1, c.out, &l.out, b.OutBias, p.Hidden)
	kernel.Drop(c.sum1, w.keys[1+3*k], 0, w.drop)
	kernel.Axpy(1, x[:w.n*p.Dim], c.sum1)
	w.normalise(c.y, c.sum1, c.inverse1, b.Scale1, b.Shift1)
	w.linear(c.up, c.y, &l.up, b.UpBias, p.Dim)
	kernel.Sigmoid(c.upSigmoid, c.up, swish)
	kernel.Mul(c.act, c.up, c.upSigmoid)
	kernel.Drop(c.act, w.keys[2+3*k], 0, w.drop)
	w.linear(c.sum2, c.act, &l.down, b.DownBias, p.Inner)
	kernel.Drop(c.sum2, w.keys[3+3*k], 0, w.drop)
	kernel.Axpy(1, c.y, c.sum2)
	w.normalise(c.z, c.sum2, c.inverse2, b.Scale2, b.Shift2)
}

// recur computes the states h_t = lambda_t h_(t-1) + gamma a_t; a piece begins without a past.
func (w *net) recur(sh *shard, c *activations, l *packedLayer) {
	hidden := w.p.Hidden
	last := w.zero
	for i := range w.n {
		if sh.first[i] {
			last = w.zero
		}
		h := c.h[i*hidden : (i+1)*hidden]
		kernel.Decay(h, last, c.a[i*hidden:(i+1)*hidden], w.lambda(sh, c, l, i, true), l.gain)
		last = h
	}
}

// lambda returns what the states keep between event i-1 and i: exp(-exp(nu) - ticks exp(mu)).
func (w *net) lambda(sh *shard, c *activations, l *packedLayer, i int, fill bool) []float32 {
	if sh.ticks == nil {
		return l.keep
	}
	row := c.keep[i*w.p.Hidden : (i+1)*w.p.Hidden]
	if fill {
		copy(row, l.fade)
		kernel.Exp(row, sh.ticks[i], 0)
		kernel.Mul(row, row, l.keep)
	}
	return row
}
