package rulestest

import (
	"strings"
	"testing"

	"github.com/sartorhq/sartor/rules"
)

func TestTell(t *testing.T) {
	set := compile(t, `rules:
  - id: best-first
    match: item.sales_7d > 100
    then: [pin: {position: 1, order_by: item.sales_7d desc}]
  - id: sale
    match: '"sale" in item.tags'
    then: [bury: {multiply: 0.5}]
  - id: sold-out
    match: item.stock <= 0
    then: [exclude: {}]
  - id: nobody
    when: user.tier == "none"
    then: [badge: {text: x}]
`)
	env := visit(visitor("u", nil), nil, 3)
	got := set.Apply(env, nil, offered(goods("a", map[string]any{"tags": []string{"sale"}}), goods("b", nil),
		goods("c", map[string]any{"sales_7d": 400}), goods("d", map[string]any{"stock": 0}), goods("e", nil)), 3, true)
	story := Tell(&got.Trace, set.RuleIDs())
	var b strings.Builder
	for _, s := range story.Request {
		b.WriteString(s + "\n")
	}
	for _, it := range story.Items {
		b.WriteString(it.Item + ": " + strings.Join(it.Says, " ") + "\n")
	}
	for _, want := range []string{
		"best-first acted: pin on 1 item",
		"sold-out acted: exclude on 1 item",
		"Nothing to do for nobody.",
		"c: Number 3 before rules, from model, score 0.8. Moved from 3 to 1 by best-first: item.sales_7d 400. Moves from 3 to 1",
		"b: Number 2 before rules, from model, score 0.9. Stays number 2 with a score of 0.9.",
		"score 1. sale: bury, score times 0.5: item.tags sale. Its score of 0.5 was not enough for a place.",
		"Removed by sold-out.\n",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
	if first, last := story.Items[0].Item, story.Items[4].Item; first != "c" || last != "d" {
		t.Errorf("told from %s to %s", first, last)
	}
	trace := rules.Trace{Strategy: "hot", Superseded: []rules.Fired{{Rule: "r", Action: "replace", Detail: "q has decided"}},
		Errors: []rules.Effect{{Rule: "r", Action: "boost", Error: "divided by zero", Detail: "2 items"}}, Params: map[string]any{"p": 2.5},
		Items: []rules.ItemTrace{{ItemID: "a", Rank: 1, Position: 1, Effects: []rules.Effect{{Rule: "r", Action: "boost", Add: 1}, {Rule: "r", Action: "boost", Add: -0.5}, {Rule: "r", Error: "no"}}}}}
	story = Tell(&trace, nil)
	if text := strings.Join(append(story.Request, story.Items[0].Says...), "\n"); text != `The model was replaced by hot.
r wanted to act (replace) and could not: q has decided.
r failed (boost) and was skipped: divided by zero: 2 items.
params.p was 2.5.
Number 1 before rules, from , score 0.
r: boost, score plus 1.
r: boost, score minus 0.5.
r failed on it and was skipped: no.
Stays number 1 with a score of 0.` {
		t.Errorf("got\n%s", text)
	}
}
