package train

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/models"
	"github.com/sartorhq/sartor/streams"
)

// Catalog keeps what the documents of the items say, as serving reads it: through the schema's fold. Of
// the versions of a document the first and the newest are kept. Adding is for one goroutine.
type Catalog struct {
	schema *features.Schema
	reader *features.ItemReader // of what a tower reads
	items  map[string]*versions
	order  []string // ids as they first came
}

// versions are the first and the newest document of an item.
type versions struct {
	first, last features.State
}

// NewCatalog returns an empty catalogue under the schema.
func NewCatalog(s *features.Schema) *Catalog {
	var names []string
	for _, f := range models.TowerFields(s) {
		names = append(names, f.Name)
	}
	return &Catalog{schema: s, reader: s.ItemReader(names), items: map[string]*versions{}}
}

// Add keeps the document of an item upsert; other events are passed over.
func (c *Catalog) Add(e *streams.Event) {
	if e.Type != streams.ItemUpsert {
		return
	}
	for _, d := range c.schema.Fold(e) {
		if d.Entity.Kind != features.ItemEntity {
			continue
		}
		v := c.items[d.Entity.ID]
		if v == nil {
			v = &versions{}
			c.items[d.Entity.ID] = v
			c.order = append(c.order, d.Entity.ID)
		}
		if v.first.DocTime == 0 || e.Time.UnixMilli() < v.first.DocTime {
			v.first = features.State{}
			v.first.Apply(c.schema, d.Ops)
		}
		v.last.Apply(c.schema, d.Ops)
	}
}

// Len returns how many items have a document.
func (c *Catalog) Len() int { return len(c.order) }

// IDs returns the items with a document in the order in which they first came. Shared, not to be changed.
func (c *Catalog) IDs() []string { return c.order }

// Item returns what the item's document says at the moment: the newest version, unless that is of later;
// then the first one, with which the item came into the shop. nil when there is no document.
func (c *Catalog) Item(id string, at time.Time) *features.Item {
	st := c.state(id, at)
	if st == nil {
		return nil
	}
	return c.schema.Item(id, st, at)
}

// read makes it what Item returns, with no other fields than a tower reads; false when there is no document.
func (c *Catalog) read(it *features.Item, id string, at time.Time) bool {
	st := c.state(id, at)
	if st != nil {
		c.reader.Read(it, id, st, at)
	}
	return st != nil
}

// state is the document that counts at the moment; nil when there is none.
func (c *Catalog) state(id string, at time.Time) *features.State {
	v := c.items[id]
	switch {
	case v == nil:
		return nil
	case v.last.DocTime > at.UnixMilli():
		return &v.first
	}
	return &v.last
}

// The bounds of a tower's vocabulary.
const (
	minFeatureItems = 3       // items that have a feature before it is learned
	maxFeatures     = 1 << 17 // the most common ones are kept
	priceEdges      = 15      // parting prices into 16 buckets with equally many items
)

// towerSpec chooses the features of a tower from the documents of the given items, at the moment.
func (c *Catalog) towerSpec(ids []string, at time.Time) (*models.TowerSpec, error) {
	fields := models.TowerFields(c.schema)
	for i := range fields {
		if fields[i].As == models.AsBucket {
			fields[i].Edges = c.edges(fields[i].Name, ids, at)
		}
	}
	spec, err := models.NewTowerSpec(fields, nil)
	if err != nil {
		return nil, err
	}
	count, it, seen := map[string]int{}, &features.Item{}, map[string]bool{}
	for _, id := range ids {
		if c.read(it, id, at) {
			clear(seen)
			spec.Texts(it, func(_ int, text string) {
				if !seen[text] {
					seen[text] = true
					count[text]++
				}
			})
		}
	}
	maps.DeleteFunc(count, func(_ string, n int) bool { return n < minFeatureItems })
	known := slices.SortedFunc(maps.Keys(count), func(a, b string) int { return cmp.Or(count[b]-count[a], cmp.Compare(a, b)) })
	return models.NewTowerSpec(fields, known[:min(len(known), maxFeatures)])
}

// edges returns the quantiles of a number over the items.
func (c *Catalog) edges(field string, ids []string, at time.Time) []float64 {
	var values []float64
	it := &features.Item{}
	for _, id := range ids {
		if !c.read(it, id, at) || !it.Known[field] {
			continue
		}
		if v, ok := it.Env[field].(float64); ok && v > 0 && !math.IsInf(v, 0) {
			values = append(values, v)
		}
	}
	slices.Sort(values)
	var out []float64
	for i := range priceEdges {
		if at := len(values) * (i + 1) / (priceEdges + 1); at < len(values) {
			out = append(out, values[at])
		}
	}
	return slices.Compact(out)
}
