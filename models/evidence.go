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
	row int32
	sum float64
}

// collect turns the history into rows and confidences; false when there are none. Entries after now,
// of types without weight and of unknown items do not count; age is measured from the newest entry
// that has weight, known to the model or not.
func (e *evidence) collect(s Signal, rows map[string]int32, history []features.Entry, now int64) bool {
	e.found, e.ids, e.weights = e.found[:0], e.ids[:0], e.weights[:0]
	newest, seen := int64(0), false
	for _, h := range history {
		w := s.Weights[string(h.Type)]
		if w == 0 || h.Time > now {
			continue
		}
		if !seen || h.Time > newest {
			newest, seen = h.Time, true
		}
	}
	for _, h := range history {
		w := s.Weights[string(h.Type)]
		if w == 0 || h.Time > now {
			continue
		}
		if row, known := rows[h.ItemID]; known {
			e.found = append(e.found, trace{row: row, sum: w * s.Fade(newest-h.Time)})
		}
	}
	slices.SortStableFunc(e.found, func(a, b trace) int { return int(a.row) - int(b.row) })
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
