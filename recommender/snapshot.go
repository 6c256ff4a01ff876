package recommender

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/models"
	"github.com/sartorhq/sartor/models/index"
	"github.com/sartorhq/sartor/rules"
)

// snapshot is everything that a request reads besides its user: one model with its index, one
// catalogue view, one rule set. It is built aside and swapped whole; its only moving parts are
// caches of values that follow from the rest.
type snapshot struct {
	model  models.Model // nil = none
	index  *index.Flat  // over the model's item vectors
	cosine *index.Flat  // over the same vectors, by angle: for item-to-item
	cat    *catalog
	lists  *lists
	rules  *rules.Set
	// ruled is false while no rule set has been given.
	ruled    bool
	origin   origin
	versions Versions
	builtAt  time.Time
	// listsOf is the catalogue that lists were computed from, at listsAt: it may be a little older
	// than cat, whose rows stand in the same order.
	listsOf *catalog
	listsAt time.Time

	masks   *maskCache            // by scenario: not deleted and not excluded by a static rule
	filters *lru[string, *mask]   // by filter text: item-only filters of requests
	seeks   *lru[string, *sought] // by key: what pins by condition find; belongs to rules
	fuses   *fuses                // of rules; nil for the empty set
}

// origin says where the catalogue view comes from.
type origin string

const (
	originNone origin = "none"
	originLive origin = "live"
	originDisk origin = "disk"
)

// mask is the set of rows that pass a test, computed when first asked for.
type mask struct {
	once sync.Once
	// test returns the id of what removes the item, or "" and true for an item that passes.
	test func(*features.Item) (by string, ok bool)
	bits index.Bitmap
	// removed counts the rows by what removed them.
	removed map[string]int
}

func newMask(test func(*features.Item) (string, bool)) *mask { return &mask{test: test} }

// fill computes the mask over the catalogue once.
func (m *mask) fill(c *catalog) *mask {
	m.once.Do(func() {
		m.bits = index.NewBitmap(len(c.rows))
		m.removed = make(map[string]int)
		for i, r := range c.rows {
			if by, ok := m.test(r.item); ok {
				m.bits.Set(i)
			} else {
				m.removed[by]++
			}
		}
	})
	return m
}

// carry returns the mask of the next catalog, given the rows that changed since old: the cost is
// that of what changed, so a request never pays for a refresh.
func (m *mask) carry(old, next *catalog, changed []int32) *mask {
	m.fill(old)
	out := newMask(m.test)
	out.once.Do(func() {
		out.bits = index.NewBitmap(len(next.rows))
		copy(out.bits, m.bits)
		out.removed = maps.Clone(m.removed)
		done := make(map[int32]bool, len(changed))
		for _, i := range changed {
			if done[i] {
				continue
			}
			done[i] = true
			if int(i) < len(old.rows) && !m.bits.Has(int(i)) {
				by, _ := m.test(old.rows[i].item)
				out.removed[by]--
			}
			out.bits.Clear(int(i))
			if by, ok := out.test(next.rows[i].item); ok {
				out.bits.Set(int(i))
			} else {
				out.removed[by]++
			}
		}
	})
	return out
}

// maxScenarios bounds the masks that are kept: scenario names come from requests.
const maxScenarios = 64

// maskCache holds the allowed rows by scenario.
type maskCache struct{ *lru[string, *mask] }

func newMaskCache() *maskCache { return &maskCache{newLRU[string, *mask](maxScenarios)} }

// removedDeleted is what a mask names for an item that is no longer in the catalogue.
const removedDeleted = "deleted"

// allowed returns the rows that no static rule of the scenario removes.
func (s *snapshot) allowed(scenario string) *mask {
	m := s.masks.getOrPut(scenario, func() *mask { return newMask(staticTest(s.rules, scenario)) })
	return m.fill(s.cat)
}

func staticTest(set *rules.Set, scenario string) func(*features.Item) (string, bool) {
	return func(it *features.Item) (string, bool) {
		if it.Deleted {
			return removedDeleted, false
		}
		rule, excluded := set.StaticExcludes(scenario, it)
		return rule, !excluded
	}
}

