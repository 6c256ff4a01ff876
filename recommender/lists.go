package recommender

import (
	"cmp"
	"container/heap"
	"slices"
	"strings"

	"github.com/sartorhq/sartor/models/index"
)

// The lengths of the precomputed lists. A filter that keeps too few of a list does not starve the
// answer: the whole catalogue is then searched.
const (
	listRows    = 1000
	countryRows = 200
	maxCountry  = 300
)

// ranked is a row with the value that it is ranked by.
type ranked struct {
	row   int32
	value float64
}

// ranking is a list of rows by value, largest first, ties by item id. It is complete when no row
// with a positive value was left out.
type ranking struct {
	rows     []ranked
	complete bool
}

// lists are the candidate sources that depend on the catalogue only.
type lists struct {
	by      [sortKeys]ranking
	country map[string]ranking // units sold in 7 days
}

// buildLists ranks the live rows of the catalogue.
func buildLists(c *catalog) *lists {
	var tops [sortKeys]*topN
	for k := range tops {
		tops[k] = newTopN(c, listRows)
	}
	countries := make(map[string]*topN)
	for i, r := range c.rows {
		if r.deleted {
			continue
		}
		for k, value := range r.key {
			tops[k].offer(int32(i), value)
		}
		for country, units := range r.sales {
			t := countries[country]
			if t == nil {
				t = newTopN(c, countryRows)
				countries[country] = t
			}
			t.offer(int32(i), float64(units))
		}
	}
	out := &lists{country: make(map[string]ranking, min(len(countries), maxCountry))}
	for k, t := range tops {
		out.by[k] = t.ranking()
	}
	for _, country := range busiest(countries) {
		out.country[country] = countries[country].ranking()
	}
	return out
}

// renumbered returns the lists of a catalogue in which the rows of old stand in another order, and new ones
// have nothing to be ranked by.
func (l *lists) renumbered(old, next *catalog) *lists {
	moved := func(r ranking) ranking {
		rows := make([]ranked, 0, len(r.rows))
		for _, at := range r.rows {
			if row, ok := next.find(old.rows[at.row].id); ok {
				rows = append(rows, ranked{row: row, value: at.value})
			}
		}
		return ranking{rows: rows, complete: r.complete}
	}
	out := &lists{country: make(map[string]ranking, len(l.country))}
	for k := range l.by {
		out.by[k] = moved(l.by[k])
	}
	for name, r := range l.country {
		out.country[name] = moved(r)
	}
	return out
}

// busiest returns the countries to keep: country texts come from events, so their number is bounded.
func busiest(countries map[string]*topN) []string {
	names := make([]string, 0, len(countries))
	for name := range countries {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(countries[b].total, countries[a].total), strings.Compare(a, b))
	})
	return names[:min(len(names), maxCountry)]
}

// search ranks the allowed rows of the whole catalogue, all of which are in bits: the exact answer when
// a precomputed list was cut too early. A narrow filter makes it cheap.
func (c *catalog) search(value func(*row) float64, n int, bits index.Bitmap, allowed func(int32) bool) ranking {
	t := newTopN(c, n)
	eachRow(bits, func(row int32) {
		r := c.rows[row]
		if v := value(r); v > 0 && !r.deleted && allowed(row) {
			t.offer(row, v)
		}
	})
	return t.ranking()
}

// topN keeps the n rows with the largest positive values; it is a heap with the worst on top.
type topN struct {
	c       *catalog
	n       int
	kept    []ranked
	dropped bool
	total   float64
}

func newTopN(c *catalog, n int) *topN { return &topN{c: c, n: n} }

func (t *topN) offer(row int32, value float64) {
	if value <= 0 {
		return
	}
	t.total += value
	t.place(row, value)
}

// place offers a row whatever its value.
func (t *topN) place(row int32, value float64) {
	r := ranked{row: row, value: value}
	if len(t.kept) < t.n {
		heap.Push(t, r)
		return
	}
	t.dropped = true
	if t.n > 0 && t.worse(t.kept[0], r) {
		t.kept[0] = r
		heap.Fix(t, 0)
	}
}

// worse orders by value, then by item id: the order does not depend on how rows came in.
func (t *topN) worse(a, b ranked) bool {
	if a.value != b.value {
		return a.value < b.value
	}
	return t.c.rows[a.row].id > t.c.rows[b.row].id
}

// ranking empties the heap.
func (t *topN) ranking() ranking {
	slices.SortFunc(t.kept, func(a, b ranked) int {
		if t.worse(b, a) {
			return -1
		}
		return 1
	})
	return ranking{rows: t.kept, complete: !t.dropped}
}

// Len, Less, Swap, Push and Pop are heap.Interface.
func (t *topN) Len() int           { return len(t.kept) }
func (t *topN) Less(i, j int) bool { return t.worse(t.kept[i], t.kept[j]) }
func (t *topN) Swap(i, j int)      { t.kept[i], t.kept[j] = t.kept[j], t.kept[i] }
func (t *topN) Push(x any)         { t.kept = append(t.kept, x.(ranked)) }
func (t *topN) Pop() any {
	last := t.kept[len(t.kept)-1]
	t.kept = t.kept[:len(t.kept)-1]
	return last
}
