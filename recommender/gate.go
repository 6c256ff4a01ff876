package recommender

import (
	"context"
	"slices"

	"github.com/sartorhq/sartor/models/index"
	"github.com/sartorhq/sartor/rules"
)

// gate decides which rows may be candidates of one request. What depends on the item alone is a
// bitmap that restricts the search itself, so that a filter never starves a list; the rest is asked
// row by row.
type gate struct {
	ctx     context.Context
	cat     *catalog
	static  *mask
	bits    index.Bitmap // static and item-only filter; not to be changed
	model   *modelView   // whose indexes are searched; nil = none
	exclude map[string]bool
	shown   map[uint64]bool  // hashes of items on earlier pages
	mixed   *rules.Condition // a filter that looks at user or context too
	env     *rules.Env
	asked   int
	// overBudget is true once the mixed filter ran out of time: it then keeps nothing more.
	overBudget bool
}

func (s *snapshot) gate(ctx context.Context, m *modelView, env *rules.Env, q *checked) *gate {
	g := &gate{ctx: ctx, cat: s.cat, model: m, exclude: q.exclude, shown: q.shown, env: env, static: s.allowed(env.Request.Scenario)}
	g.bits = g.static.bits
	switch {
	case q.filter == nil:
	case q.filter.ItemOnly():
		g.bits = g.bits.Clone()
		g.bits.And(s.filtered(q.Filter, q.filter).bits)
	default:
		g.mixed = q.filter
	}
	return g
}

// open tells whether the row may be a candidate.
func (g *gate) open(row int32) bool { return g.bits.Has(int(row)) && g.late(row) }

// late tells what the bitmap cannot: the exclude list and a mixed filter.
func (g *gate) late(row int32) bool {
	r := g.cat.rows[row]
	if len(g.exclude) > 0 && g.exclude[r.id] || len(g.shown) > 0 && g.shown[itemHash(r.id)] {
		return false
	}
	if g.mixed == nil {
		return true
	}
	if g.asked++; g.asked%256 == 0 && g.ctx.Err() != nil {
		g.overBudget = true
	}
	if g.overBudget {
		return false
	}
	ok, err := g.mixed.Match(g.env, r.item())
	return ok && err == nil
}

// maxRoomHits is how many hits a room keeps the memory of: more than any usual request asks for.
const maxRoomHits = 1024

// search returns the best k open rows by <query, vector>, in room if that has the capacity. Rows that only
// late can refuse are searched for again with a larger k, until the list is full or everything was seen.
func (g *gate) search(x *index.Extended, query []float32, k int, room []index.Hit) []index.Hit {
	vectors, bits := x.Len(), g.bits
	if g.model != nil {
		bits = g.model.searchable(bits)
	}
	for ask := k + len(g.exclude) + len(g.shown); ; ask *= 8 {
		ask = min(ask, vectors)
		hits := x.AppendSearch(slices.Grow(room[:0], min(ask, maxRoomHits)), query, ask, bits)
		if len(g.exclude) == 0 && len(g.shown) == 0 && g.mixed == nil {
			return hits // nothing is refused late, and ask is k
		}
		found, kept := len(hits), hits[:0]
		for _, h := range hits {
			if len(kept) == k {
				break
			}
			if g.late(int32(h.Row)) {
				kept = append(kept, h)
			}
		}
		if len(kept) == k || found < ask || ask >= vectors || g.overBudget {
			return kept
		}
	}
}
