package recommender

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/sartorhq/sartor/models/index"
	"github.com/sartorhq/sartor/rules"
)

// sourced is a row that a source offers, with a base score in [0, 1].
type sourced struct {
	row  int32
	base float64
}

// step is one list of a chain: a source that runs out of items goes on with the next step.
type step struct {
	label   string
	ranking ranking
	value   func(*row) float64 // what ranking is sorted by, to search the whole catalogue
	byRank  bool               // scores follow the rank: the values have no meaning as a ratio
}

func (s *snapshot) keyStep(label string, k sortKey) step {
	return step{
		label:   label,
		ranking: s.lists.by[k],
		value:   func(r *row) float64 { return r.key[k] },
		byRank:  k == byCreated,
	}
}

// windows are the sales windows that the feature schema keeps, shortest first.
var windows = []struct {
	name string
	key  sortKey
}{{"1h", bySales1h}, {"24h", bySales24h}, {"7d", bySales7d}, {"30d", bySales30d}}

const defaultHotWindow = "7d"

// hot is the chain from a window to longer ones and then to all time.
func (s *snapshot) hot(window string) []step {
	from := slices.IndexFunc(windows, func(w struct {
		name string
		key  sortKey
	}) bool {
		return w.name == window
	})
	if from < 0 {
		from = 2 // defaultHotWindow
	}
	var chain []step
	for _, w := range windows[from:] {
		chain = append(chain, s.keyStep("units sold in "+w.name, w.key))
	}
	return append(chain, s.popular()...)
}

func (s *snapshot) popular() []step {
	return []step{s.keyStep("units sold ever", byUnits), s.keyStep("views ever", byViews)}
}

// chain returns the lists of a source, in the order in which they are used up.
func (s *snapshot) chain(f rules.Fetch) []step {
	switch f.Source {
	case rules.SourceHot:
		hot := s.hot(cmp.Or(f.Window, defaultHotWindow))
		if f.By != "country" || f.Value == "" {
			return hot
		}
		country := f.Value
		return append([]step{{
			label:   "units sold in 7d in the country",
			ranking: s.lists.country[country],
			value:   func(r *row) float64 { return float64(r.sales[country]) },
		}}, hot...)
	case rules.SourceTrending:
		return append([]step{s.keyStep("trend", byTrend)}, s.hot("24h")...)
	case rules.SourceNew:
		return append([]step{s.keyStep("newest", byCreated)}, s.popular()...)
	case rules.SourcePopular:
		return s.popular()
	}
	if len(f.Items) > 0 {
		return []step{s.listed(f)}
	}
	return nil
}

// listed is the list of a rule file, in its author's order.
func (s *snapshot) listed(f rules.Fetch) step {
	st := step{label: "the order of the list", byRank: true, ranking: ranking{complete: true}}
	seen := make(map[int32]bool, len(f.Items))
	for i, id := range f.Items {
		if row, ok := s.cat.find(id); ok && !seen[row] {
			seen[row] = true
			st.ranking.rows = append(st.ranking.rows, ranked{row: row, value: float64(len(f.Items) - i)})
		}
	}
	return st
}

// everything is the last resort: any item, by id.
func everything() step {
	return step{label: "item id", value: func(*row) float64 { return 1 }}
}

// draw takes up to n open rows from a chain; all open rows are in bits. Scores fall from 1; a later step
// never scores above an earlier one. used names the steps that gave rows.
func (s *snapshot) draw(chain []step, n int, bits index.Bitmap, open func(int32) bool) (out []sourced, used []string) {
	seen := make(map[int32]bool, n)
	ceiling := 1.0
	for _, st := range chain {
		if len(out) >= n {
			break
		}
		got := s.drawStep(st, n-len(out), seen, bits, open)
		if len(got) == 0 {
			continue
		}
		used = append(used, st.label)
		top := got[0].value
		for i, r := range got {
			share := r.value / top
			if st.byRank {
				share = 1 - float64(i)/float64(len(got)+1)
			}
			seen[r.row] = true
			out = append(out, sourced{row: r.row, base: ceiling * share})
		}
		ceiling = 0.99 * out[len(out)-1].base
	}
	return out, used
}

// drawStep takes up to n unseen open rows of one list: from the precomputed part when that is
// enough, else from a search over all that may be shown.
func (s *snapshot) drawStep(st step, n int, seen map[int32]bool, bits index.Bitmap, open func(int32) bool) []ranked {
	pass := func(row int32) bool { return !seen[row] && open(row) }
	out := make([]ranked, 0, min(n, len(st.ranking.rows)))
	for _, r := range st.ranking.rows {
		if len(out) == n {
			return out
		}
		if pass(r.row) {
			out = append(out, r)
		}
	}
	if len(out) == n || st.ranking.complete {
		return out
	}
	return s.cat.search(st.value, n, bits, pass).rows
}

// describe says in words which lists a source drew from.
func describe(f rules.Fetch, used []string) string {
	name := string(f.Source)
	if f.Window != "" {
		name += " " + f.Window
	}
	if len(used) == 0 {
		return name + ": nothing to offer"
	}
	return fmt.Sprintf("%s: by %s", name, join(used, ", then "))
}

func join(parts []string, sep string) string {
	out := parts[0]
	for _, p := range parts[1:] {
		out += sep + p
	}
	return out
}
