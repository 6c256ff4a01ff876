package recommender

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/models/index"
	"github.com/sartorhq/sartor/rules"
)

// snapshot is everything that a request reads besides its user: one model with its index, one
// catalogue view, one rule set. It is built aside and swapped whole; its only moving parts are
// caches of values that follow from the rest.
type snapshot struct {
	main *modelView // nil = none
	// special are the models of single scenarios; never changed.
	special scenarioViews
	// blends are the sources of scenarios; never changed.
	blends map[string][]Portion
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
	// known is what the rules know of the rows, in short; nil for rules that do without.
	known *briefs
	// users reads the fields of users that the rules look at.
	users *features.UserReader
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
	// test returns the id of what removes the item, or "" and true for an item that passes. It looks at
	// nothing but fields, and does not keep the item.
	test   itemTest
	fields []string
	key    string // of a scenario's mask: its static rules
	bits   index.Bitmap
	// removed counts the rows by what removed them.
	removed map[string]int
}

// itemTest is the test of a mask.
type itemTest func(*features.Item) (by string, ok bool)

func newMask(fields []string, test itemTest) *mask { return &mask{test: test, fields: fields} }

// again returns the mask before it was filled.
func (m *mask) again() *mask { return &mask{test: m.test, fields: m.fields, key: m.key} }

// fill computes the mask over the catalogue once. Of an item that was never asked for it computes the
// fields that the test looks at, and keeps none.
func (m *mask) fill(c *catalog) *mask {
	return m.fillFrom(c, func(int) bool { return false })
}

// fillFrom is fill for a mask of which some rows are known to pass.
func (m *mask) fillFrom(c *catalog, passes func(row int) bool) *mask {
	m.once.Do(func() {
		m.bits = index.NewBitmap(len(c.rows))
		m.removed = make(map[string]int)
		var counting sync.Mutex
		inParts(len(c.rows), func(from, to int) {
			removed, judge := make(map[string]int), m.judge(c)
			for i := from; i < to; i++ {
				if passes(i) {
					m.bits.Set(i) // parts share no word
				} else if by, ok := judge(c.rows[i]); ok {
					m.bits.Set(i)
				} else {
					removed[by]++
				}
			}
			counting.Lock()
			defer counting.Unlock()
			for by, n := range removed {
				m.removed[by] += n
			}
		})
	})
	return m
}

// judge returns the test of a row, for one goroutine.
func (m *mask) judge(c *catalog) func(*row) (by string, ok bool) {
	if len(c.rows) == 0 {
		return nil
	}
	scan := c.rows[0].view.schema.ItemReader(m.fields).Scan()
	return func(r *row) (string, bool) {
		it := r.made.Load()
		if it == nil {
			it = scan.Read(r.id, r.state, r.view.now)
		}
		return m.test(it)
	}
}

// renumbered returns the mask of a catalog that has rows of old in another order, from tells which: what passed
// the test then passes it now, and most did.
func (m *mask) renumbered(old, next *catalog, from []int32) *mask {
	m.fill(old)
	return m.again().fillFrom(next, func(row int) bool { return m.bits.Has(int(from[row])) })
}

// carry returns the mask of the next catalog, given the rows that changed since old: the cost is
// that of what changed, so a request never pays for a refresh.
func (m *mask) carry(old, next *catalog, changed []int32) *mask {
	if len(changed) > manyRows && len(changed) > len(next.rows)/4 {
		return m.again().fill(next) // by all processors; as when the first catalogue comes
	}
	m.fill(old)
	out := m.again()
	out.once.Do(func() {
		before, after := m.judge(old), m.judge(next)
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
				by, _ := before(old.rows[i])
				out.removed[by]--
			}
			out.bits.Clear(int(i))
			if by, ok := after(next.rows[i]); ok {
				out.bits.Set(int(i))
			} else {
				out.removed[by]++
			}
		}
	})
	return out
}

// maxScenarios bounds the scenarios whose masks are kept: their names come from requests.
const maxScenarios = 64

// maskCache holds the allowed rows by scenario. Scenarios with the same static rules share a mask.
type maskCache struct{ *lru[string, *mask] }

func newMaskCache() *maskCache { return &maskCache{newLRU[string, *mask](maxScenarios)} }

// removedDeleted is what a mask names for an item that is no longer in the catalogue.
const removedDeleted = "deleted"

// carried returns the cache with each mask replaced by what next makes of it.
func (c *maskCache) carried(next func(*mask) *mask) *maskCache {
	out, done := newMaskCache(), make(map[*mask]*mask)
	for _, e := range slices.Backward(c.all()) {
		if done[e.value] == nil {
			done[e.value] = next(e.value)
		}
		out.put(e.key, done[e.value])
	}
	return out
}

