package rules

import (
	"slices"
	"sort"
	"strings"
)

// A second reference interpreter, of everything that the first leaves out: groups, stop, dedupe,
// quotas, relaxed caps, injection, replacement and fillers. It works by definition, item by item and
// place by place, and asks every question anew.

type nItem struct {
	Candidate
	fill         int
	model        bool
	gone         bool
	stopped      map[string]bool
	product, sum float64
	score        float64
	bottom       bool
	pin, place   int
}

type naive struct {
	on       []nRule
	items    []*nItem
	count    int
	fillers  []Source
	strategy bool
	injected bool
}

// activate decides which rules are on, and what the plan's stages decide.
func (w *naive) activate(rules []nRule) {
	sorted := slices.Clone(rules)
	sort.SliceStable(sorted, func(i, j int) bool { return sorted[i].priority > sorted[j].priority })
	taken := false
	for _, r := range sorted {
		if !r.when || r.group != "" && taken {
			continue
		}
		taken = taken || r.group != "" && r.cond < 0
		w.on = append(w.on, r)
		w.injected = w.injected || r.kind == "inject"
		w.strategy = w.strategy || r.kind == "replace"
		if r.kind == "fill" && w.fillers == nil {
			w.fillers = []Source{SourceNew, SourcePopular}
		}
	}
	if w.fillers == nil {
		w.fillers = []Source{SourcePopular}
	}
}

func (w *naive) take(in []Candidate) {
	for _, c := range in {
		it := &nItem{Candidate: c, product: 1, stopped: map[string]bool{}, model: slices.Equal(c.Sources, []Source{SourceModel}), fill: len(w.fillers) + 1}
		for _, s := range c.Sources {
			at := slices.Index(w.fillers, s)
			if at < 0 || s == SourceHot && w.injected || s == SourceTrending && w.strategy {
				it.fill = 0
				break
			}
			it.fill = min(it.fill, at+1)
		}
		w.items = append(w.items, it)
	}
}

// hits tells whether the i-th rule applies to an item: no earlier one of its group does.
func (w *naive) hits(i int, it *nItem) bool {
	r := w.on[i]
	if r.group != "" {
		for k := range i {
			if w.on[k].group == r.group && w.hits(k, it) {
				return false
			}
		}
	}
	return r.cond < 0 || refConditions[r.cond].test(it.Item.Env, it.Base)
}

// each visits rules of a kind with the items that they apply to, in a stage that a `stop` may end.
func (w *naive) each(stage string, kinds []string, do func(r nRule, it *nItem)) {
	for i, r := range w.on {
		if !slices.Contains(kinds, r.kind) || r.hard {
			continue
		}
		for _, it := range w.items {
			if !it.gone && !it.stopped[stage] && w.hits(i, it) {
				do(r, it)
				it.stopped[stage] = r.stop
			}
		}
	}
}

func (w *naive) filter() {
	for i, r := range w.on {
		for _, it := range w.items {
			it.gone = it.gone || r.hard && w.hits(i, it)
		}
	}
	w.each("filter", []string{"exclude", "keep"}, func(r nRule, it *nItem) { it.gone = r.kind == "exclude" })
	for _, it := range w.items {
		keeps, kept := false, false
		for i, r := range w.on {
			if r.kind == "keep" {
				keeps, kept = true, kept || w.hits(i, it)
			}
		}
		it.gone = it.gone || keeps && !kept
	}
	for i, r := range w.on {
		if r.kind != "dedupe" {
			continue
		}
		better := func(a, b *nItem) bool {
			return a.fill < b.fill || a.fill == b.fill && (a.Base > b.Base || a.Base == b.Base && a.Item.ID < b.Item.ID)
		}
		var drop []*nItem
		in := func(it *nItem) bool { return !it.gone && !it.stopped["filter"] && w.hits(i, it) }
		for _, it := range w.items {
			for _, other := range w.items {
				if key := it.Item.Env["category"]; key != "" && other.Item.Env["category"] == key && in(it) && in(other) && better(other, it) {
					drop = append(drop, it)
				}
			}
		}
		for _, it := range drop {
			it.gone = true
		}
	}
}

func (w *naive) rank() {
	w.each("score", []string{"multiply", "add", "bottom"}, func(r nRule, it *nItem) {
		switch r.kind {
		case "multiply":
			it.product *= float64(r.n)
		case "add":
			it.sum += float64(r.n)
		default:
			it.bottom = true
		}
	})
	w.items = slices.DeleteFunc(w.items, func(it *nItem) bool { return it.gone })
	for _, it := range w.items {
		it.score = it.Base*min(it.product, maxProduct) + it.sum
	}
	sort.Slice(w.items, func(i, j int) bool {
		a, b := w.items[i], w.items[j]
		switch {
		case a.fill != b.fill:
			return a.fill < b.fill
		case a.bottom != b.bottom:
			return b.bottom
		case a.score != b.score:
			return a.score > b.score
		case a.Base != b.Base:
			return a.Base > b.Base
		}
		return a.Item.ID < b.Item.ID
	})
}

