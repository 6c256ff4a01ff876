package train

import (
	"slices"

	"github.com/sartorhq/sartor/models"
)

// csr is a sparse matrix by rows: row r holds cols[starts[r]:starts[r+1]], ascending, with values.
type csr struct {
	starts []int
	cols   []int32
	values []float32
	sums   []float64 // of the values of each row
}

func (m *csr) rows() int { return len(m.starts) - 1 }

func (m *csr) row(r int) ([]int32, []float32) {
	lo, hi := m.starts[r], m.starts[r+1]
	return m.cols[lo:hi], m.values[lo:hi]
}

func (m *csr) sum() {
	m.sums = make([]float64, m.rows())
	for r := range m.sums {
		_, values := m.row(r)
		for _, v := range values {
			m.sums[r] += float64(v)
		}
	}
}

// density is the mean value over all pairs of row and column, absent ones counting 0.
func (m *csr) density(columns int) float64 {
	total := 0.0
	for _, v := range m.sums {
		total += v
	}
	return total / float64(m.rows()) / float64(columns)
}

// transpose returns the same pairs by column.
func (m *csr) transpose(columns int) *csr {
	t := &csr{starts: make([]int, columns+1), cols: make([]int32, len(m.cols)), values: make([]float32, len(m.cols))}
	for _, c := range m.cols {
		t.starts[c+1]++
	}
	for c := range columns {
		t.starts[c+1] += t.starts[c]
	}
	next := slices.Clone(t.starts[:columns])
	for r := range m.rows() {
		cols, values := m.row(r)
		for k, c := range cols {
			t.cols[next[c]], t.values[next[c]] = int32(r), values[k]
			next[c]++
		}
	}
	t.sum()
	return t
}

// problem is what is solved: users and items with evidence, renumbered without gaps.
type problem struct {
	ids        []string // item ids by column
	popularity []float32
	byUser     *csr  // users x items
	byItem     *csr  // nil until turn
	events     int64 // interactions with a weight
	// userNumbers and itemNumbers are those of the log, by row.
	userNumbers, itemNumbers []int32
}

// newProblem weighs the interactions of the log. Only positive pairs stay; items are numbered in the
// order of the log, users in the order of their numbers. fade is the half-life of popularity, which,
// unlike that of taste, is measured from the newest event of the log.
func newProblem(l *Log, s models.Signal, fade models.Signal) *problem {
	p := &problem{}
	weights := make([]float64, len(l.types))
	for i, t := range l.types {
		weights[i] = s.Weights[string(t)]
	}
	order, starts := groupByUser(l, weights)
	p.events = int64(len(order))
	now := l.Newest().UnixMilli()
	popularity, last, pairs := make([]float64, len(l.items.list)), make([]int32, len(l.items.list)), 0
	for u := range len(starts) - 1 {
		for _, i := range order[starts[u]:starts[u+1]] {
			x := l.events.at(int(i))
			if weights[x.kind()] > 0 {
				popularity[x.item] += fade.Fade(now - x.time())
			}
			if last[x.item] != int32(u+1) {
				last[x.item] = int32(u + 1)
				pairs++
			}
		}
	}
	// A user has no more pairs than events, so that the pairs take the place of the events that they come from.
	m := &csr{starts: []int{0}, cols: order[:0], values: make([]float32, 0, pairs)}
	var mine []interaction
	for u := range len(starts) - 1 {
		mine = mine[:0]
		for _, i := range order[starts[u]:starts[u+1]] {
			mine = append(mine, l.events.at(int(i)))
		}
		appendUser(m, mine, weights, s)
		if n := len(m.cols); n > m.starts[len(m.starts)-1] {
			m.starts = append(m.starts, n)
			p.userNumbers = append(p.userNumbers, int32(u))
		}
	}
	p.renumber(l, m, popularity)
	return p
}

// groupByUser returns the indices of the interactions that carry weight, by user and then in the
// order of the log, and where each user's begin.
func groupByUser(l *Log, weights []float64) (order []int32, starts []int) {
	starts = make([]int, len(l.users.list)+1)
	for _, x := range l.events.all() {
		if weights[x.kind()] != 0 {
			starts[x.user+1]++
		}
	}
	for u := range len(l.users.list) {
		starts[u+1] += starts[u]
	}
	order = make([]int32, starts[len(l.users.list)])
	next := slices.Clone(starts)
	for i, x := range l.events.all() {
		if weights[x.kind()] != 0 {
			order[next[x.user]] = int32(i)
			next[x.user]++
		}
	}
	return order, starts
}

// appendUser appends the pairs of one user's events, which it sorts, with the arithmetic of
// models.ALS.Encode: evidence fades from the user's own newest event.
func appendUser(m *csr, mine []interaction, weights []float64, s models.Signal) {
	if len(mine) == 0 {
		return
	}
	newest := mine[0].time()
	for _, x := range mine {
		newest = max(newest, x.time())
	}
	slices.SortStableFunc(mine, func(a, b interaction) int { return int(a.item) - int(b.item) })
	for k := 0; k < len(mine); {
		item, sum := mine[k].item, 0.0
		for ; k < len(mine) && mine[k].item == item; k++ {
			sum += weights[mine[k].kind()] * s.Fade(newest-mine[k].time())
		}
		if c := s.Confidence(sum); c > 0 {
			m.cols, m.values = append(m.cols, item), append(m.values, c)
		}
	}
}

// renumber leaves out items without a pair, so that every row of the model has been learned.
func (p *problem) renumber(l *Log, m *csr, popularity []float64) {
	number := make([]int32, len(l.items.list))
	for _, c := range m.cols {
		number[c] = 1
	}
	for item, used := range number {
		if used == 0 {
			continue
		}
		number[item] = int32(len(p.ids))
		p.ids = append(p.ids, l.items.list[item])
		p.itemNumbers = append(p.itemNumbers, int32(item))
		p.popularity = append(p.popularity, float32(popularity[item]))
	}
	for k, c := range m.cols {
		m.cols[k] = number[c] // the order is kept: rows stay ascending
	}
	m.sum()
	p.byUser = m
}

// turn adds the pairs by item, for those that need them.
func (p *problem) turn() { p.byItem = p.byUser.transpose(len(p.ids)) }
