package redisstore

import (
	"math"
	"slices"

	"github.com/sartorhq/sartor/features"
)

// entityOps is what a batch does to one entity, in log order.
type entityOps struct {
	entity features.Entity
	ops    []features.Op
	// tombstone is the stored erasure that the script told us of; 0 = none known.
	tombstone int64
}

// merged is entityOps with one number per counter and one entry per list member: what the script
// carries out. Merging and then applying equals applying one after the other.
type merged struct {
	erase            int64 // 0 = none
	oldest           int64 // least event time of all operations
	clock            int64 // math.MinInt64 = none
	adds, mins, maxs counters
	document         string // "", "put" or "withdraw"
	docTime          int64
	docText          string
	pushes           []push // in order of first appearance
}

type counter struct {
	name  string
	value int64
}

// fewCounters is up to how many names are found by looking at each: most batches change few counters
// of an entity, and a map costs more than it saves.
const fewCounters = 16

// counters is a set of counters in order of first appearance.
type counters struct {
	all []counter
	at  map[string]int // nil while there are few
}

// join merges a value into the counter of that name.
func (c *counters) join(name string, v int64, how func(a, b int64) int64) {
	i := c.find(name)
	if i >= 0 {
		c.all[i].value = how(c.all[i].value, v)
		return
	}
	if c.at != nil {
		c.at[name] = len(c.all)
	}
	c.all = append(c.all, counter{name, v})
	if c.at == nil && len(c.all) > fewCounters {
		c.at = make(map[string]int, 4*fewCounters)
		for i := range c.all {
			c.at[c.all[i].name] = i
		}
	}
}

func (c *counters) find(name string) int {
	if c.at != nil {
		if i, ok := c.at[name]; ok {
			return i
		}
		return -1
	}
	for i := range c.all {
		if c.all[i].name == name {
			return i
		}
	}
	return -1
}

// push is what one list gains.
type push struct {
	list    int      // 1-based, as in the script
	entries counters // members with their newest time
}

// clockCounter is the counter that retention follows; the script keeps it apart.
const clockCounter = "last"

// merge returns nil when nothing is left to do.
func (g *entityOps) merge(lists []features.List) *merged {
	m := &merged{oldest: math.MaxInt64}
	m.reset()
	removed := g.tombstone
	for i := range g.ops {
		op := &g.ops[i]
		if op.Code == features.Remove && op.Field == "" {
			if op.Time > removed {
				removed = op.Time
				m.eraseAt(op.Time)
			}
			continue
		}
		if op.Time < removed || op.Time == removed && op.Code != features.Put && removed > 0 {
			continue
		}
		m.oldest = min(m.oldest, op.Time)
		m.add(op, lists)
	}
	if m.oldest == math.MaxInt64 {
		return nil
	}
	return m
}

func (m *merged) reset() {
	*m = merged{erase: m.erase, oldest: m.oldest, clock: math.MinInt64, docTime: math.MinInt64}
}

// eraseAt drops what was merged so far, but a document that is not older.
func (m *merged) eraseAt(t int64) {
	document, docTime, docText := m.document, m.docTime, m.docText
	m.reset()
	m.erase = t
	m.oldest = min(m.oldest, t)
	if document != "" && docTime >= t {
		m.document, m.docTime, m.docText = document, docTime, docText
	}
}

func (m *merged) add(op *features.Op, lists []features.List) {
	switch op.Code {
	case features.Add:
		m.adds.join(op.Field, op.Value, addSaturated)
	case features.Min:
		m.mins.join(op.Field, op.Value, least)
	case features.Max:
		if op.Field == clockCounter {
			m.clock = max(m.clock, op.Value)
			return
		}
		m.maxs.join(op.Field, op.Value, greatest)
	case features.Put:
		if op.Time >= m.docTime {
			m.document, m.docTime, m.docText = "put", op.Time, op.Text
		}
	case features.Remove:
		if op.Time > m.docTime {
			m.document, m.docTime, m.docText = "withdraw", op.Time, ""
		}
	case features.Push:
		m.push(op, lists)
	}
}

func least(a, b int64) int64 { return min(a, b) }

func greatest(a, b int64) int64 { return max(a, b) }

func (m *merged) push(op *features.Op, lists []features.List) {
	n := slices.IndexFunc(lists, func(l features.List) bool { return l.Name == op.Field }) + 1
	if n == 0 {
		return
	}
	i := slices.IndexFunc(m.pushes, func(p push) bool { return p.list == n })
	if i < 0 {
		i = len(m.pushes)
		m.pushes = append(m.pushes, push{list: n})
	}
	m.pushes[i].entries.join(op.Text, op.Time, greatest)
}

func addSaturated(a, b int64) int64 {
	c := a + b
	switch {
	case b > 0 && c < a:
		return math.MaxInt64
	case b < 0 && c > a:
		return math.MinInt64
	}
	return c
}
