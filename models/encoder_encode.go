package models

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/models/kernel"
)

// swish is the factor by which the argument of gelu's sigmoid is multiplied: gelu(x) = x sigmoid(1.702 x).
const swish = 1.702

// packedBlock is a block in the form in which a history runs through it.
type packedBlock struct {
	*EncoderBlock
	in, gate, out, up, down kernel.Packed
	keep, gain              []float32 // lambda and sqrt(1 - lambda^2)
	fade                    []float32 // -exp(mu), with a clock
}

func packBlock(b *EncoderBlock, p EncoderParams) packedBlock {
	c := packedBlock{EncoderBlock: b}
	pack := func(to *kernel.Packed, w []float32, in, out int) {
		to.Reset(in, out)
		to.Fill(0, to.Panels(), kernel.Matrix{Data: w, Dim: out, Stride: out}, false)
	}
	pack(&c.in, b.In, p.Dim, p.Hidden)
	pack(&c.gate, b.Gate, p.Dim, p.Hidden)
	pack(&c.out, b.Out, p.Hidden, p.Dim)
	pack(&c.up, b.Up, p.Dim, p.Inner)
	pack(&c.down, b.Down, p.Inner, p.Dim)
	c.keep, c.gain = make([]float32, p.Hidden), make([]float32, p.Hidden)
	DecayRates(c.keep, c.gain, b.Decay)
	for _, mu := range b.Fade {
		c.fade = append(c.fade, -float32(math.Exp(float64(mu))))
	}
	return c
}

// DecayRates sets keep to lambda = exp(-exp(nu)) and gain to sqrt(1 - lambda^2).
func DecayRates(keep, gain, nu []float32) {
	for i, v := range nu {
		lambda := math.Exp(-math.Exp(float64(v)))
		keep[i], gain[i] = float32(lambda), float32(math.Sqrt(1-lambda*lambda+1e-8))
	}
}

// occasion is one event of a history as the encoder reads it.
type occasion struct {
	item, kind int32
	gap        int
	ticks      float32
	time       int64
}

// encoding is work space that is used again: one row per event.
type encoding struct {
	events                       []occasion
	x, y, a, gate, h, wide, tall []float32
	note, ask, lambda            []float32 // of the recall: by event and head, and by head
	past                         []float32 // zeros before the first event, then what is kept between two
	work                         kernel.Work
	of                           []Feature // of the user and his visit, for the head
	units, sigmoid               []float32
}

// Encode reads the history from its oldest event to its newest and returns the vector. Entries after
// now, of types that are not read and of unknown items do not count; ok is false when none does. The
// caller owns the vector.
func (m *Encoder) Encode(u *features.User, now time.Time) (vec []float32, ok bool) {
	return m.EncodeIn(u, nil, now)
}

// EncodeIn is Encode for a request with a context, as Schema.Context returns it, of which a model with a
// head makes use; nil = nothing is known of the visit.
func (m *Encoder) EncodeIn(u *features.User, context map[string]any, now time.Time) (vec []float32, ok bool) {
	if u == nil || len(u.History) == 0 {
		return nil, false
	}
	e, _ := m.pool.Get().(*encoding)
	if e == nil {
		e = &encoding{}
	}
	defer m.pool.Put(e)
	if !m.read(e, u.History, now.UnixMilli()) {
		return nil, false
	}
	vec = make([]float32, m.items.Dim)
	copy(vec, m.run(e))
	if h := m.table.Head; h != nil {
		e.of = h.Spec.of(e.of, func(name string) (any, bool) { return HeadValue(name, u, context, now) })
		h.apply(vec[:m.params.Dim], e.of, sized(&e.units, h.Hidden), sized(&e.sigmoid, h.Hidden))
	}
	vec[m.params.Dim] = 1
	return vec, true
}

// read fills e.events, oldest first, from a history that is newest first.
func (m *Encoder) read(e *encoding, history []features.Entry, now int64) bool {
	e.events = e.events[:0]
	for _, h := range slices.Backward(history) {
		item, known := m.rows.Find(h.ItemID)
		kind, wanted := m.types[string(h.Type)]
		if known && wanted && h.Time <= now {
			e.events = append(e.events, occasion{item: item, kind: kind, time: h.Time})
		}
	}
	slices.SortStableFunc(e.events, func(a, b occasion) int { return cmp.Compare(a.time, b.time) })
	for i := 1; i < len(e.events); i++ {
		since := e.events[i].time - e.events[i-1].time
		e.events[i].gap, e.events[i].ticks = GapRow(since), m.params.Ticks(since)
	}
	return len(e.events) > 0
}

