package models

import (
	"fmt"
	"math"

	"github.com/sartorhq/sartor/models/kernel"
)

// MaxRecall is the largest number of heads of an encoder's recall.
const MaxRecall = 64

// EncoderRecall holds the weights of the way by which an encoder comes back to what a user had: S heads
// keep the vectors of the items of a history, each fading at its own pace, and the user's vector is what
// the last block gives and what the heads are asked for:
//
//	k_t = x_t W_k + b_k,    M_(s,t) = lambda_s M_(s,t-1) + k_(t,s) E_(i_t),    q_T = z_T W_q + b_q
//	u_T = z_T + sum_s q_(T,s) M_(s,T)
//
// so that an item of the history scores by its own vector, and one like it by what the two share.
type EncoderRecall struct {
	Note, NoteBias []float32 // W_k [D, S], b_k: with what weight an event is kept
	Ask, AskBias   []float32 // W_q [D, S], b_q: with what weight a head counts
	Decay          []float32 // nu [S]: a head keeps exp(-exp(nu)) of itself at every event
	Fade           []float32 // mu [S], with a clock only: and exp(-exp(mu)) of itself at every tick
}

// arrays lists the arrays of a recall of so many heads; none without heads.
func (r *EncoderRecall) arrays(p EncoderParams) []EncoderArray {
	if p.Recall == 0 {
		return nil
	}
	d, s := p.Dim, p.Recall
	list := []EncoderArray{
		{"recall.note", []int{d, s}, &r.Note, true}, {"recall.note_bias", []int{s}, &r.NoteBias, false},
		{"recall.ask", []int{d, s}, &r.Ask, true}, {"recall.ask_bias", []int{s}, &r.AskBias, false},
		{"recall.decay", []int{s}, &r.Decay, false},
	}
	if p.Clock > 0 {
		list = append(list, EncoderArray{"recall.fade", []int{s}, &r.Fade, false})
	}
	return list
}

func (p EncoderParams) validateRecall() error {
	if p.Recall < 0 || p.Recall > MaxRecall {
		return fmt.Errorf("%d heads of recall: need 0 to %d", p.Recall, MaxRecall)
	}
	return nil
}

// packedRecall is a recall in the form in which a history runs through it.
type packedRecall struct {
	*EncoderRecall
	note, ask  kernel.Packed
	keep, fade []float32
}

func packRecall(r *EncoderRecall, p EncoderParams) *packedRecall {
	if p.Recall == 0 {
		return nil
	}
	c := &packedRecall{EncoderRecall: r}
	pack := func(to *kernel.Packed, w []float32) {
		to.Reset(p.Dim, p.Recall)
		to.Fill(0, to.Panels(), matrix(w, p.Recall), false)
	}
	pack(&c.note, r.Note)
	pack(&c.ask, r.Ask)
	for _, nu := range r.Decay {
		c.keep = append(c.keep, float32(math.Exp(-math.Exp(float64(nu)))))
	}
	for _, mu := range r.Fade {
		c.fade = append(c.fade, -float32(math.Exp(float64(mu))))
	}
	return c
}

// noteDown computes what each event is kept with, from the rows that the first block will read.
func (m *Encoder) noteDown(e *encoding, n int) {
	if m.recall == nil {
		return
	}
	s := m.params.Recall
	sized(&e.note, n*s)
	linear(matrix(e.note, s), 0, n, matrix(e.x, m.params.Dim), &m.recall.note, m.recall.NoteBias, &e.work)
}

// comeBack adds to z, the last block's result for the last of n events, what the heads are asked for.
func (m *Encoder) comeBack(e *encoding, n int) {
	if m.recall == nil {
		return
	}
	d, s := m.params.Dim, m.params.Recall
	ask, lambda := sized(&e.ask, s), sized(&e.lambda, s)
	z := e.x[(n-1)*d : n*d]
	linear(matrix(ask, s), 0, 1, matrix(z, d), &m.recall.ask, m.recall.AskBias, &e.work)
	// From the newest event to the oldest, ask shrinks to what is left of it: the heads' vectors need not be made.
	for i := n - 1; i >= 0; i-- {
		kernel.Axpy(kernel.Dot(ask, e.note[i*s:(i+1)*s]), m.vector(e.events[i].item), z)
		copy(lambda, m.recall.keep)
		if ticks := e.events[i].ticks; m.recall.fade != nil && ticks != 0 {
			fadeBy(lambda, m.recall.keep, m.recall.fade, ticks)
		}
		kernel.Mul(ask, ask, lambda)
	}
}

// vector is the item's row of what is searched, without its bias.
func (m *Encoder) vector(item int32) []float32 {
	return m.items.Vectors[int(item)*m.items.Dim:][:m.params.Dim]
}

// unit scales x to length 1 and returns what it was multiplied by; a row of zeros stays.
func unit(x []float32) (inverse float32) {
	inverse = 1 / float32(math.Sqrt(kernel.SquareSum(x)+1e-12))
	for i := range x {
		x[i] *= inverse
	}
	return inverse
}

// UnitRow sets to to row at length 1, as an encoder with EncoderParams.Unit reads its items, and returns
// what it was multiplied by.
func UnitRow(to, row []float32) (inverse float32) {
	copy(to, row)
	return unit(to)
}
