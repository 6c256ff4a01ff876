package models

import (
	"slices"

	"github.com/sartorhq/sartor/features"
)

// evidence is what a history says about the rows of a model: ids ascending, weights > 0. It is work
// space that is used again.
type evidence struct {
	found   []float64 // by place in the history: what the event says
	order   []uint64  // row and place in the history of each event that counts
	ids     []int32
	weights []float32
}

// collect turns the history into rows and confidences; false when there are none. Entries after now,
// of types without weight and of unknown items do not count; age is measured from the newest entry
// that has weight, known to the model or not.
func (e *evidence) collect(s Signal, rows *Rows, history []features.Entry, now int64) bool {
	e.found, e.order, e.ids, e.weights = slices.Grow(e.found[:0], len(history))[:len(history)], e.order[:0], e.ids[:0], e.weights[:0]
	newest, seen := int64(0), false
	w := 0.0
	for i := range history {
		h := &history[i]
		if i == 0 || h.Type != history[i-1].Type { // neighbours are mostly of one type
			w = s.Weights[string(h.Type)]
		}
		if w == 0 || h.Time > now {
			continue
		}
		if !seen || h.Time > newest {
			newest, seen = h.Time, true
		}
		if row, known := rows.Find(h.ItemID); known {
			e.found[i] = w
			e.order = append(e.order, uint64(row)<<32|uint64(i))
		}
	}
	slices.Sort(e.order)
	for i := 0; i < len(e.order); {
		row, sum := int32(e.order[i]>>32), 0.0
		for ; i < len(e.order) && int32(e.order[i]>>32) == row; i++ {
			at := uint32(e.order[i])
			sum += e.found[at] * s.Fade(newest-history[at].Time)
		}
		if c := s.Confidence(sum); c > 0 {
			e.ids, e.weights = append(e.ids, row), append(e.weights, c)
		}
	}
	return len(e.ids) > 0
}
