package rules

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

// The rule sets and worlds in which the engine and the interpreter of naive_test.go are compared.

type nRule struct {
	id, kind, group   string
	priority, cond    int // cond: index into refConditions, -1 = none
	n, position, last int
	hard, stop, relax bool
	when              bool
}

func (r nRule) requestOnly() bool {
	return r.kind == "inject" || r.kind == "replace" || r.kind == "fill"
}

func (r nRule) written() Rule {
	out := mk(r.id, priority(r.priority), group(r.group))
	out.Stop, out.Hard = r.stop, r.hard
	if r.cond >= 0 {
		out.Match = text(refConditions[r.cond].src)
	}
	if !r.when {
		out.When = text("user.is_new")
	}
	n, last := fmt.Sprint(r.n), fmt.Sprint(r.last)
	out.Then = []Action{map[string]Action{
		"exclude": act("exclude"), "keep": act("keep"), "dedupe": act("dedupe", "by", "item.category"), "multiply": act("boost", "multiply", n), "add": act("boost", "add", n),
		"bottom": act("bury", "to", "bottom"), "pin": act("pin", "position", fmt.Sprint(r.position), "max", n, "order_by", "item.sales_7d desc"),
		"cap":    act("cap", "by", "item.category", "max", n, "within", last, "relax", fmt.Sprint(r.relax)),
		"quota":  act("quota", "match", `item.brand == "y"`, "min", n, "within", last),
		"inject": act("inject", "source", "hot"), "replace": act("replace", "strategy", "trending", "keep_model", "40%"),
		"fill": act("fill", "strategy", "[new,popular]"),
	}[r.kind]}
	return out
}

func drawNaive(t *rapid.T) []nRule {
	kinds := []string{"exclude", "keep", "dedupe", "multiply", "add", "bottom", "pin", "cap", "quota", "inject", "replace", "fill"}
	var out []nRule
	for i := range rapid.IntRange(0, 7).Draw(t, "rules") {
		r := nRule{id: fmt.Sprintf("r%d", i), kind: rapid.SampledFrom(kinds).Draw(t, "kind"), priority: rapid.IntRange(-1, 1).Draw(t, "priority"), cond: -1,
			n: rapid.IntRange(1, 3).Draw(t, "n"), position: rapid.IntRange(1, 5).Draw(t, "position"), when: rapid.IntRange(0, 4).Draw(t, "when") > 0,
			stop: rapid.IntRange(0, 3).Draw(t, "stop") == 0, relax: rapid.Bool().Draw(t, "relax")}
		r.last = max(r.n, rapid.IntRange(1, 6).Draw(t, "last"))
		if !r.requestOnly() && (r.kind == "pin" || rapid.IntRange(0, 3).Draw(t, "matched") > 0) {
			r.cond = rapid.IntRange(0, len(refConditions)-1).Draw(t, "cond")
		}
		r.hard = r.kind == "exclude" && rapid.Bool().Draw(t, "hard")
		if rapid.IntRange(0, 3).Draw(t, "grouped") == 0 {
			r.group = "g"
		}
		out = append(out, r)
	}
	return out
}

// The engine and the interpreter agree on a thousand random rule sets in random worlds; make soak
// tries a hundred times as many.
func TestAgainstTheNaiveInterpreter(t *testing.T) {
	for range 10 {
		rapid.Check(t, againstNaive)
	}
}

func againstNaive(t *rapid.T) {
	drawn := drawNaive(t)
	var rules []Rule
	for _, r := range drawn {
		rules = append(rules, r.written())
	}
	s, problems := Compile([]File{rulesOf(rules...)}, schema(), Options{})
	if s == nil {
		for _, p := range problems {
			if p.Severity == SeverityError && p.Code != CodeQuota {
				t.Fatalf("%+v", problems)
			}
		}
		t.Skip("a quota against a cap")
	}
	sources := [][]Source{{SourceModel}, {SourceModel}, {SourceModel}, {SourceHot}, {SourceTrending}, {SourceModel, SourceTrending}, {SourceNew}, {SourcePopular}, {SourceNew, SourcePopular}, {SourceHot, SourcePopular}}
	var in []Candidate
	for i := range rapid.IntRange(0, 14).Draw(t, "items") {
		in = append(in, from(thing(fmt.Sprintf("i%02d", i), float64(rapid.IntRange(0, 4).Draw(t, "base"))/4, map[string]any{
			"stock": rapid.IntRange(0, 3).Draw(t, "stock"), "sales_7d": rapid.IntRange(0, 3).Draw(t, "sales") * 30, "price": float64(rapid.IntRange(0, 6).Draw(t, "price")),
			"brand": rapid.SampledFrom([]string{"x", "y"}).Draw(t, "brand"), "category": rapid.SampledFrom([]string{"", "a", "b", "c"}).Draw(t, "category"),
			"tags": rapid.SampledFrom([][]string{nil, {"own"}}).Draw(t, "tags")}), rapid.SampledFrom(sources).Draw(t, "sources")...))
	}
	count := rapid.IntRange(0, 10).Draw(t, "count")
	env := at(map[string]any{"is_new": false}, nil)
	if rapid.Bool().Draw(t, "facts") {
		in = informed(s, in)
	}
	if got, want := ids(s.Apply(env, s.Plan(env), in, count, false)), naiveList(drawn, in, count); got != want {
		t.Fatalf("engine %q, interpreter %q\n%+v", got, want, drawn)
	}
}