func sized(x *[]float32, n int) []float32 {
	*x = slices.Grow((*x)[:0], n)[:n]
	return *x
}

// run sends the events through the blocks and returns the last row.
func (m *Encoder) run(e *encoding) []float32 {
	n, d, p := len(e.events), m.params.Dim, m.params
	x, y := sized(&e.x, n*d), sized(&e.y, n*d)
	sized(&e.a, n*p.Hidden)
	sized(&e.gate, n*p.Hidden)
	sized(&e.h, n*p.Hidden)
	sized(&e.wide, n*p.Inner)
	sized(&e.tall, n*p.Inner)
	sized(&e.past, 2*p.Hidden)
	for i, o := range e.events {
		row := y[i*d : (i+1)*d]
		copy(row, m.vector(o.item))
		kernel.Axpy(1, m.table.Type[int(o.kind)*d:][:d], row)
		kernel.Axpy(1, m.table.Gap[o.gap*d:][:d], row)
		kernel.Norm(x[i*d:(i+1)*d], row, m.table.Scale, m.table.Shift)
	}
	m.noteDown(e, n)
	for k := range m.blocks {
		from := 0 // the last block's result is needed for the last event only
		if k == len(m.blocks)-1 {
			from = n - 1
		}
		m.block(e, &m.blocks[k], n, from)
	}
	m.comeBack(e, n)
	return x[(n-1)*d : n*d]
}

// block replaces the rows of e.x from the given one on by the block's results.
func (m *Encoder) block(e *encoding, b *packedBlock, n, from int) {
	d, hidden := m.params.Dim, m.params.Hidden
	x, y := matrix(e.x, d), matrix(e.y, d)
	a, gate, h := matrix(e.a, hidden), matrix(e.gate, hidden), matrix(e.h, hidden)
	linear(a, 0, n, x, &b.in, b.InBias, &e.work)
	linear(gate, from, n, x, &b.gate, b.GateBias, &e.work)
	last := e.past[:hidden]
	clear(last)
	for i := range n {
		kernel.Decay(h.Row(i), last, a.Row(i), b.lambda(e, i), b.gain)
		last = h.Row(i)
	}
	g, s := gate.Data[from*hidden:n*hidden], a.Data[from*hidden:n*hidden] // a is read no more
	kernel.Sigmoid(s, g, 1)
	kernel.Mul(g, g, s)
	kernel.Mul(g, g, h.Data[from*hidden:n*hidden])
	linear(y, from, n, gate, &b.out, b.OutBias, &e.work)
	normed(x, y, from, n, b.Scale1, b.Shift1)
	wide, tall := matrix(e.wide, m.params.Inner), matrix(e.tall, m.params.Inner)
	linear(wide, from, n, x, &b.up, b.UpBias, &e.work)
	q, t := wide.Data[from*wide.Dim:n*wide.Dim], tall.Data[from*wide.Dim:n*wide.Dim]
	kernel.Sigmoid(t, q, swish)
	kernel.Mul(q, q, t)
	linear(y, from, n, wide, &b.down, b.DownBias, &e.work)
	normed(x, y, from, n, b.Scale2, b.Shift2)
}

// lambda returns what the states keep between event i-1 and event i.
func (b *packedBlock) lambda(e *encoding, i int) []float32 {
	ticks := e.events[i].ticks
	if b.fade == nil || ticks == 0 {
		return b.keep
	}
	return fadeBy(e.past[len(b.keep):], b.keep, b.fade, ticks)
}

// fadeBy sets to to keep * e^(ticks fade).
func fadeBy(to, keep, fade []float32, ticks float32) []float32 {
	copy(to, fade)
	kernel.Exp(to, ticks, 0)
	kernel.Mul(to, to, keep)
	return to
}

func matrix(x []float32, dim int) kernel.Matrix { return kernel.Matrix{Data: x, Dim: dim, Stride: dim} }

// linear sets the rows of y from the given one on to x w + bias.
func linear(y kernel.Matrix, from, n int, x kernel.Matrix, w *kernel.Packed, bias []float32, work *kernel.Work) {
	for i := from; i < n; i++ {
		copy(y.Row(i), bias)
	}
	kernel.MultiplyAdd(y, from, n, x, false, w, work)
}

// normed replaces rows of x by the normalised sum of x and y.
func normed(x, y kernel.Matrix, from, n int, scale, shift []float32) {
	for i := from; i < n; i++ {
		kernel.Axpy(1, x.Row(i), y.Row(i))
		kernel.Norm(x.Row(i), y.Row(i), scale, shift)
	}
}
