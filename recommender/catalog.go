package recommender

import (
	"maps"
	"sync/atomic"
	"time"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/models"
	"github.com/sartorhq/sartor/rules"
)

// catalog is the catalogue view: every known item in one row. Rows below vectors stand in the
// model's order, so that row j of the index is row j here; items without a vector follow. A catalog
// is immutable: a change makes a new one that shares the rows that did not change.
type catalog struct {
	rows    []*row
	vectors int              // rows below this one have a vector
	base    map[string]int32 // id -> row; shared by successive catalogs, never changed
	added   map[string]int32 // ids that came after base was built
	live    int              // rows that are not deleted
	known   int              // rows that an item source has told about
	// Rows below agedRow were computed in the hour agedHour or later; see age.
	agedHour int64
	agedRow  int
}

// row is one item and what the precomputed lists sort by.
type row struct {
	item  *features.Item
	state *features.State // nil when only the model knows the item
	key   [sortKeys]float64
	// facts is what the rule set knew of the item when it was last a candidate.
	facts atomic.Pointer[rules.Facts]
}

// known returns what the set knows of the item, evaluated once per set.
func (r *row) known(set *rules.Set) *rules.Facts {
	if f := r.facts.Load(); f.Of(set, r.item) {
		return f
	}
	f := set.Facts(r.item)
	r.facts.Store(f)
	return f
}

// sortKey names a number that a precomputed list is sorted by, largest first.
type sortKey int

const (
	bySales1h sortKey = iota
	bySales24h
	bySales7d
	bySales30d
	byUnits
	byViews
	byTrend
	byCreated
	sortKeys
)

func newRow(schema *features.Schema, id string, st *features.State, now time.Time) *row {
	r := &row{item: schema.Item(id, st, now), state: st}
	if r.item.Deleted {
		return r
	}
	env := r.item.Env
	r.key = [sortKeys]float64{
		bySales1h:  number(env["sales_1h"]),
		bySales24h: number(env["sales_24h"]),
		bySales7d:  number(env["sales_7d"]),
		bySales30d: number(env["sales_30d"]),
		byUnits:    float64(r.item.UnitsTotal),
		byViews:    float64(r.item.ViewsTotal),
		byTrend:    max(0, number(env["trend"])-1), // 1 = steady
	}
	if t, ok := env["created_at"].(time.Time); ok && !t.IsZero() && !t.After(now) {
		r.key[byCreated] = float64(t.UnixMilli())
	}
	return r
}

// number reads a feature of one of the numeric types of a schema; anything else is 0.
func number(v any) float64 {
	switch n := v.(type) {
	case int:
		return float64(n)
	case int64:
		return float64(n)
	case float64:
		return n
	}
	return 0
}

// find returns the row of an item.
func (c *catalog) find(id string) (int32, bool) {
	if i, ok := c.base[id]; ok {
		return i, true
	}
	i, ok := c.added[id]
	return i, ok
}

// item is a features.ItemLookup.
func (c *catalog) item(id string) *features.Item {
	if i, ok := c.find(id); ok {
		return c.rows[i].item
	}
	return nil
}

// align builds the catalog of a model: its items first, in its order, then the items of old that it
// has no vector for, in their order. m may be nil.
func (c *catalog) align(m models.Model, schema *features.Schema, now time.Time) *catalog {
	var ids []string
	if m != nil {
		ids = m.Items().IDs
	}
	out := &catalog{
		rows:     make([]*row, 0, max(len(ids), len(c.rows))),
		base:     make(map[string]int32, max(len(ids), len(c.rows))),
		vectors:  len(ids),
		agedHour: c.agedHour,
	}
	for _, id := range ids {
		var r *row
		if i, ok := c.find(id); ok {
			r = c.rows[i]
		} else {
			r = newRow(schema, id, nil, now)
		}
		out.append(id, r)
	}
	for _, r := range c.rows {
		if _, ok := out.base[r.item.ID]; ok || r.state == nil {
			continue // placed above, or known from an earlier model only
		}
		out.append(r.item.ID, r)
	}
	if !c.aging(now) {
		out.agedHour, out.agedRow = hourOf(now), len(out.rows)
	}
	return out
}

// append adds a row while the catalog is being built.
func (c *catalog) append(id string, r *row) {
	c.base[id] = int32(len(c.rows))
	c.rows = append(c.rows, r)
	c.count(r, 1)
}

func (c *catalog) count(r *row, by int) {
	if !r.item.Deleted {
		c.live += by
	}
	if r.state != nil {
		c.known += by
	}
}

// maxAdded bounds the second map: beyond it, and an eighth of base, both are merged.
const maxAdded = 1024

// update returns a catalog with the changed items replaced or added, and with up to ageRows rows
// recomputed whose windows belong to an earlier hour. changed lists the rows that differ, in
// ascending order for those aged, and may be empty: then the receiver is returned.
func (c *catalog) update(items []features.ItemState, schema *features.Schema, now time.Time, ageRows int) (out *catalog, changed []int32) {
	aging := c.aging(now)
	if len(items) == 0 && !aging {
		return c, nil
	}
	next := *c
	next.rows = append(make([]*row, 0, len(c.rows)+len(items)), c.rows...)
	next.added = maps.Clone(c.added)
	for _, it := range items {
		r := newRow(schema, it.ID, it.State, now)
		i, ok := next.find(it.ID)
		if !ok {
			i = next.grow(it.ID)
		} else {
			next.count(next.rows[i], -1)
		}
		next.rows[i] = r
		next.count(r, 1)
		changed = append(changed, i)
	}
	if aging {
		changed = append(changed, next.age(schema, now, ageRows)...)
	} else {
		next.agedHour, next.agedRow = hourOf(now), len(next.rows)
	}
	next.merge()
	return &next, changed
}

// grow makes room for a new item and returns its row.
func (c *catalog) grow(id string) int32 {
	if c.added == nil {
		c.added = make(map[string]int32)
	}
	i := int32(len(c.rows))
	c.added[id] = i
	c.rows = append(c.rows, nil)
	return i
}

// merge keeps the cloned map small, so that an update costs what changed.
func (c *catalog) merge() {
	if len(c.added) <= max(maxAdded, len(c.base)/8) {
		return
	}
	base := make(map[string]int32, len(c.base)+len(c.added))
	maps.Copy(base, c.base)
	maps.Copy(base, c.added)
	c.base, c.added = base, nil
}

func hourOf(t time.Time) int64 { return t.Unix() / 3600 }

// aging tells whether rows wait to be recomputed because an hour bucket has turned since.
func (c *catalog) aging(now time.Time) bool {
	return len(c.rows) > 0 && (hourOf(now) != c.agedHour || c.agedRow < len(c.rows))
}

// age recomputes the windowed values of up to limit rows and remembers how far it came, so that the
// turn of an hour costs a bounded amount of work per refresh.
func (c *catalog) age(schema *features.Schema, now time.Time, limit int) (changed []int32) {
	if h := hourOf(now); h != c.agedHour {
		c.agedHour, c.agedRow = h, 0
	}
	end := min(len(c.rows), c.agedRow+limit)
	for ; c.agedRow < end; c.agedRow++ {
		old := c.rows[c.agedRow]
		if old.state == nil || old.item.Deleted {
			continue
		}
		c.rows[c.agedRow] = newRow(schema, old.item.ID, old.state, now)
		changed = append(changed, int32(c.agedRow))
	}
	return changed
}
