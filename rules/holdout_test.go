package rules

import (
	"fmt"
	"testing"
)

// A hold-out keeps a rule from a stable few, says so in plan and story, and leaves the rest alone.
func TestHoldout(t *testing.T) {
	up := mk("up", match(`item.id == "d"`), then(act("boost", "add", "5")))
	up.Holdout = &Rollout{Percent: 20}
	s := compiled(t, rulesOf(up))
	held := 0
	for i := range 2000 {
		env := at(map[string]any{"id": fmt.Sprint("user-", i)}, nil)
		plan := s.Plan(env)
		r := s.Apply(env, plan, four(), 4, true)
		off := len(plan.Held) == 1
		if off == (len(plan.Tried) == 1) || off == (ids(r) == "d a b c") || off != (len(r.Trace.Held) == 1) {
			t.Fatalf("user %d: tried %v, held %v, list %s", i, plan.Tried, plan.Held, ids(r))
		}
		if off {
			held++
		}
		if again := s.Plan(env); fmt.Sprint(again.Held) != fmt.Sprint(plan.Held) {
			t.Fatalf("user %d: held out once and not again", i)
		}
	}
	if held < 320 || held > 480 { // 400, five standard deviations (18) either way
		t.Errorf("%d of 2000 users are held out, want about 400", held)
	}
	// Who has no id is in nobody's experiment.
	if plan := s.Plan(&Env{Now: friday, User: visitor2("")}); len(plan.Held) != 0 || len(plan.Tried) != 1 {
		t.Errorf("nobody: tried %v, held %v", plan.Tried, plan.Held)
	}
}

// A rule that is not on is neither tried nor held; held out, it leaves its group to the next.
func TestHoldoutCountsOnlyWhoWouldSeeTheRule(t *testing.T) {
	first := mk("first", priority(9), group("g"), when(`user.tier == "gold"`), then(act("pin", "position", "1", "items", "[c]")))
	first.Holdout = &Rollout{Percent: 50, By: "user.id"}
	second := mk("second", group("g"), then(act("pin", "position", "1", "items", "[d]")))
	s := compiled(t, rulesOf(first, second))
	lists := map[string]int{}
	for i := range 100 {
		env := at(map[string]any{"id": fmt.Sprint("user-", i), "tier": []string{"gold", ""}[i%2]}, nil)
		plan := s.Plan(env)
		if i%2 == 1 && len(plan.Tried)+len(plan.Held) != 0 {
			t.Fatalf("user %d is no gold customer: tried %v, held %v", i, plan.Tried, plan.Held)
		}
		r := s.Apply(env, plan, four(), 1, false)
		lists[fmt.Sprint(plan.Held)+" "+ids(r)]++
	}
	if len(lists) != 3 || lists["[] d"] != 50 || lists["[] c"]+lists["[first] d"] != 50 || lists["[] c"] == 0 {
		t.Errorf("got %v", lists)
	}
}

// The users of a hold-out are not those of the rule's rollout, nor of another rule's hold-out.
func TestHoldoutsAreIndependent(t *testing.T) {
	one, two := mk("one", then(act("badge", "text", "x"))), mk("two", then(act("badge", "text", "x")))
	one.Holdout, two.Holdout = &Rollout{Percent: 50}, &Rollout{Percent: 50}
	one.Rollout = &Rollout{Percent: 50}
	s := compiled(t, rulesOf(one, two))
	seen := map[string]int{}
	for i := range 4000 {
		p := s.Plan(at(map[string]any{"id": fmt.Sprint("u", i)}, nil))
		seen[fmt.Sprint(p.Tried, p.Held)]++
	}
	// one is rolled out to half of the users (2000), of whom two quarters each are held from one, two, both or none.
	for key, want := range map[string]int{"[one two] []": 500, "[one] [two]": 500, "[two] [one]": 500, "[] [one two]": 500, "[two] []": 1000, "[] [two]": 1000} {
		if n := seen[key]; n < want*4/5 || n > want*6/5 {
			t.Errorf("%s: %d users, want about %d: %v", key, n, want, seen)
		}
	}
}

func TestBadHoldouts(t *testing.T) {
	for name, tc := range map[string]struct {
		percent float64
		by      string
		guard   bool
		code    string
	}{
		"nothing": {0, "", false, CodeOutOfBounds}, "too much": {60, "", false, CodeOutOfBounds}, "guard": {5, "", true, CodeMisplaced},
		"item": {5, "item.id", false, CodeUnknownField}, "number": {5, "user.orders", false, CodeUnknownField},
	} {
		r := mk("r", match("item.stock < 1"), then(act("exclude")))
		r.Hard, r.Holdout = tc.guard, &Rollout{Percent: tc.percent, By: tc.by}
		s, problems := Compile([]File{rulesOf(r)}, schema(), Options{})
		if s != nil || len(problems) != 1 || problems[0].Code != tc.code || problems[0].Hint == "" {
			t.Errorf("%s: %+v", name, problems)
		}
	}
}

// A rule with a hold-out is never taken out of the search for everybody.
func TestHoldoutIsNotStatic(t *testing.T) {
	r := mk("r", match("item.stock < 1"), then(act("exclude")))
	r.Holdout = &Rollout{Percent: 5}
	s := compiled(t, rulesOf(r))
	if by, excluded := s.StaticExcludes("home", thing("a", 1, map[string]any{"stock": 0}).Item); excluded {
		t.Errorf("%s excludes the item for all", by)
	}
}
