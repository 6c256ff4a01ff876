package rules

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// Four ordinary items; a to d by falling score.
func four() []Candidate {
	return rank(
		thing("a", 0.9, map[string]any{"category": "coats", "brand": "x", "stock": 5, "sales_7d": 10, "price": 10.0, "product_group": "g1"}),
		thing("b", 0.8, map[string]any{"category": "shoes", "brand": "x", "stock": 5, "sales_7d": 4000, "price": 20.0, "product_group": "g1"}),
		thing("c", 0.7, map[string]any{"category": "shoes", "brand": "x", "stock": 5, "sales_7d": 20, "price": 30.0, "tags": []string{"own"}}),
		thing("d", 0.6, map[string]any{"category": "sandals", "brand": "y", "stock": 0, "sales_7d": 9000, "price": 40.0, "tags": []string{"own", "sale"}}),
	)
}

func TestStages(t *testing.T) {
	for _, c := range []struct {
		name  string
		rules []Rule
		user  map[string]any
		count int
		want  string // the list
		fired string
	}{
		{"no rules", nil, nil, 3, "a b c", ""},
		{"count zero", nil, nil, 0, "", ""},
		{"exclude", []Rule{mk("r", match("item.stock <= 0"), then(act("exclude")))}, nil, 10, "a b c", "r"},
		{"exclude is off", []Rule{mk("r", when("user.is_new"), match("item.stock <= 0"), then(act("exclude")))}, map[string]any{"is_new": false}, 10, "a b c d", ""},
		{"keep", []Rule{mk("r", match(`item.category == "shoes"`), then(act("keep")))}, nil, 10, "b c", "r"},
		{"two keeps", []Rule{mk("r", match(`item.category == "shoes"`), then(act("keep"))), mk("s", match(`item.brand == "y"`), then(act("keep")))}, nil, 10, "b c d", "r s"},
		{"keep and exclude", []Rule{mk("r", match(`item.category == "shoes"`), then(act("keep"))), mk("s", match(`item.id == "b"`), then(act("exclude")))}, nil, 10, "c", "r s"},
		{"stop protects", []Rule{mk("p", priority(5), stop(), match(`item.id == "d"`), then(act("keep"))), mk("k", match("item.stock >= 0"), then(act("keep"))), mk("s", match("item.stock <= 0"), then(act("exclude")))}, nil, 10, "a b c d", "p k"},
		{"stop does not stop a guard", []Rule{mk("p", priority(5), stop(), match(`item.id == "d"`), then(act("keep"))), mk("k", match("item.stock >= 0"), then(act("keep"))), mk("s", hard(), match("item.stock <= 0"), then(act("exclude")))}, nil, 10, "a b c", "k s"},
		{"dedupe keeps the best", []Rule{mk("r", then(act("dedupe", "by", "item.product_group")))}, nil, 10, "a c d", "r"},
		{"dedupe ignores empty", []Rule{mk("r", then(act("dedupe", "by", "item.title")))}, nil, 10, "a b c d", ""},
		{"boost", []Rule{mk("r", match(`item.id == "b"`), then(act("boost", "multiply", "1.2")))}, nil, 10, "b a c d", "r"},
		{"boost formula", []Rule{mk("r", then(act("boost", "multiply", "1 + item.price / 20.0")))}, nil, 10, "d c b a", "r"},
		{"boost adds", []Rule{mk("r", match(`item.id == "d"`), then(act("boost", "add", "0.5")))}, nil, 10, "d a b c", "r"},
		{"bury", []Rule{mk("r", match(`item.id == "a"`), then(act("bury", "multiply", "0.75")))}, nil, 10, "b c a d", "r"},
		{"bury to bottom", []Rule{mk("r", match(`item.id in ["a", "b"]`), then(act("bury", "to", "bottom")))}, nil, 10, "c d a b", "r"},
		{"stop ends scoring", []Rule{mk("r", priority(1), stop(), match(`item.id == "b"`), then(act("boost", "multiply", "1.01"))), mk("s", match(`item.id == "b"`), then(act("boost", "multiply", "9")))}, nil, 10, "a b c d", "r"},
		{"group takes one", []Rule{mk("r", priority(1), group("g"), match(`item.id == "b"`), then(act("boost", "multiply", "1.01"))), mk("s", group("g"), match(`item.id in ["b", "c"]`), then(act("boost", "multiply", "9")))}, nil, 10, "c a b d", "r s"},
		{"group of a request", []Rule{mk("r", priority(1), group("g"), then(act("badge", "text", "x"))), mk("s", group("g"), match(`item.id == "c"`), then(act("boost", "multiply", "9")))}, nil, 10, "a b c d", "r"},
		{"group ranks across stages", []Rule{mk("r", priority(1), group("g"), match(`item.id == "b"`), then(act("boost", "multiply", "9"))), mk("s", group("g"), match(`item.id in ["b", "c"]`), then(act("exclude")))}, nil, 10, "b a d", "r s"},
		{"pin best seller", []Rule{mk("r", match("item.sales_7d > 1000"), then(act("pin", "position", "1", "order_by", "item.sales_7d desc")))}, nil, 10, "d a b c", "r"},
		{"pin two", []Rule{mk("r", match("item.sales_7d > 1000"), then(act("pin", "position", "2", "max", "2", "order_by", "item.sales_7d")))}, nil, 10, "a d b c", "r"},
		{"pin ascending", []Rule{mk("r", match("item.sales_7d > 1000"), then(act("pin", "position", "1", "order_by", "item.sales_7d asc")))}, nil, 10, "b a c d", "r"},
		{"pin by score", []Rule{mk("r", match(`"own" in item.tags`), then(act("pin", "position", "1")))}, nil, 10, "c a b d", "r"},
		{"pin by id", []Rule{mk("r", then(act("pin", "position", "2", "items", "[d,nope,c]")))}, nil, 10, "a d c b", "r"},
		{"pin is filtered", []Rule{mk("r", then(act("pin", "position", "1", "items", "[d]"))), mk("s", match("item.stock <= 0"), then(act("exclude")))}, nil, 10, "a b c", "s"},
		{"pin beyond the list moves up", []Rule{mk("r", then(act("pin", "position", "8", "items", "[a]")))}, nil, 10, "b c d a", "r"},
		{"pin beyond the count is left out", []Rule{mk("r", then(act("pin", "position", "8", "items", "[a]")))}, nil, 3, "a b c", ""},
		{"pins for one place", []Rule{mk("r", then(act("pin", "position", "1", "items", "[d]"))), mk("s", priority(1), then(act("pin", "position", "1", "items", "[c]")))}, nil, 10, "c d a b", "s r"},
		{"cap", []Rule{mk("r", then(act("cap", "by", "item.brand", "max", "2")))}, nil, 10, "a b d", "r"},
		{"cap holds back", []Rule{mk("r", then(act("cap", "by", "item.brand", "max", "1", "within", "2")))}, nil, 10, "a d b c", "r"},
		{"cap relaxed", []Rule{mk("r", then(act("cap", "by", "item.brand", "max", "2", "relax", "true")))}, nil, 10, "a b d c", "r"},
		{"cap by list", []Rule{mk("r", then(act("cap", "by", "item.tags", "max", "1")))}, nil, 10, "a b c", "r"},
		{"cap by number", []Rule{mk("r", then(act("cap", "by", "item.stock", "max", "1")))}, nil, 10, "a d", "r"},
		{"cap of some", []Rule{mk("r", match(`item.category == "shoes"`), then(act("cap", "by", "item.brand", "max", "1")))}, nil, 10, "a b d", "r"},
		{"cap counts pins", []Rule{mk("r", then(act("cap", "by", "item.brand", "max", "1"))), mk("s", then(act("pin", "position", "3", "items", "[c]")))}, nil, 10, "d c", "r s"},
		{"stop ends limits", []Rule{mk("r", priority(1), stop(), then(act("cap", "by", "item.brand", "max", "2"))), mk("s", then(act("cap", "by", "item.brand", "max", "1")))}, nil, 10, "a b d", "r"},
		{"quota waits", []Rule{mk("r", then(act("quota", "match", `"own" in item.tags`, "min", "1", "within", "2")))}, nil, 3, "a c b", "r"},
		{"quota is met already", []Rule{mk("r", then(act("quota", "match", `item.brand == "x"`, "min", "2", "within", "3")))}, nil, 3, "a b c", ""},
		{"quota before cap", []Rule{mk("q", then(act("quota", "match", `item.id == "c"`, "min", "1", "within", "2"))), mk("r", then(act("cap", "by", "item.brand", "max", "1")))}, nil, 3, "a c d", "q r"},
		{"quota counts pins", []Rule{mk("q", then(act("quota", "match", `item.id == "d"`, "min", "1", "within", "3"))), mk("p", then(act("pin", "position", "3", "items", "[d]")))}, nil, 4, "a b d c", "p"},
		{"two quotas", []Rule{mk("q", then(act("quota", "match", `item.id == "d"`, "min", "1", "within", "2"))), mk("p", then(act("quota", "match", `item.id == "c"`, "min", "1", "within", "2")))}, nil, 4, "d c a b", "q p"},
		{"rollout off", []Rule{{ID: "r", Rollout: &Rollout{Percent: 0}, Then: []Action{act("pin", "position", "1", "items", "[d]")}}}, nil, 10, "a b c d", ""},
		{"rollout all", []Rule{{ID: "r", Rollout: &Rollout{Percent: 100}, Then: []Action{act("pin", "position", "1", "items", "[d]")}}}, nil, 10, "d a b c", "r"},
		{"disabled", []Rule{{ID: "r", Disabled: true, Then: []Action{act("pin", "position", "1", "items", "[d]")}}}, nil, 10, "a b c d", ""},
		{"badge", []Rule{mk("r", match("item.price < 15"), then(act("badge", "text", "Cheap")))}, nil, 10, "a b c d", "r"},
		{"machine condition", []Rule{mk("r", match(`any(user.top_brands, # == item.brand)`), then(act("exclude")))}, map[string]any{"top_brands": []string{"x"}}, 10, "d", "r"},
		{"machine formula", []Rule{mk("r", then(act("boost", "multiply", `max(1, item.sales_7d)`)))}, nil, 10, "b d c a", "r"}, // products are clamped to 100
	} {
		t.Run(c.name, func(t *testing.T) {
			s := compiled(t, rulesOf(c.rules...))
			r := s.Apply(at(c.user, nil), nil, four(), c.count, true)
			if got := ids(r); got != c.want {
				t.Errorf("list %q, want %q\n%+v", got, c.want, r.Trace)
			}
			if got := firedIDs(r.Trace.Fired); !sameWords(got, c.fired) {
				t.Errorf("fired %q, want %q", got, c.fired)
			}
		})
	}
}

