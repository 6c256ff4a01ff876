package rules

import (
	"fmt"
	"sort"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// The reference interpreter: the semantics once more, as plainly as they can be written, over a
// few conditions in Go. It knows nothing of programs, frames or stages.

type refRule struct {
	id        string
	priority  int
	kind      string
	condition int // index into refConditions
	number    float64
	position  int
	within    int
	hard      bool
	when      bool
}

var refConditions = []struct {
	src  string
	test func(item map[string]any, base float64) bool
}{
	{`item.stock <= 0`, func(it map[string]any, _ float64) bool { return it["stock"].(int) <= 0 }},
	{`item.brand == "x"`, func(it map[string]any, _ float64) bool { return it["brand"].(string) == "x" }},
	{`item.sales_7d > 50 or item.price < 3`, func(it map[string]any, _ float64) bool {
		return it["sales_7d"].(int) > 50 || it["price"].(float64) < 3
	}},
	{`any(item.tags, # == "own")`, func(it map[string]any, _ float64) bool {
		return strings.Contains(strings.Join(it["tags"].([]string), " "), "own")
	}},
	{`score >= 0.5 and item.category in ["a", "b"]`, func(it map[string]any, base float64) bool {
		return base >= 0.5 && (it["category"] == "a" || it["category"] == "b")
	}},
}

func refRules(t *rapid.T) []refRule {
	var out []refRule
	for i := 0; i < rapid.IntRange(0, 7).Draw(t, "rules"); i++ {
		out = append(out, refRule{id: fmt.Sprintf("r%d", i), priority: rapid.IntRange(-1, 1).Draw(t, "priority"),
			kind:      rapid.SampledFrom([]string{"exclude", "keep", "multiply", "add", "bottom", "pin", "cap"}).Draw(t, "kind"),
			condition: rapid.IntRange(0, len(refConditions)-1).Draw(t, "condition"), number: float64(rapid.IntRange(1, 3).Draw(t, "number")),
			position: rapid.IntRange(1, 5).Draw(t, "position"), within: rapid.IntRange(1, 6).Draw(t, "within"), hard: rapid.Bool().Draw(t, "hard"), when: rapid.IntRange(0, 3).Draw(t, "when") > 0})
	}
	return out
}

// written is the rule as an author would write it.
func (r refRule) written() Rule {
	out := mk(r.id, priority(r.priority), match(refConditions[r.condition].src))
	n := fmt.Sprint(r.number)
	switch r.kind {
	case "exclude":
		out.Then, out.Hard = []Action{act("exclude")}, r.hard
	case "keep":
		out.Then = []Action{act("keep")}
	case "multiply":
		out.Then = []Action{act("boost", "multiply", n)}
	case "add":
		out.Then = []Action{act("boost", "add", n)}
	case "bottom":
		out.Then = []Action{act("bury", "to", "bottom")}
	case "pin":
		out.Then = []Action{act("pin", "position", fmt.Sprint(r.position), "max", n, "order_by", "item.sales_7d desc")}
	case "cap":
		out.Then = []Action{act("cap", "by", "item.category", "max", n, "within", fmt.Sprint(r.within))}
	}
	if !r.when {
		out.When = text("user.is_new")
	}
	return out
}

type refItem struct {
	id          string
	env         map[string]any
	base, score float64
	bottom, pin bool
}

func refApply(rules []refRule, in []Candidate, count int) []string {
	var on []refRule
	for _, r := range rules {
		if r.when {
			on = append(on, r)
		}
	}
	sort.SliceStable(on, func(i, j int) bool { return on[i].priority > on[j].priority })
	items := refScore(on, refFilter(on, in))
	places := refPins(on, items, count)
	var list []string
	var placed []*refItem
	for pos := 1; pos <= count; pos++ {
		var next *refItem
		if next = places[pos]; next == nil {
			for _, it := range items {
				if !it.pin && !refContains(list, it.id) && refFits(on, placed, places, it, pos) {
					next = it
					break
				}
			}
		}
		for p := pos; next == nil && p <= count; p++ {
			next = places[p]
		}
		if next == nil {
			break
		}
		for p, it := range places {
			if it == next {
				delete(places, p)
			}
		}
		list, placed = append(list, next.id), append(placed, next)
	}
	return list
}

func refContains(list []string, id string) bool { return contains(list, id) }

func refFilter(on []refRule, in []Candidate) []*refItem {
	var out []*refItem
	for _, c := range in {
		excluded, keeps, kept := false, false, false
		for _, r := range on {
			hit := refConditions[r.condition].test(c.Item.Env, c.Base)
			excluded = excluded || r.kind == "exclude" && hit
			keeps = keeps || r.kind == "keep"
			kept = kept || r.kind == "keep" && hit
		}
		if !excluded && (!keeps || kept) {
			out = append(out, &refItem{id: c.Item.ID, env: c.Item.Env, base: c.Base})
		}
	}
	return out
}

func refScore(on []refRule, items []*refItem) []*refItem {
	for _, it := range items {
		product, sum := 1.0, 0.0
		for _, r := range on {
			if !refConditions[r.condition].test(it.env, it.base) {
				continue
			}
			switch r.kind {
			case "multiply":
				product *= r.number
			case "add":
				sum += r.number
			case "bottom":
				it.bottom = true
			}
		}
		it.score = it.base*min(product, 100) + sum
	}
	sort.Slice(items, func(i, j int) bool {
		a, b := items[i], items[j]
		if a.bottom != b.bottom {
			return b.bottom
		}
		if a.score != b.score {
			return a.score > b.score
		}
		if a.base != b.base {
			return a.base > b.base
		}
		return a.id < b.id
	})
	return items
}

func refPins(on []refRule, items []*refItem, count int) map[int]*refItem {
	places := map[int]*refItem{}
	for _, r := range on {
		if r.kind != "pin" {
			continue
		}
		var chosen []*refItem
		for _, it := range items {
			if !it.pin && refConditions[r.condition].test(it.env, it.base) {
				chosen = append(chosen, it)
			}
		}
		sort.SliceStable(chosen, func(i, j int) bool { return chosen[i].env["sales_7d"].(int) > chosen[j].env["sales_7d"].(int) })
		for n, it := range chosen {
			pos := r.position + n
			for places[pos] != nil {
				pos++
			}
			if n < int(r.number) && pos <= count {
				places[pos], it.pin = it, true
			}
		}
	}
	return places
}

// refFits counts, for every cap, the items of the window that are placed or pinned ahead.
func refFits(on []refRule, placed []*refItem, places map[int]*refItem, it *refItem, pos int) bool {
	for _, r := range on {
		hit := func(o *refItem) bool { return refConditions[r.condition].test(o.env, o.base) }
		key := it.env["category"].(string)
		if r.kind != "cap" || pos > r.within || key == "" || !hit(it) {
			continue
		}
		n := 0
		for _, o := range placed {
			if o.env["category"] == key && hit(o) {
				n++
			}
		}
		for p, o := range places {
			if p <= r.within && o.env["category"] == key && hit(o) {
				n++
			}
		}
		if n >= int(r.number) {
			return false
		}
	}
	return true
}

func TestAgainstTheReferenceInterpreter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ref := refRules(t)
		var rules []Rule
		for _, r := range ref {
			rules = append(rules, r.written())
		}
		s, problems := Compile([]File{rulesOf(rules...)}, schema(), Options{})
		if s == nil {
			t.Fatalf("%+v", problems)
		}
		var in []Candidate
		for i := 0; i < rapid.IntRange(0, 12).Draw(t, "items"); i++ {
			in = append(in, thing(fmt.Sprintf("i%02d", i), float64(rapid.IntRange(0, 4).Draw(t, "base"))/4, map[string]any{
				"stock": rapid.IntRange(0, 3).Draw(t, "stock"), "sales_7d": rapid.IntRange(0, 3).Draw(t, "sales") * 30, "price": float64(rapid.IntRange(0, 6).Draw(t, "price")),
				"brand": rapid.SampledFrom([]string{"x", "y"}).Draw(t, "brand"), "category": rapid.SampledFrom([]string{"", "a", "b", "c"}).Draw(t, "category"),
				"tags": rapid.SampledFrom([][]string{nil, {"own"}}).Draw(t, "tags")}))
		}
		count := rapid.IntRange(0, 10).Draw(t, "count")
		got := s.Apply(at(map[string]any{"is_new": false}, nil), nil, in, count, false)
		if want := strings.Join(refApply(ref, in, count), " "); ids(got) != want {
			t.Fatalf("engine %q, reference %q", ids(got), want)
		}
	})
}