func (w *naive) pins() {
	ordinary := 0
	for _, it := range w.items {
		if it.fill == 0 {
			ordinary++
		}
	}
	for i, r := range w.on {
		if r.kind != "pin" {
			continue
		}
		var chosen []*nItem
		for _, it := range w.items {
			if it.pin == 0 && w.hits(i, it) && (it.fill == 0 || ordinary < w.count) {
				chosen = append(chosen, it)
			}
		}
		sort.SliceStable(chosen, func(i, j int) bool {
			return chosen[i].Item.Env["sales_7d"].(int) > chosen[j].Item.Env["sales_7d"].(int)
		})
		for n, it := range chosen[:min(r.n, len(chosen))] {
			pos := r.position + n
			for w.pinned(pos) != nil {
				pos++
			}
			if pos > w.count {
				break
			}
			it.pin = pos
		}
	}
}

func (w *naive) pinned(pos int) *nItem {
	for _, it := range w.items {
		if it.pin == pos && it.place == 0 {
			return it
		}
	}
	return nil
}

// limits lists the caps and quotas in force: a rule with `stop` ends those of later ones.
func (w *naive) limits(kind string) []int {
	var out []int
	for i, r := range w.on {
		if r.kind == kind {
			out = append(out, i)
		}
		if (r.kind == "cap" || r.kind == "quota") && r.stop {
			break
		}
	}
	return out
}

// counted counts the items in the first places, pinned ones at their pin, of which something holds.
func (w *naive) counted(last int, holds func(*nItem) bool) int {
	n := 0
	for _, it := range w.items {
		at := it.place
		if it.pin > 0 {
			at = it.pin
		}
		if at > 0 && at <= last && holds(it) {
			n++
		}
	}
	return n
}

func (w *naive) wanted(i int) func(*nItem) bool {
	return func(it *nItem) bool { return w.hits(i, it) && it.Item.Env["brand"] == "y" }
}

// missing is how many items a quota still needs.
func (w *naive) missing(i int) int {
	r := w.on[i]
	return max(0, r.n-w.counted(min(r.last, w.count), w.wanted(i)))
}

// capped tells whether a cap forbids an item at a place, and whether all that do may be overstepped.
func (w *naive) capped(it *nItem, pos int) (broken, relaxable bool) {
	relaxable = true
	for _, i := range w.limits("cap") {
		r, key := w.on[i], it.Item.Env["category"]
		same := func(o *nItem) bool { return w.hits(i, o) && o.Item.Env["category"] == key }
		if last := min(r.last, w.count); key != "" && pos <= last && w.hits(i, it) && w.counted(last, same) >= r.n {
			broken, relaxable = true, relaxable && r.relax
		}
	}
	return broken, relaxable
}

// best finds the first item that a place may take.
func (w *naive) best(pos int, want func(*nItem) bool, relaxed bool) *nItem {
	models := 0
	for _, it := range w.items {
		if it.model && it.place > 0 && it.pin == 0 {
			models++
		}
	}
	due := int(0.4*float64(pos)+1e-9) > models
	for _, early := range []bool{false, true} {
		for _, it := range w.items {
			turn := !w.strategy || it.model && due || !it.model && (!due || early)
			if it.place > 0 || it.pin > 0 || !want(it) || !turn {
				continue
			}
			if broken, relaxable := w.capped(it, pos); !broken || relaxed && relaxable {
				return it
			}
		}
	}
	return nil
}

// next is who gets a place: a pin, a quota that can wait no longer, the best, a relaxed one, a later pin.
func (w *naive) next(pos int) *nItem {
	if it := w.pinned(pos); it != nil {
		return it
	}
	for _, i := range w.limits("quota") {
		last := min(w.on[i].last, w.count)
		if pos > last || w.missing(i) == 0 {
			continue
		}
		free, need := 0, 0
		for p := pos; p <= last; p++ {
			if w.pinned(p) == nil {
				free++
			}
		}
		for _, k := range w.limits("quota") {
			if min(w.on[k].last, w.count) <= last {
				need += w.missing(k)
			}
		}
		if need < free {
			continue
		}
		if it := w.best(pos, w.wanted(i), false); it != nil {
			return it
		}
		for _, it := range w.items {
			if it.place == 0 && it.pin == 0 && w.wanted(i)(it) {
				return it
			}
		}
	}
	anyone := func(*nItem) bool { return true }
	for _, relaxed := range []bool{false, true} {
		if it := w.best(pos, anyone, relaxed); it != nil {
			return it
		}
	}
	for p := pos; p <= w.count; p++ {
		if it := w.pinned(p); it != nil {
			return it
		}
	}
	return nil
}

func naiveList(rules []nRule, in []Candidate, count int) string {
	w := &naive{count: count}
	w.activate(rules)
	w.take(in)
	w.filter()
	w.rank()
	w.pins()
	var list []string
	for pos := 1; pos <= count; pos++ {
		it := w.next(pos)
		if it == nil {
			break
		}
		it.place = pos
		list = append(list, it.Item.ID)
	}
	return strings.Join(list, " ")
}
