package rulestest

import (
	"cmp"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/rules"
)

// Play answers one recorded request with a rule set, as the service would: the recorded candidates of the
// model are the model's (all of them when it had none; not what only a pin had brought in), and what rules
// ask for beside them (hot goods, a pin by condition) comes from the items of all recordings. The explanation
// of each item is in the trace.
func (r *Recordings) Play(set *rules.Set, rec *Recording, explain bool) rules.Result {
	base := make(map[string]float64, len(rec.Candidates))
	w := &world{seek: r.catalog.sought, drawn: func(f rules.Fetch) []string { return r.drawn(rec, f) }}
	modelled := slices.ContainsFunc(rec.Candidates, func(c rules.Candidate) bool { return slices.Contains(c.Sources, rules.SourceModel) })
	for _, c := range rec.Candidates {
		base[c.Item.ID] = c.Base
		if slices.Contains(c.Sources, rules.SourceModel) || !modelled && !slices.Equal(c.Sources, []rules.Source{sourcePin}) {
			w.model = append(w.model, c.Item.ID)
		}
	}
	own := make(map[string]*features.Item, len(rec.Candidates))
	for _, c := range rec.Candidates {
		own[c.Item.ID] = c.Item // as it was at that moment
	}
	w.vector = func(id string) []float32 { return r.vectors[id] }
	w.item = func(id string) *features.Item {
		if it := own[id]; it != nil {
			return it
		}
		return r.items[id]
	}
	w.base = func(id string, place int) float64 {
		if b, ok := base[id]; ok {
			return b
		}
		return 1 / (1 + float64(place))
	}
	return w.apply(set, rec.Env, explain)
}

// drawn answers a fetch for one request. What depends on who asks is what was recorded: goods similar to
// something, and goods bought with it, the latter also where they were not asked for then.
func (r *Recordings) drawn(rec *Recording, f rules.Fetch) []string {
	if f.Source != rules.SourceSimilar && f.Source != rules.SourceBought {
		return r.catalog.drawn(f)
	}
	var found []rules.Candidate
	for _, c := range rec.Candidates {
		if slices.Contains(c.Sources, f.Source) {
			found = append(found, c)
		}
	}
	slices.SortStableFunc(found, func(a, b rules.Candidate) int { return cmp.Compare(b.Base, a.Base) })
	var ids []string
	for _, c := range found {
		ids = append(ids, c.Item.ID)
	}
	if len(ids) > 0 || f.Source == rules.SourceSimilar {
		return ids
	}
	from := []string{rec.Env.Request.SourceItem}
	if from[0] == "" {
		from, _ = rec.Env.User.Env["cart_items"].([]string)
	}
	for _, id := range from {
		if it := r.items[id]; it != nil {
			with, _ := it.Env[rules.BoughtWith].([]string)
			for _, other := range with {
				if r.items[other] != nil && !slices.Contains(ids, other) && !slices.Contains(from, other) {
					ids = append(ids, other)
				}
			}
		}
	}
	return ids
}

// catalog is all recorded items, in the orders in which sources offer them.
type catalog struct {
	items map[string]*features.Item
	ids   []string

	mu     sync.Mutex
	ranked map[string][]string // by source, window and country
	seeks  map[*rules.Seek][]string
}

func newCatalog(items map[string]*features.Item) *catalog {
	return &catalog{items: items, ids: sortedNames(items), ranked: map[string][]string{}, seeks: map[*rules.Seek][]string{}}
}

// drawn answers a fetch with the recorded items that have something to offer, best first.
func (c *catalog) drawn(f rules.Fetch) []string {
	if f.Seek != nil {
		return c.sought(f.Seek)
	}
	if len(f.Items) > 0 {
		return slices.DeleteFunc(slices.Clone(f.Items), func(id string) bool { return c.items[id] == nil })
	}
	key := string(f.Source) + "/" + f.Window + "/" + f.By + "/" + f.Value
	c.mu.Lock()
	defer c.mu.Unlock()
	ids, ok := c.ranked[key]
	if !ok {
		ids = c.rank(worth(f))
		c.ranked[key] = ids
	}
	return ids
}

// worth is what a source orders items by; nothing at or below 0 is offered.
func worth(f rules.Fetch) func(*features.Item) float64 {
	switch f.Source {
	case rules.SourceHot:
		if f.By == "country" && f.Value != "" {
			return func(it *features.Item) float64 { return float64(it.SalesByCountry[f.Value]) }
		}
		return func(it *features.Item) float64 { return value(it, "sales_"+cmp.Or(f.Window, "7d")) }
	case rules.SourceTrending:
		return func(it *features.Item) float64 { return value(it, "trend") }
	case rules.SourceNew:
		return func(it *features.Item) float64 { return value(it, "created_at") }
	}
	return func(it *features.Item) float64 { return value(it, "sales_total") + value(it, "views_total")/1e6 }
}

// value is a feature as a number, 0 when there is none.
func value(it *features.Item, name string) float64 {
	switch v := it.Env[name].(type) {
	case int:
		return float64(v)
	case float64:
		return v
	case time.Time:
		return float64(max(0, v.Unix()))
	}
	return 0
}

func (c *catalog) rank(worth func(*features.Item) float64) []string {
	values := make(map[string]float64, len(c.ids))
	ids := make([]string, 0, len(c.ids))
	for _, id := range c.ids {
		if v := worth(c.items[id]); v > 0 && !math.IsNaN(v) {
			values[id] = v
			ids = append(ids, id)
		}
	}
	slices.SortStableFunc(ids, func(a, b string) int { return cmp.Compare(values[b], values[a]) })
	return ids
}

// sought returns the recorded items that a pin by condition wants, in its order, and a few more than
// it can place, since other rules may take some away.
func (c *catalog) sought(k *rules.Seek) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	ids, ok := c.seeks[k]
	if !ok && k.Ordered {
		ids = segment(c.items, k)
		ids = ids[:min(len(ids), 2*k.Count+8)]
		c.seeks[k] = ids
	}
	return ids
}
