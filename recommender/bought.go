package recommender

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/models"
	"github.com/sartorhq/sartor/rules"
)

// encode is the user's vector in the model, computed once a request; nil when there is none.
func (w *work) encode() []float32 {
	if w.encoded || w.m == nil {
		return w.vec
	}
	w.encoded = true
	encoding := w.begin()
	defer w.span("encode", encoding)
	items := w.m.items
	if vec, ok := w.encodeUser(); ok && len(vec) == items.Dim {
		w.vec, w.env.Taste = vec, tasteOf(items, vec)
	}
	return w.vec
}

// VisitEncoder is a model that makes use of the context of a request, such as the country and the device,
// with the types of the schema.
type VisitEncoder interface {
	EncodeIn(u *features.User, context map[string]any, now time.Time) (vec []float32, ok bool)
}

func (w *work) encodeUser() (vec []float32, ok bool) {
	if m, ok := w.m.model.(VisitEncoder); ok {
		return m.EncodeIn(w.user, w.q.context, w.q.now)
	}
	return w.m.model.Encode(w.user, w.q.now)
}

// tasteOf is the part of a vector that says what somebody or something is like.
func tasteOf(items models.Items, vec []float32) []float32 {
	if items.Taste > 0 && items.Taste <= len(vec) {
		return vec[:items.Taste]
	}
	return vec
}

// special answers the sources that no list of the catalogue holds, and says by what they go.
func (w *work) special(f rules.Fetch, n int, pass func(int32) bool) (rows []sourced, used []string, ok bool) {
	switch f.Source {
	case rules.SourceSimilar:
		return w.like(pass, n), []string{"nearness to " + w.origin()}, true
	case rules.SourceBought:
		rows, used = w.boughtWith(n, pass)
		return rows, used, true
	case rules.SourceSegment:
		return w.segment(f, n, pass), []string{"the order of the rule"}, true
	}
	return nil, nil, false
}

// segment takes the first open rows of a part of the catalogue. Scores follow the rank.
func (w *work) segment(f rules.Fetch, n int, pass func(int32) bool) []sourced {
	if f.Seek == nil {
		return nil
	}
	out := make([]sourced, 0, n)
	for _, r := range w.s.sought(f.Seek).ranked(w.s.cat).rows {
		if len(out) == n {
			break
		}
		if pass(r.row) {
			out = append(out, sourced{row: r.row})
		}
	}
	for i := range out {
		out[i].base = 1 - float64(i)/float64(len(out)+1)
	}
	return out
}

// maxBasket bounds the items that "bought together" starts from.
const maxBasket = 10

// basket is what co-bought goods should go with: the item that is looked at, else what lies in the
// cart, else what the user did something with last.
func (w *work) basket() (ids []string, what string) {
	if w.q.SourceItem != "" {
		return []string{w.q.SourceItem}, "the item looked at"
	}
	if cart, _ := w.userField("cart_items").([]string); len(cart) > 0 {
		return cart[:min(len(cart), maxBasket)], "the cart"
	}
	for _, e := range w.user.History {
		if !slices.Contains(ids, e.ItemID) && len(ids) < maxBasket {
			ids = append(ids, e.ItemID)
		}
	}
	return ids, "what was done last"
}

// boughtWith lists open rows that are often bought together with the basket. Each item of the basket
// votes for its companions, the more the higher they stand in its list; the basket itself is left out.
func (w *work) boughtWith(n int, pass func(int32) bool) ([]sourced, []string) {
	ids, what := w.basket()
	votes := map[int32]float64{}
	for _, id := range ids {
		row, ok := w.s.cat.find(id)
		if !ok {
			continue
		}
		companions, _ := w.s.cat.rows[row].item().Env[rules.BoughtWith].([]string)
		for place, other := range companions {
			if r, ok := w.s.cat.find(other); ok && !slices.Contains(ids, other) && pass(r) {
				votes[r] += 1 / float64(1+place)
			}
		}
	}
	out := make([]sourced, 0, len(votes))
	for row, v := range votes {
		out = append(out, sourced{row: row, base: v})
	}
	slices.SortFunc(out, func(a, b sourced) int {
		return cmp.Or(cmp.Compare(b.base, a.base), strings.Compare(w.s.cat.rows[a.row].id, w.s.cat.rows[b.row].id))
	})
	out = out[:min(n, len(out))]
	for i := len(out) - 1; i >= 0; i-- {
		out[i].base /= out[0].base
	}
	return out, []string{"orders with " + what}
}
