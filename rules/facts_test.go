package rules

import (
	"reflect"
	"runtime/debug"
	"testing"

	"pgregory.net/rapid"

	"github.com/sartorhq/sartor/features"
)

// Facts save work and change no answer: neither the list nor the story.
func TestFactsChangeNoAnswer(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, problems := Compile([]File{rulesOf(randomSet(t)...)}, schema(), Options{})
		if s == nil {
			t.Fatalf("%+v", problems)
		}
		env := at(map[string]any{"is_new": true, "top_brands": []string{"x"}, "avg_order_value": 4.0}, nil)
		in := rank(randomCandidates(t)...)
		count := rapid.IntRange(0, 12).Draw(t, "count")
		explain := rapid.Bool().Draw(t, "explain")
		want := s.Apply(env, s.Plan(env), in, count, explain)
		got := s.Apply(env, s.Plan(env), informed(s, in), count, explain)
		for i := range got.Items {
			got.Items[i].Facts = nil
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("with facts %+v\nwithout   %+v", got, want)
		}
	})
}

// A conjunction is divided into what the request, the item and both decide; each part counts.
func TestConditionsAreDivided(t *testing.T) {
	s := compiled(t, rulesOf(mk("r", match(`user.is_new and item.stock > 3 and item.brand in user.top_brands and item.price < 50 and score > 0.2`), then(act("boost", "multiply", "2")))))
	sp := s.rules[0].split
	if sp.whole || sp.bit != 0 || sp.ahead == nil || sp.rest == nil || len(s.bits) != 1 {
		t.Fatalf("%+v, %d bits", sp, len(s.bits))
	}
	good := map[string]any{"stock": 4, "brand": "x", "price": 10.0}
	for name, tc := range map[string]struct {
		user  map[string]any
		item  map[string]any
		base  float64
		score float64
	}{
		"all hold":   {map[string]any{"is_new": true, "top_brands": []string{"x"}}, good, 0.3, 0.6},
		"request":    {map[string]any{"is_new": false, "top_brands": []string{"x"}}, good, 0.3, 0.3},
		"item":       {map[string]any{"is_new": true, "top_brands": []string{"x"}}, map[string]any{"stock": 3, "brand": "x", "price": 10.0}, 0.3, 0.3},
		"other item": {map[string]any{"is_new": true, "top_brands": []string{"x"}}, map[string]any{"stock": 4, "brand": "x", "price": 50.0}, 0.3, 0.3},
		"mixed":      {map[string]any{"is_new": true, "top_brands": []string{"y"}}, good, 0.3, 0.3},
		"score":      {map[string]any{"is_new": true, "top_brands": []string{"x"}}, good, 0.2, 0.2},
	} {
		env := at(tc.user, nil)
		r := s.Apply(env, nil, informed(s, []Candidate{thing("a", tc.base, tc.item)}), 1, false)
		if got := r.Items[0].Score; got != tc.score {
			t.Errorf("%s: score %v, want %v", name, got, tc.score)
		}
	}
}

// What may fail keeps its author's order: the guard in front of a remainder protects it.
func TestFailingConditionsAreNotDivided(t *testing.T) {
	s := compiled(t, rulesOf(mk("r", match(`score > 0.5 and item.sales_7d % item.stock == 0`), then(act("boost", "multiply", "2")))))
	if !s.rules[0].split.whole {
		t.Fatal("divided")
	}
	c := thing("a", 0.1, map[string]any{"stock": 0})
	if r := s.Apply(at(nil, nil), nil, informed(s, []Candidate{c}), 1, false); len(r.Trace.Errors) != 0 {
		t.Errorf("got %+v", r.Trace.Errors)
	}
}

// Errors of an item's facts are told in every request, and a guard fails closed on them.
func TestFactsThatFailed(t *testing.T) {
	s := compiled(t, rulesOf(
		mk("guard", hard(), match(`item.sales_7d % item.stock == 1`), then(act("exclude"))),
		mk("formula", match(`item.price > 1`), then(act("boost", "multiply", "1 + 1 / item.price"))),
		mk("broken", then(act("boost", "multiply", "item.price"))),
	))
	in := informed(s, []Candidate{thing("a", 0.5, map[string]any{"stock": 0}), thing("b", 0.4, map[string]any{"stock": 5, "price": 0.5})})
	r := s.Apply(at(nil, nil), nil, in, 5, false)
	if ids(r) != "b" || len(r.Trace.Errors) != 2 || r.Trace.Errors[0].Rule != "guard" || r.Trace.Errors[1].Rule != "broken" {
		t.Errorf("got %s, %+v", ids(r), r.Trace.Errors)
	}
}

// Facts of another set, or of another state of the item, are not believed.
func TestForeignFacts(t *testing.T) {
	s := compiled(t, rulesOf(mk("r", match(`item.stock <= 0`), then(act("exclude")))))
	other := compiled(t, rulesOf(mk("q", match(`item.stock > 0`), then(act("exclude")))))
	c := thing("a", 1, map[string]any{"stock": 5})
	for name, facts := range map[string]*Facts{
		"other set":  other.Facts(c.Item),
		"other item": s.Facts(thing("a", 1, map[string]any{"stock": 0}).Item),
		"none":       nil,
	} {
		c.Facts = facts
		if r := s.Apply(at(nil, nil), nil, []Candidate{c}, 1, false); ids(r) != "a" {
			t.Errorf("%s: got %q", name, ids(r))
		}
	}
	if (*Facts)(nil).Of(s, nil) {
		t.Error("nil facts are about something")
	}
}

// The budget counts facts as work too: a spent budget skips score rules and nothing else.
func TestBudgetWithFacts(t *testing.T) {
	s := compiled(t, rulesOf(mk("up", match(`item.stock > 0`), then(act("boost", "multiply", "2"))), mk("out", match(`item.stock == 0`), then(act("exclude")))))
	env := at(nil, nil)
	env.MaxTicks = 3
	in := informed(s, []Candidate{thing("a", 0.5, map[string]any{"stock": 1}), thing("b", 0.9, map[string]any{"stock": 0}), thing("c", 0.4, map[string]any{"stock": 2})})
	r := s.Apply(env, nil, in, 3, false)
	if ids(r) != "a c" || r.Items[0].Score != 0.5 || len(r.Degraded) != 1 {
		t.Errorf("got %s %+v", ids(r), r)
	}
}

// The common path allocates nothing per candidate.
func TestNoAllocationPerCandidate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes pools forget at random")
	}
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // a collection empties the pool of runs
	s := compiled(t, shopRules(50))
	env := shopper()
	per := func(n int) float64 {
		in := informed(s, shopCandidates(n))
		plan := s.Plan(env)
		return testing.AllocsPerRun(20, func() { s.Apply(env, plan, in, 20, false) })
	}
	few, many := per(1000), per(2000) // with fewer, not every kind of rule finds items
	if grown := (many - few) / 1000; grown > 0.01 {
		t.Errorf("%v allocations per candidate (%v for 1,000, %v for 2,000)", grown, few, many)
	}
}

func BenchmarkFacts(b *testing.B) {
	s := compiled(b, shopRules(50))
	var items []*features.Item
	for _, c := range shopCandidates(500) {
		items = append(items, c.Item)
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		s.Facts(items[i%len(items)])
		i++
	}
}