// filtered returns the rows that an item-only filter keeps. src is the filter's text.
func (s *snapshot) filtered(src string, cond *rules.Condition) *mask {
	m := s.filters.getOrPut(src, func() *mask { return newMask(filterTest(cond)) })
	return m.fill(s.cat)
}

func filterTest(cond *rules.Condition) func(*features.Item) (string, bool) {
	env := &rules.Env{User: &features.User{}, Context: map[string]any{}}
	return func(it *features.Item) (string, bool) {
		ok, err := cond.Match(env, it)
		return "filter", ok && err == nil
	}
}

// rank computes the lists of the catalogue.
func (s *snapshot) rank(now time.Time) {
	if s.listsOf != s.cat {
		s.lists, s.listsOf = buildLists(s.cat), s.cat
	}
	s.listsAt = now
}

// withRules returns the snapshot under another rule set. The masks of the scenarios that were asked
// for are computed here, off the path.
func (s *snapshot) withRules(set *rules.Set, given bool, now time.Time) *snapshot {
	next := *s
	next.rules, next.ruled = set, given
	next.versions.Rules = set.Version()
	next.builtAt = now
	next.masks = newMaskCache()
	for _, e := range slices.Backward(s.masks.all()) {
		next.allowed(e.key)
	}
	next.seeks = newLRU[string, *sought](maxSeeks)
	return &next
}

// withModel returns the snapshot under another model (nil for none) and its indexes.
func (s *snapshot) withModel(m models.Model, schema *features.Schema, now time.Time) *snapshot {
	next := *s
	next.model, next.index, next.cosine = m, nil, nil
	next.versions.Model = ""
	if m != nil {
		items := m.Items()
		next.index = index.NewFlat(items.Dim, items.Vectors)
		next.cosine = next.index.Weighted(inverseLengths(items))
		next.versions.Model = m.Meta().Version
	}
	next.builtAt = now
	next.cat = s.cat.align(m, schema, now)
	next.rank(now)
	next.masks = newMaskCache()
	for _, e := range slices.Backward(s.masks.all()) {
		next.allowed(e.key)
	}
	next.filters = newLRU[string, *mask](s.filters.max)
	for _, e := range slices.Backward(s.filters.all()) {
		next.filters.put(e.key, newMask(e.value.test).fill(next.cat))
	}
	next.seeks = newLRU[string, *sought](maxSeeks)
	return &next
}

// emptied returns the snapshot with the model's items only.
func (s *snapshot) emptied(schema *features.Schema, now time.Time) *snapshot {
	next := *s
	next.cat, next.origin = (&catalog{}).align(s.model, schema, now), originNone
	next.rank(now)
	next.masks = newMaskCache()
	for _, e := range slices.Backward(s.masks.all()) {
		next.masks.put(e.key, newMask(e.value.test))
	}
	next.filters = newLRU[string, *mask](s.filters.max)
	for _, e := range slices.Backward(s.filters.all()) {
		next.filters.put(e.key, newMask(e.value.test))
	}
	next.seeks = newLRU[string, *sought](maxSeeks)
	return &next
}

// withItems returns the snapshot with a changed catalogue. Lists are rebuilt unless they are
// younger than minAge: at a high rate of events they cost more than they gain.
func (s *snapshot) withItems(cat *catalog, changed []int32, from origin, now time.Time, minAge time.Duration) *snapshot {
	next := *s
	next.cat, next.origin, next.builtAt = cat, from, now
	if now.Sub(s.listsAt) >= minAge || s.origin != from || len(cat.rows) != len(s.cat.rows) || s.cat.live != cat.live {
		next.rank(now)
	}
	if len(changed) == 0 {
		return &next
	}
	next.masks = newMaskCache()
	for _, e := range slices.Backward(s.masks.all()) {
		next.masks.put(e.key, e.value.carry(s.cat, cat, changed))
	}
	next.filters = newLRU[string, *mask](s.filters.max)
	for _, e := range slices.Backward(s.filters.all()) {
		next.filters.put(e.key, e.value.carry(s.cat, cat, changed))
	}
	next.seeks = newLRU[string, *sought](maxSeeks)
	for _, e := range slices.Backward(s.seeks.all()) {
		next.seeks.put(e.key, newSought(e.value.seek, e.value.mask.carry(s.cat, cat, changed)))
	}
	return &next
}