func sameWords(a, b string) bool {
	seen := map[string]int{}
	for _, w := range strings.Fields(a) {
		seen[w] |= 1
	}
	for _, w := range strings.Fields(b) {
		seen[w] |= 2
	}
	for _, v := range seen {
		if v != 3 {
			return false
		}
	}
	return true
}

func TestScoreArithmetic(t *testing.T) {
	for _, c := range []struct {
		name  string
		rules []Rule
		want  float64
	}{
		{"base", nil, 0.5},
		{"product and sum", []Rule{mk("r", then(act("boost", "multiply", "1.2"))), mk("s", then(act("boost", "multiply", "1.5", "add", "0.25")))}, 0.5*1.8 + 0.25},
		{"product is clamped above", []Rule{mk("r", then(act("boost", "multiply", "1000"))), mk("s", then(act("bury", "multiply", "0.5")))}, 0.5 * 100},
		{"product is clamped below", []Rule{mk("r", then(act("bury", "multiply", "0.001")))}, 0.5 * 0.01},
		{"params", []Rule{mk("r", then(act("boost", "multiply", "params.f")))}, 0.5 * 1.25},
		{"decay of a week", []Rule{mk("r", then(Action{Name: "boost", Fields: append(set("multiply", "3"), ActionField{Name: "decay", Fields: set("field", "item.created_at", "half_life", "7d")})}))}, 0.5 * 2},
		{"decayed sum", []Rule{mk("r", then(Action{Name: "boost", Fields: append(set("add", "1"), ActionField{Name: "decay", Fields: set("field", "item.created_at", "half_life", "84h")})}))}, 0.5 + 0.25},
		{"not finite", []Rule{mk("r", then(act("boost", "multiply", "1 / (item.sales_7d * 1.0)")))}, 0.5},
		{"out of range", []Rule{mk("r", then(act("boost", "multiply", "item.price")))}, 0.5},
		{"remainder by zero", []Rule{mk("r", match("item.stock % item.sales_7d == 0"), then(act("boost", "multiply", "2")))}, 0.5},
	} {
		f := rulesOf(c.rules...)
		f.Params = []Param{{Name: "f", Type: "number", Default: "1.25"}}
		s := compiled(t, f)
		r := s.Apply(at(nil, nil), nil, []Candidate{thing("a", 0.5, map[string]any{"created_at": friday.Add(-7 * 24 * time.Hour), "price": 0.5})}, 1, true)
		if got := r.Items[0].Score; got-c.want > 1e-12 || c.want-got > 1e-12 {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
		if failing := c.name == "not finite" || c.name == "out of range" || c.name == "remainder by zero"; failing != (len(r.Trace.Errors) == 1) {
			t.Errorf("%s: errors %+v", c.name, r.Trace.Errors)
		}
	}
}

func TestErrorsDropAnItemOnlyFromGuards(t *testing.T) {
	for _, c := range []struct {
		options []ruleOption
		want    string
	}{
		{[]ruleOption{hard()}, "b"},
		{nil, "a b"},
	} {
		rule := mk("r", append(c.options, match("item.stock % item.sales_7d == 9"), then(act("exclude")))...)
		in := rank(thing("a", 0.9, map[string]any{"sales_7d": 0}), thing("b", 0.8, map[string]any{"sales_7d": 3}))
		r := compiled(t, rulesOf(rule)).Apply(at(nil, nil), nil, in, 10, true)
		if ids(r) != c.want || len(r.Trace.Errors) != 1 || r.Trace.Errors[0].Detail != "1 items" {
			t.Errorf("got %s, errors %+v", ids(r), r.Trace.Errors)
		}
	}
}

func TestConflictsAreReported(t *testing.T) {
	s := compiled(t, rulesOf(
		mk("r", then(act("pin", "position", "1", "items", "[d]"))),
		mk("s", priority(1), then(act("pin", "position", "1", "items", "[c]"))),
		mk("x", then(act("replace", "strategy", "hot"))), mk("y", priority(2), then(act("replace", "strategy", "new"))),
	))
	env := at(nil, nil)
	p := s.Plan(env)
	if p.Replace.Source != SourceNew || p.Replace.Rule != "y" || strings.Join(p.Items, " ") != "c d" {
		t.Errorf("plan %+v", p)
	}
	for round := 0; round < 2; round++ { // a plan can be applied twice
		r := s.Apply(env, p, four(), 10, true)
		got := ""
		for _, f := range r.Trace.Superseded {
			got += f.Rule + ":" + f.Action + " "
		}
		if got != "x:replace r:pin " {
			t.Errorf("superseded %s", got)
		}
	}
}

func TestFillOnlyCompletesAShortList(t *testing.T) {
	s := compiled(t, rulesOf(mk("r", then(act("fill", "strategy", "[trending, popular]"))), mk("x", match("item.stock <= 0"), then(act("exclude")))))
	env := at(nil, nil)
	p := s.Plan(env)
	if len(p.Fill) != 2 || p.Fill[0].Source != SourceTrending || p.Fill[1].Source != SourcePopular {
		t.Fatalf("fill %+v", p.Fill)
	}
	in := rank(thing("a", 0.1, nil), from(thing("p", 1, nil), SourcePopular), from(thing("t", 0.5, nil), SourceTrending), from(thing("u", 0.9, nil), SourceTrending, SourcePopular),
		from(thing("gone", 0.9, map[string]any{"stock": 0}), SourcePopular))
	for count, want := range map[int]string{1: "a", 2: "a u", 3: "a u t", 9: "a u t p"} {
		if got := ids(s.Apply(env, p, in, count, false)); got != want {
			t.Errorf("count %d: %s, want %s", count, got, want)
		}
	}
	pop := from(thing("p", 1, nil), SourcePopular)
	if got := ids(Empty().Apply(env, nil, rank(thing("a", 0.1, nil), pop), 9, false)); got != "a p" {
		t.Errorf("default fill: %s", got)
	}
	injecting := compiled(t, rulesOf(mk("i", then(act("inject", "source", "popular")))))
	if got := ids(injecting.Apply(env, nil, rank(thing("a", 0.1, nil), pop), 9, false)); got != "p a" {
		t.Errorf("injected items are no fillers: %s", got)
	}
}

func TestDuplicatesMerge(t *testing.T) {
	in := []Candidate{thing("a", 0.2, nil), from(thing("a", 0.6, nil), SourceHot), thing("b", 0.4, nil), {Base: 1}}
	gone := thing("z", 0.9, nil)
	gone.Item.Deleted = true
	r := Empty().Apply(at(nil, nil), nil, append(in, gone), 10, false)
	if ids(r) != "a b" || r.Items[0].Score != 0.6 || fmt.Sprint(r.Items[0].Sources) != "[hot model]" {
		t.Errorf("got %+v", r.Items)
	}
	if len(in[0].Sources) != 1 {
		t.Error("the input was changed")
	}
}

func TestInjectNamesTheFetch(t *testing.T) {
	f := rulesOf(
		mk("i", priority(2), stop(), then(act("inject", "source", "list:own", "count", "3", "score", "p90", "match", `item.price < 20 and user.is_new`), act("inject", "source", "hot", "by", "context.country"))),
		mk("late", then(act("inject", "source", "new"))),
		mk("m", then(act("model", "name", "als", "version", "v3"))))
	f.Lists = []List{{Name: "own", Values: []string{"a"}}}
	p := compiled(t, f).Plan(at(nil, nil))
	if len(p.Inject) != 2 || p.Inject[0].Source != "list:own" || p.Inject[0].Score != "p90" || p.Inject[1].By != "" || p.Model != "als@v3" {
		t.Fatalf("plan %+v", p)
	}
	cheap := thing("a", 1, map[string]any{"price": 10.0}).Item
	ok, err := p.Inject[0].Match.Match(at(map[string]any{"is_new": true}, nil), cheap)
	if !ok || err != nil || p.Inject[0].Match.ItemOnly() {
		t.Errorf("match %v %v", ok, err)
	}
}

func TestScopes(t *testing.T) {
	f := rulesOf(mk("r", then(act("pin", "position", "1", "items", "[d]"))), mk("x", match("item.stock <= 0"), then(act("exclude"))))
	f.Scope = Scope{Scenarios: []string{"home"}, Placements: []string{"grid"}}
	s := compiled(t, f)
	env := at(nil, nil)
	for _, c := range []struct{ scenario, placement, want string }{{"home", "grid", "a b c"}, {"home", "", "a b c d"}, {"cart", "grid", "a b c d"}} {
		env.Request.Scenario, env.Request.Placement = c.scenario, c.placement
		if got := ids(s.Apply(env, nil, four(), 10, false)); got != c.want {
			t.Errorf("%v: %s", c, got)
		}
	}
}

func TestStaticExcludes(t *testing.T) {
	cart := rulesOf(mk("cart-only", priority(5), match(`item.brand == "x"`), then(act("exclude"))))
	cart.Name, cart.Scope.Scenarios = "cart", []string{"cart"}
	s := compiled(t, cart, rulesOf(
		mk("guard", priority(-9), hard(), match("item.stock <= 0"), then(act("exclude"))),
		mk("personal", match("item.brand in user.top_brands"), then(act("exclude"))),
		mk("timely", match("age(item.created_at) > days(1)"), then(act("exclude"))),
		mk("sometimes", when("user.is_new"), match("item.price > 1"), then(act("exclude"))),
		mk("before", priority(3), match(`item.id == "gone"`), then(act("exclude"))),
		mk("protect", priority(2), stop(), match(`item.id == "late"`), then(act("keep"))),
		mk("keep-all", then(act("keep"))),
		mk("after", match(`item.id == "late"`), then(act("exclude"))),
	))
	for _, c := range []struct {
		scenario string
		item     Candidate
		want     string
	}{
		{"home", thing("a", 1, map[string]any{"stock": 0}), "guard"},
		{"home", thing("a", 1, map[string]any{"brand": "x", "price": 5.0}), ""},
		{"cart", thing("a", 1, map[string]any{"brand": "x"}), "cart-only"},
		{"home", thing("gone", 1, nil), "before"},
		{"home", thing("late", 1, nil), ""},
	} {
		id, ok := s.StaticExcludes(c.scenario, c.item.Item)
		if id != c.want || ok != (c.want != "") {
			t.Errorf("%s %s: %q %v, want %q", c.scenario, c.item.Item.ID, id, ok, c.want)
		}
	}
	if _, ok := Empty().StaticExcludes("home", thing("a", 1, nil).Item); ok {
		t.Error("the empty set excludes")
	}
}

func TestBudgetSkipsScoreRulesOnly(t *testing.T) {
	var in []Candidate
	for i := 0; i < 300; i++ {
		in = append(in, thing(fmt.Sprintf("i%03d", i), float64(i)/300, map[string]any{"stock": i % 2}))
	}
	rules := []Rule{mk("guard", hard(), match("item.stock <= 0"), then(act("exclude"))), mk("pin", match(`item.id == "i001"`), then(act("pin", "position", "1"))),
		mk("cheap", priority(9), match("item.price >= 0"), then(act("boost", "add", "1"))), mk("dear", match("item.price >= 0"), then(act("boost", "add", "10")))}
	s := compiled(t, rulesOf(rules...))
	expired := at(nil, nil)
	asked := 0
	expired.Expired = func() bool { asked++; return true }
	few := at(nil, nil)
	few.MaxTicks = 700 // the guard looks at 300, the first boost at 150, the second would exceed
	for name, c := range map[string]struct {
		env   *Env
		score float64
	}{"all": {at(nil, nil), 11}, "expired": {expired, 0}, "ticks": {few, 1}} {
		r := s.Apply(c.env, nil, rank(in...), 10, true)
		degraded := strings.Join(r.Degraded, " ") == "rules_budget"
		if degraded != (name != "all") || len(r.Items) != 10 || r.Items[0].Item.ID != "i001" {
			t.Errorf("%s: degraded %v, first %s", name, r.Degraded, r.Items[0].Item.ID)
		}
		for _, it := range r.Items {
			if it.Item.Env["stock"] == 0 {
				t.Errorf("%s: the guard was skipped", name)
			}
			if d := it.Score - it.Base - c.score; d > 1e-9 || d < -1e-9 {
				t.Errorf("%s: score %v of base %v", name, it.Score, it.Base)
			}
		}
	}
	if asked == 0 {
		t.Error("nobody looked at the clock")
	}
}
