package redisstore

import (
	"math"
	"slices"
	"strconv"

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
	erase              int64 // 0 = none
	oldest             int64 // least event time of all operations
	clock              int64 // math.MinInt64 = none
	adds, mins, maxs   []counter
	document           string // "", "put" or "withdraw"
	docTime            int64
	docText            string
	pushes             []push // in the order of the schema's lists
	addAt, minAt, maxA map[string]int
}

type counter struct {
	name  string
	value int64
}

// push is what one list gains.
type push struct {
	list    int // 1-based, as in the script
	entries []listEntry
	at      map[string]int
}

type listEntry struct {
	member string
	time   int64
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
	*m = merged{erase: m.erase, oldest: m.oldest, clock: math.MinInt64, docTime: math.MinInt64,
		addAt: map[string]int{}, minAt: map[string]int{}, maxA: map[string]int{}}
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
		m.adds = merge(m.adds, m.addAt, op.Field, op.Value, addSaturated)
	case features.Min:
		m.mins = merge(m.mins, m.minAt, op.Field, op.Value, func(a, b int64) int64 { return min(a, b) })
	case features.Max:
		if op.Field == clockCounter {
			m.clock = max(m.clock, op.Value)
			return
		}
		m.maxs = merge(m.maxs, m.maxA, op.Field, op.Value, func(a, b int64) int64 { return max(a, b) })
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

func merge(in []counter, at map[string]int, name string, v int64, join func(a, b int64) int64) []counter {
	if i, ok := at[name]; ok {
		in[i].value = join(in[i].value, v)
		return in
	}
	at[name] = len(in)
	return append(in, counter{name, v})
}

func (m *merged) push(op *features.Op, lists []features.List) {
	n := slices.IndexFunc(lists, func(l features.List) bool { return l.Name == op.Field }) + 1
	if n == 0 {
		return
	}
	i := slices.IndexFunc(m.pushes, func(p push) bool { return p.list == n })
	if i < 0 {
		i = len(m.pushes)
		m.pushes = append(m.pushes, push{list: n, at: map[string]int{}})
	}
	p := &m.pushes[i]
	if j, ok := p.at[op.Text]; ok {
		p.entries[j].time = max(p.entries[j].time, op.Time)
		return
	}
	p.at[op.Text] = len(p.entries)
	p.entries = append(p.entries, listEntry{op.Text, op.Time})
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

// headerArgs is the number of arguments before an entity's counters; apply.lua counts on it.
const headerArgs = 14

// encode appends the entity as the script reads it.
func (g *entityOps) encode(args []any, m *merged) []any {
	start := len(args)
	args = append(args, "", string(rune(g.entity.Kind)), g.entity.ID, optional(g.tombstone, 0), optional(m.erase, 0),
		strconv.FormatInt(m.oldest, 10), optional(m.clock, math.MinInt64),
		len(m.adds), len(m.mins), len(m.maxs), m.document, optional(m.docTime, math.MinInt64), m.docText, len(m.pushes))
	counters := [][]counter{m.adds, m.mins, m.maxs}
	for _, cs := range counters { // all names, then all values: the script reads the names at once
		for _, c := range cs {
			args = append(args, c.name)
		}
	}
	for _, cs := range counters {
		for _, c := range cs {
			args = append(args, strconv.FormatInt(c.value, 10))
		}
	}
	for _, p := range m.pushes {
		args = append(args, p.list, len(p.entries))
		for _, e := range p.entries {
			args = append(args, e.time, e.member)
		}
	}
	args[start] = len(args) - start
	return args
}

// optional writes a number, or nothing for the value that stands for none.
func optional(v, none int64) string {
	if v == none {
		return ""
	}
	return strconv.FormatInt(v, 10)
}
