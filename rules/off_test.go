package rules

import "testing"

// What the caller switches off does nothing and is told; guards stay on, whatever the caller says.
func TestRulesThatAreOff(t *testing.T) {
	s := compiled(t, rulesOf(
		mk("guard", hard(), match(`item.stock <= 0`), then(act("exclude"))),
		mk("up", match(`item.brand == "x"`), then(act("boost", "multiply", "3"))),
		mk("hot", then(act("inject", "source", "hot"))),
	))
	env := at(nil, nil)
	env.Off = map[string]bool{"guard": true, "up": true, "hot": true}
	plan := s.Plan(env)
	r := s.Apply(env, plan, []Candidate{thing("a", 0.5, nil), thing("b", 0.4, map[string]any{"brand": "x"}), thing("gone", 0.9, map[string]any{"stock": 0})}, 3, true)
	if ids(r) != "a b" || len(plan.Inject) != 0 || len(r.Trace.Superseded) != 2 || r.Trace.Superseded[0].Action != "off" {
		t.Errorf("got %s, %+v, %+v", ids(r), plan.Inject, r.Trace.Superseded)
	}
}

// The tally counts evaluations per item and failures by what failed.
func TestTally(t *testing.T) {
	s := compiled(t, rulesOf(
		mk("fine", match(`item.stock > 0`), then(act("boost", "multiply", "2"))),
		mk("low", match(`item.stock >= 0`), then(act("boost", "multiply", "item.price"))),
		mk("rest", match(`item.sales_7d % item.stock == 0`), then(act("exclude"))),
		mk("off", when(`user.tier == "none"`), match(`item.stock > 0`), then(act("exclude"))),
	))
	in := []Candidate{thing("a", 0.5, map[string]any{"stock": 3, "price": 0.5, "sales_7d": 1}), thing("b", 0.4, map[string]any{"stock": 0, "price": 2.0})}
	for name, cs := range map[string][]Candidate{"bare": in, "facts": informed(s, in)} {
		r := s.Apply(at(nil, nil), nil, cs, 2, false)
		want := []Tally{{"fine", 2, 0, ""}, {"low", 2, 1, "boost"}, {"rest", 2, 1, "match"}}
		if len(r.Tally) != len(want) {
			t.Fatalf("%s: %+v", name, r.Tally)
		}
		for i := range want {
			if r.Tally[i] != want[i] {
				t.Errorf("%s: %+v, want %+v", name, r.Tally[i], want[i])
			}
		}
	}
}
