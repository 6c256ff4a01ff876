package train

import (
	"cmp"
	"math"

	"github.com/sartorhq/sartor/models"
	"github.com/sartorhq/sartor/models/kernel"
)

// packedRecall holds the matrices of the recall as right sides of products: forward and, transposed, back.
type packedRecall struct {
	note, ask, noteBack, askBack kernel.Packed
	keep, fade                   []float32
}

func (l *packedRecall) pack(r *models.EncoderRecall, p models.EncoderParams) {
	for _, x := range []struct {
		to     *kernel.Packed
		w      []float32
		turned bool
	}{{&l.note, r.Note, false}, {&l.ask, r.Ask, false}, {&l.noteBack, r.Note, true}, {&l.askBack, r.Ask, true}} {
		if x.turned {
			x.to.Reset(p.Recall, p.Dim)
		} else {
			x.to.Reset(p.Dim, p.Recall)
		}
		x.to.Fill(0, x.to.Panels(), matrix(x.w, p.Dim, p.Recall), x.turned)
	}
	l.keep, l.fade = l.keep[:0], l.fade[:0]
	for _, nu := range r.Decay {
		l.keep = append(l.keep, float32(math.Exp(-math.Exp(float64(nu)))))
	}
	for _, mu := range r.Fade {
		l.fade = append(l.fade, -float32(math.Exp(float64(mu))))
	}
}

// defaultRecall is the number of heads where people come back to what they had.
const defaultRecall = 8

// returns is the share of targets from which on people are said to come back.
const returns = 0.05

// chooseRecall settles whether the encoder has a recall where the options leave that open: it has where
// people come back to items. Vectors have length 1 with it: so what it learns of one item holds for all.
func (o *Options) chooseRecall(s *sequences) {
	if e := &o.Encoder; e.Recall == 0 && e.From == nil && s.returning() >= returns {
		e.Recall, e.Unit = defaultRecall, true
	}
	o.Encoder.Recall = cmp.Or(o.Encoder.Recall, -1)
}

// returning is the share of the targets that are items which the user had before.
func (s *sequences) returning() float64 {
	had, targets, again := make([]int32, len(s.ids)), 0, 0
	for u := range len(s.starts) - 1 {
		for t := s.starts[u]; t < s.starts[u+1]; t++ {
			item := s.items[t]
			if t > s.starts[u] && s.goals[t] > 0 {
				targets++
				if had[item] == int32(u+1) {
					again++
				}
			}
			had[item] = int32(u + 1)
		}
	}
	return float64(again) / float64(max(targets, 1))
}

// recollection is a worker's work space for the recall; rows are events.
type recollection struct {
	note, ask, lambda []float32 // [n, S]
	state             []float32 // [n, S, D]: what the heads hold
	user              []float32 // [n, D]: the user's vector
	// On the way back:
	dNote, dAsk []float32 // [n, S]
	dx          []float32 // [n, D], by what the first block reads
	carry       []float32 // [S, D]
}

// user returns the vectors that are scored: the last block's results and, with recall, what is added.
func (w *net) user() []float32 {
	if w.p.Recall > 0 {
		return w.recall.user
	}
	return w.acts[len(w.acts)-1].z
}

// remember runs the shard through the recall; see models.EncoderRecall.
func (w *net) remember(sh *shard, r *models.EncoderRecall, l *packedRecall, table []float32) {
	if w.p.Recall == 0 {
		return
	}
	c, d, s, n := &w.recall, w.p.Dim, w.p.Recall, w.n
	z := w.acts[len(w.acts)-1].z
	c.note, c.ask, c.lambda = resized(c.note, n*s), resized(c.ask, n*s), resized(c.lambda, n*s)
	c.state, c.user = resized(c.state, n*s*d), resized(c.user, n*d)
	w.linear(c.note, w.x, &l.note, r.NoteBias, d)
	w.linear(c.ask, z, &l.ask, r.AskBias, d)
	copy(c.user, z)
	for i := range n {
		lambda := c.lambda[i*s : (i+1)*s]
		copy(lambda, l.keep)
		if sh.ticks != nil {
			for h, q := range l.fade {
				lambda[h] *= float32(math.Exp(float64(q * sh.ticks[i])))
			}
		}
		item, user := table[int(sh.items[i])*d:][:d], c.user[i*d:(i+1)*d]
		for h := range s {
			at := (i*s + h) * d
			state := c.state[at : at+d]
			clear(state)
			if !sh.first[i] {
				kernel.Axpy(lambda[h], c.state[at-s*d:][:d], state)
			}
			kernel.Axpy(c.note[i*s+h], item, state)
			kernel.Axpy(c.ask[i*s+h], state, user)
		}
	}
}

// rememberBack takes w.d, the gradient by the users' vectors, and turns it into that by the last block's
// results; adds to those of the recall's weights and of the items, by place, and leaves that by what the
// first block reads in dx.
func (w *net) rememberBack(sh *shard, r, g *models.EncoderRecall, l *packedRecall, table, byItem []float32) {
	if w.p.Recall == 0 {
		return
	}
	c, d, s, n := &w.recall, w.p.Dim, w.p.Recall, w.n
	c.dNote, c.dAsk, c.dx = resized(c.dNote, n*s), resized(c.dAsk, n*s), resized(c.dx, n*d)
	c.carry = resized(c.carry, s*d)
	clear(c.carry)
	byLog, byMu := make([]float64, s), make([]float64, s)
	for i := n - 1; i >= 0; i-- {
		du, place := w.d[i*d:(i+1)*d], int(sh.items[i])*d
		item, toItem := table[place:place+d], byItem[place:place+d]
		for h := range s {
			at, carry := (i*s+h)*d, c.carry[h*d:(h+1)*d]
			c.dAsk[i*s+h] = kernel.Dot(du, c.state[at:at+d])
			kernel.Axpy(c.ask[i*s+h], du, carry)
			c.dNote[i*s+h] = kernel.Dot(carry, item)
			kernel.Axpy(c.note[i*s+h], carry, toItem)
			if sh.first[i] {
				clear(carry)
				continue
			}
			lambda := c.lambda[i*s+h]
			v := float64(lambda) * float64(kernel.Dot(carry, c.state[at-s*d:][:d]))
			byLog[h] += v
			if sh.ticks != nil {
				byMu[h] += v * float64(sh.ticks[i])
			}
			kernel.Axpy(lambda-1, carry, carry)
		}
	}
	for h := range s {
		g.Decay[h] -= float32(math.Exp(float64(r.Decay[h])) * byLog[h])
		if r.Fade != nil {
			g.Fade[h] -= float32(math.Exp(float64(r.Fade[h])) * byMu[h])
		}
	}
	w.linearBack(w.d, w.acts[len(w.acts)-1].z, c.dAsk, &l.askBack, g.Ask, g.AskBias, d, true)
	w.linearBack(c.dx, w.x, c.dNote, &l.noteBack, g.Note, g.NoteBias, d, false)
}

// tangent turns the gradients by vectors of length 1 into those by the rows of the table.
func (a *encoderTraining) tangent() {
	if !a.p.Unit || a.scoring.frozen {
		return
	}
	d, g := a.p.Dim, a.parts[0].item
	parallel(a.o.Workers, len(a.batch.rows), 512, func(_, lo, hi int) {
		for i := lo; i < hi; i++ {
			row, vector := g[i*d:(i+1)*d], a.scoring.table[i*d:(i+1)*d]
			kernel.Axpy(-kernel.Dot(row, vector), vector, row)
			for k := range row {
				row[k] *= a.inverse[i]
			}
		}
	})
}
