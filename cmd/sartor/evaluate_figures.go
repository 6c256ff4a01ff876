package main

import (
	"fmt"
	"slices"

	"github.com/sartorhq/sartor/models/eval"
	"github.com/sartorhq/sartor/models/train"
)

// The bounds of the slices of users.
const (
	fewEvents  = 5 // events of a new user, at most
	heavyShare = 0.1
)

// figures turns a judgement into a report.
func (e *evaluation) figures(j *judged) *eval.Report {
	users, _ := e.h.testUsers()
	items := len(e.entries[0].model.Items().IDs)
	r := &eval.Report{K: j.k, Users: j.users, Items: items}
	r.Notes = append(r.Notes, fmt.Sprintf("%s users judged, %s%s; %s held-out users without history are not judged.",
		thousands(int64(j.users)), e.rankedText(items), e.seenText(), thousands(int64(j.cold))))
	b := newBeyond(e.h, e.catalog)
	champion := slices.IndexFunc(e.entries, func(x contestant) bool { return x.champion })
	for m, x := range e.entries {
		var base []eval.Measures
		if m > 0 {
			base = j.measures[0]
		}
		f := eval.NewFigures(x.name, j.measures[m], base, 1)
		b.fill(&f, users, j.lists[m], items)
		f.Fallbacks, f.Seconds = j.fallback[m], x.seconds
		if champion >= 0 && m != champion && m > 0 {
			d := eval.Paired(j.values(m, ndcgOf), j.values(champion, ndcgOf), 1)
			f.OverChampion = &d
		}
		r.Models = append(r.Models, f)
		if x.note != "" {
			r.Notes = append(r.Notes, x.note)
		}
	}
	r.AddDifferences(j.measures, 1)
	e.slices(r, j, users)
	return r
}

// beyond is what is known of the items by the log's numbers, for measures other than accuracy.
type beyond struct {
	h       *holdout
	known   []float64 // share of the users who have the item, at least a half of one user
	popular []float64 // place by popularity
	group   []int32   // category, -1 = none
}

func newBeyond(h *holdout, catalog *train.Catalog) *beyond {
	users, items := h.before.Numbers()
	b := &beyond{h: h, known: make([]float64, items), group: slices.Repeat([]int32{-1}, items)}
	had := map[[2]int32]bool{}
	count := make([]float64, items)
	for i := range h.before.Len() {
		x := h.before.At(i)
		if key := [2]int32{x.User, x.Item}; !had[key] {
			had[key] = true
			count[x.Item]++
		}
	}
	b.popular = eval.PopularityShares(count)
	for i, n := range count {
		b.known[i] = max(n, 0.5) / float64(max(users, 1))
	}
	if catalog == nil {
		return b
	}
	groups := map[string]int32{}
	for i := range b.group {
		it := catalog.Item(h.before.ItemID(int32(i)), h.moment)
		if it == nil || !it.Known["category"] {
			continue
		}
		name, _ := it.Env["category"].(string)
		if _, ok := groups[name]; !ok {
			groups[name] = int32(len(groups))
		}
		b.group[i] = groups[name]
	}
	return b
}

// fill sets the measures beyond accuracy.
func (b *beyond) fill(f *eval.Figures, users []testUser, lists [][]int32, items int) {
	like := func(x, y int32) float64 {
		if b.group[x] >= 0 && b.group[x] == b.group[y] {
			return 1
		}
		return 0
	}
	for i, list := range lists {
		f.Novelty += eval.Novelty(list, b.known)
		f.Diversity += eval.Diversity(list, like)
		f.Popular += eval.MeanOver(list, b.popular)
		f.Miscalibration += eval.Miscalibration(users[i].seen, list, b.group)
	}
	n := float64(max(len(lists), 1))
	f.Novelty, f.Diversity, f.Popular, f.Miscalibration = f.Novelty/n, f.Diversity/n, f.Popular/n, f.Miscalibration/n
	f.Coverage, f.Gini = eval.Coverage(lists, items), eval.Gini(lists, len(b.known))
}

// slices adds the slices of users, and those of what was to be found.
func (e *evaluation) slices(r *eval.Report, j *judged, users []testUser) {
	lengths := make([]int, len(users))
	for i, u := range users {
		lengths[i] = len(u.history)
	}
	sorted := slices.Clone(lengths)
	slices.Sort(sorted)
	heavy := sorted[len(sorted)-1-int(heavyShare*float64(len(sorted)-1))]
	e.slice(r, j, "new users", fmt.Sprintf("at most %d events", fewEvents), func(i int) []int32 {
		if lengths[i] > fewEvents {
			return nil
		}
		return users[i].relevant
	}, users)
	e.slice(r, j, "heavy users", fmt.Sprintf("at least %d events", heavy), func(i int) []int32 {
		if lengths[i] < heavy {
			return nil
		}
		return users[i].relevant
	}, users)
	counts := make([]int, 0)
	_, items := e.h.before.Numbers()
	counts = slices.Grow(counts, items)[:items]
	for i := range e.h.before.Len() {
		counts[e.h.before.At(i).Item]++
	}
	e.slice(r, j, "rare items", fmt.Sprintf("found items with at most %d events", fewEvents), func(i int) []int32 {
		return only(users[i].relevant, func(item int32) bool { return counts[item] <= fewEvents })
	}, users)
	byKind := map[string]map[[2]int32]bool{}
	for i := range e.h.after.Len() {
		x := e.h.after.At(i)
		kind := string(x.Type)
		if e.h.signal.Weights[kind] <= 0 {
			continue
		}
		if byKind[kind] == nil {
			byKind[kind] = map[[2]int32]bool{}
		}
		byKind[kind][[2]int32{x.User, x.Item}] = true
	}
	if len(byKind) < 2 {
		return
	}
	for _, kind := range sortedNames(byKind) {
		e.slice(r, j, "event "+kind, "found items of that type", func(i int) []int32 {
			return only(users[i].relevant, func(item int32) bool { return byKind[kind][[2]int32{users[i].number, item}] })
		}, users)
	}
}

func sortedNames(m map[string]map[[2]int32]bool) []string {
	var names []string
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// only returns the items for which keep is true.
func only(list []int32, keep func(int32) bool) []int32 {
	var out []int32
	for _, item := range list {
		if keep(item) {
			out = append(out, item)
		}
	}
	return out
}

// slice measures every model's lists again, against a part of what was to be found; users of whom nothing
// is left do not count. A slice without users is left out.
func (e *evaluation) slice(r *eval.Report, j *judged, name, about string, relevant func(i int) []int32, users []testUser) {
	measures := make([][]eval.Measures, len(j.lists))
	for i := range users {
		truth := relevant(i)
		if len(truth) == 0 {
			continue
		}
		for m := range j.lists {
			measures[m] = append(measures[m], eval.Measure(j.lists[m][i], truth, j.k))
		}
	}
	if len(measures[0]) > 0 {
		r.AddSlice(name, about, measures, 1)
	}
}
