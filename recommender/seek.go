package recommender

import (
	"math/bits"
	"sync"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/models/index"
	"github.com/sartorhq/sartor/rules"
)

// maxSeeks bounds the pins by condition that a snapshot keeps, seekRows how many rows of each: a
// request whose filters refuse all of them does without.
const (
	maxSeeks = 512
	seekRows = 500
)

// sought is what a pin by condition finds in the catalogue, kept with the snapshot: the matching
// rows, and the first of them in the rule's order.
type sought struct {
	seek *rules.Seek
	mask *mask
	once sync.Once
	best ranking
}

func newSought(seek *rules.Seek, m *mask) *sought { return &sought{seek: seek, mask: m} }

func seekMask(seek *rules.Seek) *mask {
	return newMask(seek.ItemFields(), func(it *features.Item) (string, bool) { return "", seek.Match(it) })
}

// ranked returns the rows in the rule's order.
func (o *sought) ranked(c *catalog) ranking {
	o.once.Do(func() {
		t := newTopN(c, seekRows)
		eachRow(o.mask.fill(c).bits, func(row int32) {
			if it := c.rows[row].item(); !it.Deleted {
				t.place(row, o.seek.Value(it))
			}
		})
		o.best = t.ranking()
	})
	return o.best
}

// eachRow calls do for every row in the bitmap, in ascending order.
func eachRow(b index.Bitmap, do func(row int32)) {
	for i, word := range b {
		for ; word != 0; word &= word - 1 {
			do(int32(i*64 + bits.TrailingZeros64(word)))
		}
	}
}

// sought returns what the seek finds.
func (s *snapshot) sought(seek *rules.Seek) *sought {
	return s.seeks.getOrPut(seek.Key, func() *sought { return newSought(seek, seekMask(seek)) })
}

// seek adds the items that pins by condition want, as many as each can place, and a few more, since
// other rules may take some away.
func (w *work) seek(model modelScores) {
	for _, k := range w.plan.Seek {
		want := 2*k.Count + 8
		for _, row := range w.found(k, model, want) {
			if w.pool.has(row) {
				continue
			}
			w.pool.add(row, w.pinBase(model, row), sourcePin)
		}
	}
}

// found returns the first open rows of a seek: in the rule's order, else by the model.
func (w *work) found(k *rules.Seek, model modelScores, want int) (rows []int32) {
	o := w.s.sought(k)
	if !k.Ordered && model.vec != nil {
		allowed := w.gate.bits.Clone()
		allowed.And(o.mask.fill(w.s.cat).bits)
		depth := want + len(w.gate.exclude) + len(w.gate.shown)
		hits := w.m.index.Search(model.vec, depth, w.m.searchable(allowed))
		among := func(row int32) bool { return allowed.Has(int(row)) }
		for _, h := range w.merge(model.vec, hits, depth, among) {
			if len(rows) < want && w.gate.late(int32(h.Row)) {
				rows = append(rows, int32(h.Row))
			}
		}
		return rows
	}
	if !k.Ordered {
		return nil // by score, and nobody gives one
	}
	for _, r := range o.ranked(w.s.cat).rows {
		if len(rows) == want {
			break
		}
		if w.gate.open(r.row) {
			rows = append(rows, r.row)
		}
	}
	return rows
}