// allowed returns the rows that no static rule of the scenario removes.
func (s *snapshot) allowed(scenario string) *mask {
	m, ok := s.masks.get(scenario)
	if !ok {
		made := s.newAllowed(scenario)
		m = s.masks.getOrPut(scenario, func() *mask { return made })
	}
	return m.fill(s.cat)
}

// newAllowed returns the mask of a scenario with the same static rules, else a new one.
func (s *snapshot) newAllowed(scenario string) *mask {
	key := strings.Join(s.rules.StaticRules(scenario), "\n")
	for _, e := range s.masks.all() {
		if e.value.key == key {
			return e.value
		}
	}
	m := newMask(s.rules.StaticFields(scenario), staticTest(s.rules, scenario))
	m.key = key
	return m
}

// warm computes what requests would otherwise wait for: the masks of the scenarios that were asked for
// before or that rules name, and what the rules know of the items that are being shown.
func (s *snapshot) warm(asked []lruEntry[string, *mask]) {
	names := append([]string{DefaultScenario}, s.rules.Scenarios()...)
	names = slices.Clip(names[:min(len(names), maxScenarios/2)])
	for _, e := range slices.Backward(asked) {
		names = append(names, e.key)
	}
	for _, name := range names {
		s.allowed(name)
	}
}

// learn evaluates the rule set for the items that are being shown.
func (s *snapshot) learn() {
	inParts(len(s.cat.rows), func(from, to int) {
		for _, r := range s.cat.rows[from:to] {
			if r.made.Load() != nil {
				r.known(s.rules)
			}
		}
	})
}

func staticTest(set *rules.Set, scenario string) itemTest {
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
	m := s.filters.getOrPut(src, func() *mask { return newMask(cond.ItemFields(), filterTest(cond)) })
	return m.fill(s.cat)
}

func filterTest(cond *rules.Condition) itemTest {
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
func (s *snapshot) withRules(set *rules.Set, given bool, schema *features.Schema, now time.Time) *snapshot {
	next := *s
	next.rules, next.ruled = set, given
	next.users = schema.UserReader(set.UserFields())
	next.versions.Rules = set.Version()
	next.builtAt = now
	next.masks = newMaskCache()
	next.warm(s.masks.all())
	next.learn()
	next.known = newBriefs(next.cat, set)
	next.seeks = newLRU[string, *sought](maxSeeks)
	return &next
}

// withModel returns the snapshot under another model, nil for none. Its items come first in the catalogue,
// whose rows are therefore numbered anew: the indexes of scenarios are made again too.
func (s *snapshot) withModel(v *modelView, schema *features.Schema, now time.Time) *snapshot {
	next := *s
	next.versions.Model = ""
	next.builtAt = now
	cat, from := s.cat.align(v.trained(), schema, now)
	next.cat = cat
	if next.main = v; v != nil {
		next.main, next.versions.Model = v.behind(next.cat), v.version()
	}
	next.special = s.special.renumbered(next.cat)
	next.known = newBriefs(next.cat, next.rules)
	if s.listsOf == s.cat {
		next.lists, next.listsOf = s.lists.renumbered(s.cat, cat), cat
	}
	next.rank(now)
	next.masks = s.masks.carried(func(m *mask) *mask { return m.renumbered(s.cat, cat, from) })
	next.warm(s.masks.all())
	next.filters = newLRU[string, *mask](s.filters.max)
	for _, e := range slices.Backward(s.filters.all()) {
		next.filters.put(e.key, e.value.renumbered(s.cat, cat, from))
	}
	next.seeks = newLRU[string, *sought](maxSeeks)
	return &next
}

// emptied returns the snapshot with the model's items only.
func (s *snapshot) emptied(schema *features.Schema, now time.Time) *snapshot {
	next := *s
	next.cat, _ = (&catalog{}).align(s.main.trained(), schema, now)
	next.origin = originNone
	if s.main != nil {
		next.main = s.main.behind(next.cat)
	}
	next.special = s.special.renumbered(next.cat)
	next.known = newBriefs(next.cat, next.rules)
	next.rank(now)
	next.masks = s.masks.carried(func(m *mask) *mask { return m.again() })
	next.filters = newLRU[string, *mask](s.filters.max)
	for _, e := range slices.Backward(s.filters.all()) {
		next.filters.put(e.key, e.value.again())
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
	next.main = s.main.with(s.cat, cat, changed)
	next.special = s.special.with(s.cat, cat, changed)
	next.known = s.known.with(cat, changed)
	next.masks = s.masks.carried(func(m *mask) *mask { return m.carry(s.cat, cat, changed) })
	next.warm(nil)
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
