package recommender

import (
	"maps"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/models"
	"github.com/sartorhq/sartor/models/index"
	"github.com/sartorhq/sartor/rules"
)

// catalog is the catalogue view: every known item in one row. The items of the shared model come first, in
// its order, so that row j of its index is row j here; the others follow. A catalog
// is immutable: a change makes a new one that shares the rows that did not change.
type catalog struct {
	rows  []*row
	order *order
	base  *models.Rows     // of the first rows, often the model's own; shared by successive catalogs
	added map[string]int32 // ids that came after base was built
	live  int              // rows that are not deleted
	known int              // rows that an item source has told about
	// Rows below agedRow were computed in the hour agedHour or later; see age.
	agedHour int64
	agedRow  int
}

// order stands for one numbering of the rows: catalogs that share it know an item by the same number.
type order struct{ _ byte }

// row is one item: what is stored of it, and what the precomputed lists sort by. Most rows of a large
// catalogue are never shown, so that the item itself is made when it is first asked for.
//
// What a request looks at comes first: 128 bytes are two cache lines, of which it reads one.
type row struct {
	id   string
	made atomic.Pointer[features.Item]
	// facts is what the rule set knew of the item when it was last a candidate.
	facts atomic.Pointer[rules.Facts]
	// asked is set when the item is asked for; see catalog.age.
	asked   atomic.Bool
	deleted bool

	state *features.State // nil when only the model knows the item
	view  *itemView
	sales map[string]int64 // units sold in 7 days by country; nil for none
	key   [sortKeys]float64
}

// itemView says how, and for which moment, rows are computed. Rows of one update share it.
type itemView struct {
	schema *features.Schema
	now    time.Time
}

// keyFields are the item fields that lists sort by, in the order of the keys.
var keyFields = []string{bySales1h: "sales_1h", bySales24h: "sales_24h", bySales7d: "sales_7d", bySales30d: "sales_30d", byTrend: "trend", byCreated: "created_at"}

func newView(schema *features.Schema, now time.Time) *itemView {
	return &itemView{schema: schema, now: now}
}

// item returns the item, always the same one.
func (r *row) item() *features.Item {
	if !r.asked.Load() {
		r.asked.Store(true)
	}
	if it := r.made.Load(); it != nil {
		return it
	}
	r.made.CompareAndSwap(nil, r.view.schema.Item(r.id, r.state, r.view.now))
	return r.made.Load()
}

