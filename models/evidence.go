package models

import (
	"slices"

	"github.com/sartorhq/sartor/features"
)

// evidence is what a history says about the rows of a model: ids ascending, weights > 0. It is work
// space that is used again.
type evidence struct {
	found   []trace
	ids     []int32
	weights []float32
}

// trace is what one event says about one row.
type trace struct {
	row, at int32 // at is the place in the history
	sum     float64
}

// collect turns the history into rows and confidences; false when there are none. Entries after now,
// of types without weight and of unknown items do not count; age is measured from the newest entry
// that has weight, known to the model or not.
func (e *evidence) collect(s Signal, rows map[string]int32, history []features.Entry, now int64) bool {
	e.found, e.ids, e.weights = e.found[:0], e.ids[:0], e.weights[:0]
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
		if row, known := rows[h.ItemID]; known {
			e.found = append(e.found, trace{row: row, at: int32(i), sum: w})
		}
	}
	for i := range e.found {
		t := &e.found[i]
		t.sum *= s.Fade(newest - history[t.at].Time)
	}
	slices.SortFunc(e.found, func(a, b trace) int {
		if a.row != b.row {
			return int(a.row) - int(b.row)
		}
		return int(a.at) - int(b.at)
	})
	for i := 0; i < len(e.found); {
		row, sum := e.found[i].row, 0.0
		for ; i < len(e.found) && e.found[i].row == row; i++ {
			sum += e.found[i].sum
		}
		if c := s.Confidence(sum); c > 0 {
			e.ids, e.weights = append(e.ids, row), append(e.weights, c)
		}
	}
	return len(e.ids) > 0
}
