package train

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/sartorhq/sartor/models"
	"github.com/sartorhq/sartor/models/kernel"
)

// HeadOptions say how the head of an encoder is trained: a residual network on the user's vector, of what
// is known of him and of his visit (models.Head). It needs a log with a profile (NewProfiledLog).
type HeadOptions struct {
	Hidden int // units, a multiple of 8; 0 = no head, unless the model to start from has one
	// FeatureDropout is the share of the features of a request that are left out; default 0.1, negative = 0.
	FeatureDropout float64
}

// newHead returns the head of the options without weights, or nil. A model to start from brings its own.
func newHead(l *Log, s *sequences, o Options) (*models.Head, error) {
	var from *models.Head
	if o.Encoder.From != nil {
		from = o.Encoder.From.Table().Head
	}
	if from == nil && o.Encoder.Head.Hidden == 0 {
		return nil, nil
	}
	if l.profile == nil {
		return nil, fmt.Errorf("train: a head reads what was known before each event, and the log does not keep it: train on a profiled log")
	}
	if from != nil {
		return &models.Head{Spec: from.Spec, Hidden: from.Hidden}, nil
	}
	var rows []int32
	for i, w := range s.goals {
		if w > 0 {
			rows = append(rows, s.rows[i])
		}
	}
	spec, err := l.profile.spec(rows)
	return &models.Head{Spec: spec, Hidden: o.Encoder.Head.Hidden}, err
}

// packedHead holds the matrices of the head as right sides of products: forward and, transposed, back.
type packedHead struct {
	in, out, inBack, outBack kernel.Packed
}

func (l *packedHead) pack(h *models.Head, d int) {
	for _, x := range []struct {
		to     *kernel.Packed
		w      []float32
		in     int
		out    int
		turned bool
	}{{&l.in, h.In, d, h.Hidden, false}, {&l.out, h.Out, h.Hidden, d, false}, {&l.inBack, h.In, d, h.Hidden, true}, {&l.outBack, h.Out, h.Hidden, d, true}} {
		if x.turned {
			x.to.Reset(x.out, x.in)
		} else {
			x.to.Reset(x.in, x.out)
		}
		x.to.Fill(0, x.to.Panels(), matrix(x.w, x.in, x.out), x.turned)
	}
}

// headSpace is a worker's work space for the head; rows are goals.
type headSpace struct {
	rows             *headRows // nil without a head
	dropout          float64   // of features
	key              uint32    // of the places where a unit is dropped
	of               []models.Feature
	at               []int     // goal i has the features of[at[i]:at[i+1]]
	query            []float32 // [G, D]: what the encoder gives
	up, sigmoid, act []float32 // [G, H]
	out              []float32 // [G, D]: what the head adds
	user             []float32 // [n, D]: the vectors that are scored, at the events with a goal
	d, dUp           []float32
}

// scored returns the vectors of users that the softmax reads, by event.
func (w *net) scored() []float32 {
	if w.head.rows != nil {
		return w.head.user
	}
	return w.user()
}

// headForward runs the users' vectors at the goals through the head; see models.Head.
func (w *net) headForward(sh *shard, h *models.Head, l *packedHead, seed, part uint64) {
	c := &w.head
	if c.rows == nil {
		return
	}
	d, n, units := w.p.Dim, len(sh.goals), h.Hidden
	rng := rand.New(rand.NewPCG(seed, 0x6ead^part))
	c.key = rng.Uint32()
	c.query, c.out, c.user = resized(c.query, n*d), resized(c.out, n*d), resized(c.user, w.n*d)
	c.up, c.sigmoid, c.act = resized(c.up, n*units), resized(c.sigmoid, n*units), resized(c.act, n*units)
	c.of, c.at = c.of[:0], append(c.at[:0], 0)
	z := w.user()
	for i, g := range sh.goals {
		copy(c.query[i*d:(i+1)*d], z[int(g.at)*d:])
		first := len(c.of)
		c.of = c.rows.features(c.of, g.row)
		if c.dropout > 0 {
			kept := slices.DeleteFunc(c.of[first:], func(models.Feature) bool { return rng.Float64() < c.dropout })
			c.of = c.of[:first+len(kept)]
		}
		c.at = append(c.at, len(c.of))
	}
	w.affine(n, c.up, c.query, &l.in, h.Bias, d)
	for i := range n {
		for _, f := range c.of[c.at[i]:c.at[i+1]] {
			kernel.Axpy(f.Weight, h.Embed[int(f.Row)*units:][:units], c.up[i*units:(i+1)*units])
		}
	}
	kernel.Sigmoid(c.sigmoid, c.up, swish)
	kernel.Mul(c.act, c.up, c.sigmoid)
	kernel.Drop(c.act, c.key, 0, w.drop)
	w.affine(n, c.out, c.act, &l.out, h.OutputBias, units)
	for i, g := range sh.goals {
		to := c.user[int(g.at)*d : int(g.at+1)*d]
		copy(to, c.query[i*d:])
		kernel.Axpy(1, c.out[i*d:(i+1)*d], to)
	}
}

// headBack turns w.d from the gradient by the scored vectors into that by what the encoder gives, and adds
// to those by the head's weights.
func (w *net) headBack(sh *shard, g *models.Head, l *packedHead) {
	c := &w.head
	if c.rows == nil {
		return
	}
	d, n, units := w.p.Dim, len(sh.goals), g.Hidden
	c.d, c.dUp = resized(c.d, n*d), resized(c.dUp, n*units)
	for i, goal := range sh.goals {
		copy(c.d[i*d:(i+1)*d], w.d[int(goal.at)*d:])
	}
	w.affineBack(n, c.dUp, c.act, c.d, &l.outBack, g.Out, g.OutputBias, units, false)
	kernel.Drop(c.dUp, c.key, 0, w.drop)
	kernel.SwishBack(c.dUp, c.up, c.sigmoid, swish)
	for i := range n {
		for _, f := range c.of[c.at[i]:c.at[i+1]] {
			kernel.Axpy(f.Weight, c.dUp[i*units:(i+1)*units], g.Embed[int(f.Row)*units:][:units])
		}
	}
	w.affineBack(n, c.d, c.query, c.dUp, &l.inBack, g.In, g.Bias, d, true)
	for i, goal := range sh.goals {
		copy(w.d[int(goal.at)*d:int(goal.at+1)*d], c.d[i*d:(i+1)*d])
	}
}