// known returns what the set knows of the item, evaluated once per set.
func (r *row) known(set *rules.Set) *rules.Facts {
	it := r.item()
	if f := r.facts.Load(); f.Of(set, it) {
		return f
	}
	f := set.Facts(it)
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

// newRow returns the row of an item that no source has told about.
func newRow(v *itemView, id string) *row { return &row{id: id, view: v} }

// filler fills rows, for one goroutine.
type filler struct {
	view    *itemView
	numbers *features.ItemNumbers
	item    features.Item
}

func (v *itemView) filler() *filler {
	return &filler{view: v, numbers: v.schema.ItemNumbers(keyFields)}
}

// fill makes the row of an item.
func (f *filler) fill(r *row, id string, st *features.State) {
	r.id, r.state, r.view = id, st, f.view
	if st == nil {
		return
	}
	it := &f.item
	f.numbers.Read(r.key[:], it, id, st, f.view.now)
	if r.deleted = it.Deleted; r.deleted {
		r.key = [sortKeys]float64{}
		return
	}
	r.sales = it.SalesByCountry
	r.key[byUnits], r.key[byViews] = float64(it.UnitsTotal), float64(it.ViewsTotal)
	r.key[byTrend] = max(0, r.key[byTrend]-1) // 1 = steady
	if r.key[byCreated] > float64(f.view.now.UnixMilli()) {
		r.key[byCreated] = 0
	}
}

// manyRows is how many rows are worth the work of several processors.
const manyRows = 4096

// newRows makes the rows of many items at once.
func newRows(v *itemView, items []features.ItemState) []*row {
	out := make([]*row, len(items))
	room := make([]row, len(items))
	inParts(len(items), func(from, to int) {
		f := v.filler()
		for i := from; i < to; i++ {
			out[i] = &room[i]
			f.fill(out[i], items[i].ID, items[i].State)
		}
	})
	return out
}

// inParts does the numbers 0..n-1 in parts whose ends are multiples of 64: at once by all processors when
// they are many.
func inParts(n int, do func(from, to int)) {
	workers := runtime.GOMAXPROCS(0)
	if n < manyRows || workers == 1 {
		do(0, n)
		return
	}
	step := (n/workers + 64) / 64 * 64
	var done sync.WaitGroup
	for from := 0; from < n; from += step {
		done.Go(func() { do(from, min(from+step, n)) })
	}
	done.Wait()
}

// find returns the row of an item.
func (c *catalog) find(id string) (int32, bool) {
	if i, ok := c.base.Find(id); ok {
		return i, true
	}
	i, ok := c.added[id]
	return i, ok
}

// near is find for an id that is likely to stand in row at: lists of items are mostly in one order.
func (c *catalog) near(id string, at int32) (int32, bool) {
	if int(at) < len(c.rows) && c.rows[at] != nil && c.rows[at].id == id {
		return at, true
	}
	return c.find(id)
}

// item is a features.ItemLookup.
func (c *catalog) item(id string) *features.Item {
	if i, ok := c.find(id); ok {
		return c.rows[i].item()
	}
	return nil
}

// align builds the catalog of a model: its items first, in its order, then the items of old that it
// has no vector for, in their order. m may be nil. from tells for each row its number in c, -1 for a new one.
func (c *catalog) align(m models.Model, schema *features.Schema, now time.Time) (out *catalog, from []int32) {
	out = &catalog{order: new(order), agedHour: c.agedHour}
	var ids []string
	if m != nil {
		ids, out.base = m.Items().IDs, rowsOf(m)
	}
	size := max(len(ids), len(c.rows))
	out.rows, from = make([]*row, 0, size), make([]int32, 0, size)
	view, placed, next := newView(schema, now), index.NewBitmap(len(c.rows)), int32(0)
	for _, id := range ids {
		old, ok := c.near(id, next)
		if !ok {
			out.append(newRow(view, id))
			from = append(from, -1)
			continue
		}
		next = old + 1
		placed.Set(int(old))
		out.append(c.rows[old])
		from = append(from, old)
	}
	for i, r := range c.rows {
		if placed.Has(i) || r.state == nil {
			continue // placed above, or known from an earlier model only
		}
		if out.added == nil {
			out.added = make(map[string]int32, min(len(c.rows), maxAdded))
		}
		out.added[r.id] = int32(len(out.rows))
		out.append(r)
		from = append(from, int32(i))
	}
	out.merge()
	if !c.aging(now) {
		out.agedHour, out.agedRow = hourOf(now), len(out.rows)
	}
	return out, from
}

// rowed is a model that numbers its items itself.
type rowed interface{ Rows() *models.Rows }

// rowsOf returns the numbers of a model's items, its own where it has them.
func rowsOf(m models.Model) *models.Rows {
	if own, ok := m.(rowed); ok {
		return own.Rows()
	}
	rows, _ := models.NewRows(m.Items().IDs)
	return rows
}

// append adds a row while the catalog is being built.
func (c *catalog) append(r *row) {
	c.rows = append(c.rows, r)
	c.count(r, 1)
}

func (c *catalog) count(r *row, by int) {
	if !r.deleted {
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
	next, view := *c, newView(schema, now)
	if made := newRows(view, items); len(c.rows) > 0 || !next.first(made) {
		next.rows = append(make([]*row, 0, len(c.rows)+len(items)), c.rows...)
		next.added = maps.Clone(c.added)
		changed = next.place(made)
	} else {
		changed = make([]int32, len(made))
		for i := range changed {
			changed[i] = int32(i)
		}
	}
	if aging {
		changed = append(changed, next.age(view, ageRows)...)
	} else {
		next.agedHour, next.agedRow = hourOf(now), len(next.rows)
	}
	next.merge()
	return &next, changed
}

// first takes the first rows of a catalog, unless an item stands there twice.
func (c *catalog) first(made []*row) (ok bool) {
	base, again := models.NewRows(idsOf(made))
	if again >= 0 {
		return false
	}
	c.base, c.rows = base, made
	for _, r := range made {
		c.count(r, 1)
	}
	return true
}

// place puts rows where their items stand, or behind the others, and returns their numbers.
func (c *catalog) place(made []*row) (changed []int32) {
	changed = make([]int32, 0, len(made))
	at := int32(0)
	for _, r := range made {
		i, ok := c.near(r.id, at)
		if !ok {
			i = c.grow(r.id)
		} else {
			c.count(c.rows[i], -1)
			if c.rows[i].asked.Load() {
				r.item() // it will be asked for again: not by a request first
			}
		}
		c.rows[i], at = r, i+1
		c.count(r, 1)
		changed = append(changed, i)
	}
	return changed
}

func idsOf(rows []*row) []string {
	ids := make([]string, len(rows))
	for i, r := range rows {
		ids[i] = r.id
	}
	return ids
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
	if len(c.added) <= max(maxAdded, c.base.Len()/8) {
		return
	}
	c.base, _ = models.NewRows(idsOf(c.rows)) // no item has two rows
	c.added = nil
}

func hourOf(t time.Time) int64 { return t.Unix() / 3600 }

// aging tells whether rows wait to be recomputed because an hour bucket has turned since.
func (c *catalog) aging(now time.Time) bool {
	return len(c.rows) > 0 && (hourOf(now) != c.agedHour || c.agedRow < len(c.rows))
}

// age recomputes the windowed values of up to limit rows and remembers how far it came, so that the
// turn of an hour costs a bounded amount of work per refresh. Items that were asked for since the last
// turn are made again; the others are forgotten, which bounds the memory to what is shown.
func (c *catalog) age(view *itemView, limit int) (changed []int32) {
	if h := hourOf(view.now); h != c.agedHour {
		c.agedHour, c.agedRow = h, 0
	}
	from, end := c.agedRow, min(len(c.rows), c.agedRow+limit)
	items := make([]features.ItemState, 0, end-from)
	for ; c.agedRow < end; c.agedRow++ {
		if old := c.rows[c.agedRow]; old.state != nil && !old.deleted {
			items = append(items, features.ItemState{ID: old.id, State: old.state})
			changed = append(changed, int32(c.agedRow))
		}
	}
	for n, r := range newRows(view, items) {
		i := changed[n]
		if c.rows[i].asked.Load() {
			r.item()
			r.asked.Store(false)
		}
		c.rows[i] = r
	}
	return changed
}
