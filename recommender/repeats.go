package recommender

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/models"
	"github.com/sartorhq/sartor/models/index"
)

// Repeater is a model that adds to the scores of items which the user had before, and of no others.
type Repeater interface {
	// Repeats appends to room what it adds, each row of Items once, more than 0. Without such a term it
	// appends nothing.
	Repeats(u *features.User, now time.Time, room []models.Repeated) []models.Repeated
}

// raised is a row of the catalogue whose score the repeat term raises.
type raised struct {
	row    int32
	by     float32
	listed bool // among the hits
}

// repeats adds the model's repeat term to the best open rows by their vectors, and to those of the user's
// history that are not among them, and returns the best again, at most depth. A raised row only moves others
// down: so these are the best of all open rows by the whole score, as far as the hits are by their vectors.
func (w *work) repeats(vec []float32, hits []index.Hit, depth int) []index.Hit {
	if w.raise(); len(w.pool.room.raised) == 0 {
		return hits
	}
	hits = w.merge(vec, hits, depth, w.gate.open)
	w.trail.repeats(w, hits)
	return hits
}

// merge puts the raised rows for which open is true among the best of the open rows by their vectors, and
// returns the best, at most depth.
func (w *work) merge(vec []float32, hits []index.Hit, depth int, open func(row int32) bool) []index.Hit {
	list := w.pool.room.raised
	if len(list) == 0 {
		return hits
	}
	for i := range list {
		list[i].listed = false
	}
	for i := range hits {
		if at, ok := findRaised(list, int32(hits[i].Row)); ok {
			list[at].listed = true
			hits[i].Score += list[at].by
		}
	}
	for _, r := range list {
		if vector := w.m.vector(r.row); !r.listed && vector != nil && open(r.row) {
			hits = append(hits, index.Hit{Row: int(r.row), Score: dot(vec, vector) + r.by})
		}
	}
	slices.SortFunc(hits, func(a, b index.Hit) int {
		return cmp.Or(cmp.Compare(b.Score, a.Score), cmp.Compare(a.Row, b.Row))
	})
	return hits[:min(depth, len(hits))]
}

// raise notes the rows of the catalogue that the model's repeat term raises for this user, ascending; none
// where it has no such term. An item that the catalogue does not know is left out.
func (w *work) raise() {
	room := w.pool.room
	room.raised = room.raised[:0]
	m, ok := w.m.model.(Repeater)
	if !ok {
		return
	}
	room.repeated = m.Repeats(w.user, w.q.now, room.repeated[:0])
	for _, r := range room.repeated {
		if row, ok := w.s.cat.find(w.m.items.IDs[r.Row]); ok {
			room.raised = append(room.raised, raised{row: row, by: r.Score})
		}
	}
	slices.SortFunc(room.raised, func(a, b raised) int { return cmp.Compare(a.row, b.row) })
}

func findRaised(list []raised, row int32) (at int, ok bool) {
	return slices.BinarySearchFunc(list, row, func(r raised, row int32) int { return cmp.Compare(r.row, row) })
}

// raisedBy is what the repeat term adds to the score of a row of this request's model candidates.
func (w *work) raisedBy(row int32) float32 {
	if at, ok := findRaised(w.pool.room.raised, row); ok {
		return w.pool.room.raised[at].by
	}
	return 0
}

// maxToldRepeats bounds the items that an explanation of the repeat term names.
const maxToldRepeats = 10

// repeats says what the repeat term did to the first candidates.
func (t *trail) repeats(w *work, hits []index.Hit) {
	if t == nil {
		return
	}
	var told []string
	n := 0
	for _, h := range hits {
		at, ok := findRaised(w.pool.room.raised, int32(h.Row))
		if !ok {
			continue
		}
		if n++; n <= maxToldRepeats {
			by := w.pool.room.raised[at].by
			told = append(told, fmt.Sprintf("%s from %.4g to %.4g", w.s.cat.rows[h.Row].id, h.Score-by, h.Score))
		}
	}
	if n > 0 {
		t.say(stageCandidates, "%d of the model's candidates are items that the user had before, and people come back: score of %s.", n, strings.Join(told, ", "))
	}
}
