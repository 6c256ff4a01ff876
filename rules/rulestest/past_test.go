package rulestest

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/rules"
	"github.com/sartorhq/sartor/rules/rulefile"
)

const pastRules = `apiVersion: rules/v1
kind: RuleSet
name: past
description: d
owner: me@example.com
rules:
  - id: bought
    match: did("order", days(90))
    holdout: 50%
    then: [exclude: {}]
  - id: enough
    match: times("exposure", days(1)) >= 3
    then: [exclude: {}]
  - id: tired
    then: [bury: {multiply: 'fatigue("exposure", 0.5, days(1))'}]
  - id: near
    match: similarity(item, user) > 0.9
    then: [badge: {text: For you}]
  - id: dear
    when: user.tier == "gold"
    then:
      - inject: {source: segment, match: item.stock > 0, order_by: item.price desc, count: 2}
      - inject: {source: co-bought, count: 1, score: 0.01}
`

const pastHead = "apiVersion: rules/v1\nkind: RuleTest\nruleset: past\nnow: 2026-10-23T19:00:00+02:00\n" +
	"items:\n  a: {score: 1, vector: [1, 0]}\n  b: {score: 0.8, vector: [0, 1]}\n  c: {score: 0.4}\n  x: {price: 90, stock: 1, score: 0.1}\n  y: {price: 70, stock: 1, score: 0.2}\n  z: {price: 99, stock: 0}\ncases:\n"

func runPast(t *testing.T, body string) string {
	t.Helper()
	f, problems := rulefile.Parse("past.yaml", []byte(pastRules))
	test, found := Parse("past.test.yaml", []byte(pastHead+body), features.Default())
	if problems = append(problems, found...); len(problems) > 0 {
		return problems[0].Code + " " + fmt.Sprint(problems[0].Line, ":", problems[0].Column) + " " + problems[0].Message + " | " + problems[0].Hint
	}
	results, problems := Run(test, f, features.Default())
	if len(problems) > 0 && rulefile.Failed(problems, false) {
		t.Fatalf("%+v", problems)
	}
	var b bytes.Buffer
	if passed, err := Report(&b, results, false); passed && err == nil {
		return ""
	}
	return b.String()
}

// Cases set what happened before: it reaches back as far as the rule asks, and no further.
func TestPast(t *testing.T) {
	for name, body := range map[string]string{
		"bought":     "  - name: n\n    candidates: [a, b, c]\n    history: [{did: order, item: a, ago: 89d}, {did: order, item: b, ago: 91d}]\n    expect: {order: [b, c], removed: {a: bought}}\n",
		"capped":     "  - name: n\n    candidates: [a, b, c]\n    history: [{did: exposure, item: a, ago: 1h, times: 3}, {did: exposure, item: b, ago: 1h, times: 2}, {did: exposure, item: b, ago: 25h}]\n    expect: {not_contains: [a], contains: [b, c], removed: {a: enough}}\n",
		"tired":      "  - name: n\n    candidates: [a, c]\n    history: [{did: exposure, item: a, ago: 0s, times: 2}]\n    expect: {order: [c, a], score: {a: 0.25, c: 0.4}}\n",
		"half tired": "  - name: n\n    candidates: [a]\n    history: [{did: exposure, item: a, ago: 1d}]\n    expect: {score: {a: 0.7071068}}\n",
		"alike":      "  - name: n\n    user: {vector: [2, 0.1]}\n    candidates: [a, b, c]\n    expect: {order: [a, b, c], badges: {a: [For you], b: [], c: []}}\n",
		"segment":    "  - name: n\n    user: {tier: gold}\n    candidates: [b, a]\n    expect: {order: [a, x, b, y]}\n", // 1, 1 (tie by id? no: x scores 1 by rank), ...
		"co-bought":  "  - name: n\n    user: {tier: gold}\n    candidates: [b]\n    sources: {co-bought: [c, a]}\n    expect: {contains: [c], not_contains: [a]}\n",
		// Of a thousand users nobody is held out: the rule of half of them acts on all.
		"no hold-outs": "  - name: n1\n    user: {id: u1}\n    candidates: [a]\n    history: [{did: order, item: a, ago: 1d}]\n    expect: {order: []}\n  - name: n2\n    user: {id: u2}\n    candidates: [a]\n    history: [{did: order, item: a, ago: 1d}]\n    expect: {order: []}\n  - name: n3\n    user: {id: u3}\n    candidates: [a]\n    history: [{did: order, item: a, ago: 1d}]\n    expect: {order: []}\n  - name: n4\n    user: {id: u4}\n    candidates: [a]\n    history: [{did: order, item: a, ago: 1d}]\n    expect: {order: []}\n",
	} {
		if got := runPast(t, body); got != "" {
			t.Errorf("%s:\n%s", name, got)
		}
	}
}

func TestPastProblems(t *testing.T) {
	for history, want := range map[string]string{
		"{did: orders, item: a, ago: 1d}":          "R014 15:21 there is no event `orders` | did you mean `order`?",
		"{did: buy, item: a, ago: 1d}":             "R014 15:21 there is no event `buy` | did you mean `order`?",
		"{did: order, item: q, ago: 1d}":           "R014 15:34 there is no item `q`",
		"{did: order, item: a, ago: yesterday}":    "R034 15:42 `ago` is a time span | write it as 2d, 12h or 30m",
		"{did: order, item: a}":                    "R035 15:15 what happened needs `ago`",
		"{did: order, item: a, ago: 1d, often: 3}": "R009 15:46 what happened has no key `often`",
		"{did: order, item: a, ago: 1d, times: 0}": "R034 15:53 `times` is 0, which is not between 1 and 1000",
		"order": "R034 15:15",
	} {
		got := runPast(t, "  - name: n\n    candidates: [a]\n    history: ["+history+"]\n    expect: {order: []}\n")
		if !strings.HasPrefix(got, want) {
			t.Errorf("%s:\n got  %s\n want %s", history, got, want)
		}
	}
}

// The story names who was held out.
func TestTellHeld(t *testing.T) {
	s := Tell(&rules.Trace{Held: []string{"up"}}, nil)
	if len(s.Request) != 1 || s.Request[0] != "up was held out from this user, so that its worth can be measured." {
		t.Errorf("%v", s.Request)
	}
}
