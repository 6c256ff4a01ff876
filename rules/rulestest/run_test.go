package rulestest

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/rules"
	"github.com/sartorhq/sartor/rules/rulefile"
)

const ruleText = `apiVersion: rules/v1
kind: RuleSet
name: home
description: d
owner: me@example.com
scope: {scenarios: [home], placements: [grid]}
params:
  bar: {type: int, default: 100, min: 1, max: 1000}
lists:
  season: {values: [d, nobody-described-this]}
rules:
  - id: sold-out
    description: d
    hard: true
    match: item.stock <= 0
    then: [exclude: {}]
  - id: coats-up
    description: d
    match: item.category == "coats"
    then:
      - boost: {multiply: 1.2}
      - badge: {text: Coat season}
  - id: seller-first
    description: d
    match: item.sales_7d > params.bar
    then: [pin: {position: 1, order_by: item.sales_7d desc}]
  - id: vip-hot
    description: d
    when: user.tier == "gold"
    then: [inject: {source: hot, count: 1, match: item.stock > 5}]
  - id: new-hot
    description: d
    when: user.is_new and context.country == "DE"
    then: [replace: {strategy: hot, by: context.country}]
  - id: season
    description: d
    when: user.tier == "silver"
    then: [inject: {source: "list:season", count: 5, score: 0.01}]
  - id: gap
    description: d
    when: user.tier == "bronze"
    then: [fill: {strategy: [trending, popular]}]
`

const head = "apiVersion: rules/v1\nkind: RuleTest\nruleset: home\nnow: 2026-10-23T19:00:00+02:00\n" +
	"items:\n  a: {score: 0.5, category: coats, created_at: 2026-10-01, tags: [x], attrs: {color: red}}\n" +
	"  b: {score: 0.4, sales_7d: 500, price: 9.99, sales_by_country: {DE: 3}}\n  c: {score: 0.3, stock: 0}\n  d: {score: 0.2, stock: 9}\ncases:\n"

func ruleSet(t *testing.T) rules.File {
	t.Helper()
	f, problems := rulefile.Parse("home.yaml", []byte(ruleText))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return f
}

func TestRun(t *testing.T) {
	tests := []struct{ name, lines, want string }{
		{"all_as_expected", "    user: {id: u, tier: gold, is_new: false, spend_90d: 10, last_order_at: 2026-10-01}\n    candidates: [a, b, c]\n    sources: {hot: [c, d]}\n" +
			"    expect: {order: [b, a, d], top: [b], contains: [d], not_contains: [c], fired: [vip-hot, sold-out], not_fired: [new-hot], removed: {c: sold-out}, score: {a: 0.6}, badges: {a: [Coat season]}, strategy: \"\"}\n", ""},
		{"order", "    candidates: [a, b, c]\n    expect: {order: [a, c]}\n", "order\n  want [a, c]\n  got  [b, a]\n  c was removed by sold-out"},
		{"top", "    candidates: [a, b]\n    expect: {top: [a]}\n", "top\n  want [a]\n  got  [b]"},
		{"contains", "    candidates: [a, c]\n    expect: {contains: [c]}\n", "contains: c is not in [a]\n  c was removed by sold-out"},
		{"not_contains", "    candidates: [a]\n    expect: {not_contains: [a]}\n", "not_contains: a is in the list, at position 1"},
		{"fired", "    candidates: [a]\n    expect: {fired: [sold-out]}\n", "fired: sold-out did not; these did: [coats-up]"},
		{"not_fired", "    candidates: [a]\n    expect: {not_fired: [coats-up]}\n", "not_fired: coats-up did fire"},
		{"removed", "    candidates: [a]\n    expect: {removed: {a: sold-out}}\n", "removed: a\n  want by sold-out\n  got  none"},
		{"score", "    candidates: [a]\n    expect: {score: {a: 0.7}}\n", "score: a\n  want 0.7\n  got  0.6\n  base 0.5, coats-up times 1.2"},
		{"score_of_nothing", "    candidates: [a]\n    expect: {score: {b: 0.7}}\n", "score: b is not in the list"},
		{"badges", "    candidates: [a]\n    expect: {badges: {a: [Other]}}\n", "badges: a\n  want [Other]\n  got  [Coat season]"},
		{"strategy", "    candidates: [a]\n    expect: {strategy: hot}\n", "strategy\n  want hot\n  got  none"},
		{"unknown_rule", "    candidates: [a]\n    expect: {not_fired: [sold-aut]}\n", "there is no rule `sold-aut` in home; did you mean `sold-out`?"},
		{"replaced_by_country", "    context: {country: DE}\n    candidates: [a]\n    sources: {hot: {DE: [b], FR: [d]}}\n    expect: {order: [b], strategy: hot}\n", ""},
		{"replaced_everywhere", "    context: {country: DE}\n    candidates: [a]\n    sources: {hot: [d]}\n    expect: {order: [d], strategy: hot}\n", ""},
		{"list_source", "    user: {tier: silver, is_new: false}\n    candidates: [a]\n    expect: {order: [a, d]}\n", ""},
		{"fill", "    user: {tier: bronze, is_new: false}\n    candidates: [a]\n    sources: {trending: [d], popular: [b]}\n    expect: {contains: [a, d, b]}\n", ""},
		{"params", "    params: {bar: 900}\n    candidates: [a, b]\n    expect: {order: [a, b], not_fired: [seller-first]}\n", ""},
		{"count", "    request: {count: 1, scenario: home, placement: grid, channel: web, query: q, source_item: a}\n    candidates: [a, b]\n    expect: {order: [b]}\n", ""},
		{"other_scenario", "    request: {scenario: cart}\n    candidates: [a, b]\n    expect: {order: [a, b], not_fired: [seller-first]}\n", ""},
		{"other_time", "    now: 2026-01-01\n    candidates: [a]\n    expect: {order: [a]}\n", ""},
		{"empty_order", "    expect: {order: []}\n", ""},
	}
	set := ruleSet(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f, problems := Parse("home.test.yaml", []byte(head+"  - name: n\n"+tt.lines), features.Default())
			if len(problems) > 0 {
				t.Fatal(problems)
			}
			results, problems := Run(f, set, features.Default())
			if len(problems) > 0 || len(results) != 1 {
				t.Fatal(results, problems)
			}
			if got := strings.Join(results[0].Failures, "\n"); got != tt.want {
				t.Errorf("got:\n%s\nwant:\n%s", got, tt.want)
			}
		})
	}
}

func TestParseProblems(t *testing.T) {
	tests := []struct {
		name, text, want string // want: "line:column code hint"
	}{
		{"unknown_field", "items:\n  a: {stok: 1}\ncases: []\n", "6:7 R009 write `stock:`"},
		{"wrong_type", "items:\n  a: {stock: many}\ncases: []\n", "6:14 R034 write a number such as `stock: 10`"},
		{"raw_text_not_yaml", "items:\n  a: {stock: 007}\ncases: []\n", "6:14 R034 write a number such as `stock: 10`"},
		{"bool", "items: {}\ncases:\n  - name: n\n    user: {is_new: NO}\n    expect: {}\n", "8:20 R034 write `is_new: true` or `is_new: false`"},
		{"time", "items:\n  a: {created_at: 1.2.2026}\ncases: []\n", "6:19 R034 write it as 2026-10-23T19:00:00+02:00 or 2026-10-23"},
		{"unknown_item", "items:\n  coat: {}\ncases:\n  - name: n\n    candidates: [coatt]\n    expect: {}\n", "9:18 R014 did you mean `coat`? Otherwise describe it under `items:`; `coatt: {}` is enough"},
		{"unknown_item_in_expect", "items:\n  coat: {}\ncases:\n  - name: n\n    expect: {removed: {coa: x}}\n", "9:24 R014 did you mean `coat`? Otherwise describe it under `items:`; `coa: {}` is enough"},
		{"unknown_case_key", "cases:\n  - name: n\n    usr: {}\n    expect: {}\n", "7:5 R009 write `user:`"},
		{"unknown_expect_key", "cases:\n  - name: n\n    expect: {ordr: []}\n", "7:14 R009 write `order:`"},
		{"unknown_source", "cases:\n  - name: n\n    sources: {hott: []}\n    expect: {}\n", "7:15 R014 did you mean `hot`? sources are hot, trending, new, popular, similar, co-bought; a `list:NAME` answers with the items of the rule file's list"},
		{"no_expect", "cases:\n  - name: n\n", "6:5 R035 add a line such as `expect: {order: [a, b]}`"},
		{"two_of_one_name", "cases:\n  - name: n\n    expect: {}\n  - name: n\n    expect: {}\n", "8:5 R010 give one of them another name"},
		{"no_cases", "items: {}\n", "1:1 R035 add a line such as `cases:`"},
		{"context", "cases:\n  - name: n\n    context: {contry: DE}\n    expect: {}\n", "7:15 R009 write `country:`"},
		{"count", "cases:\n  - name: n\n    request: {count: 0}\n    expect: {}\n", "7:22 R034 "},
		{"anchor", "cases:\n  - name: n\n    user: &u {tier: gold}\n    expect: {}\n", "7:11 R032 name shared values under `params:` or `lists:`; a text that starts with `&` needs quotes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			text := "apiVersion: rules/v1\nkind: RuleTest\nruleset: home\nnow: 2026-10-23\n" + tt.text
			_, problems := Parse("home.test.yaml", []byte(text), features.Default())
			if len(problems) != 1 {
				t.Fatalf("got %d problems: %+v", len(problems), problems)
			}
			p := problems[0]
			if got := strings.TrimSpace(strings.Join([]string{place(p), p.Code, p.Hint}, " ")); got != strings.TrimSpace(tt.want) {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func place(p rules.Problem) string { return fmt.Sprintf("%d:%d", p.Line, p.Column) }

func TestRunReportsRulesThatDoNotCompile(t *testing.T) {
	f, problems := Parse("home.test.yaml", []byte(head+"  - name: n\n    params: {bar: 5000}\n    expect: {}\n"), features.Default())
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	results, problems := Run(f, ruleSet(t), features.Default())
	if results != nil || len(problems) == 0 || problems[0].Path != "home.test.yaml" || problems[0].Line != 11 {
		t.Errorf("a parameter outside its bounds: %v %+v", results, problems)
	}
	broken := ruleSet(t)
	broken.Rules[0].Match.Text = "item.stok < 1"
	if results, problems := Run(f, broken, features.Default()); results != nil || len(problems) == 0 || problems[0].Path != "home.yaml" {
		t.Errorf("a broken rule: %v %+v", results, problems)
	}
}

func TestReport(t *testing.T) {
	f, _ := Parse("home.test.yaml", []byte(head+"  - name: good\n    candidates: [a]\n    expect: {order: [a]}\n  - name: bad\n    candidates: [a, d]\n    expect: {order: [d]}\n  - name: quiet\n    candidates: [d]\n    expect: {order: [a]}\n"), features.Default())
	results, problems := Run(f, ruleSet(t), features.Default())
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	var b bytes.Buffer
	passed, err := Report(&b, results, true)
	if passed || err != nil {
		t.Fatal(passed, err)
	}
	for _, want := range []string{"ok    home.test.yaml:11  good\n", "FAIL  home.test.yaml:14  bad\n      order\n        want [d]\n        got  [a, d]\n      what happened:\n        coats-up: boost",
		"FAIL  home.test.yaml:17  quiet\n", "      no rule fired\n", "2 of 3 cases failed\n"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("missing %q in:\n%s", want, b.String())
		}
	}
}

// TestStarterRules runs the tests that ship with the starter rules.
func TestStarterRules(t *testing.T) {
	set, problems := parseFile(t, "../../deploy/rules/home.yaml")
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	data, err := os.ReadFile("../../deploy/rules/home.test.yaml")
	if err != nil {
		t.Fatal(err)
	}
	f, problems := Parse("home.test.yaml", data, features.Default())
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	results, problems := Run(f, set, features.Default())
	if len(problems) > 0 || len(results) < 15 {
		t.Fatal(len(results), problems)
	}
	var b bytes.Buffer
	if passed, _ := Report(&b, results, false); !passed {
		t.Error(b.String())
	}
	if _, problems := rules.Compile([]rules.File{set}, features.Default(), rules.Options{}); len(problems) > 0 {
		t.Errorf("the starter rules must be free of warnings: %+v", problems)
	}
}

func parseFile(t *testing.T, path string) (rules.File, []rules.Problem) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return rulefile.Parse(path, data)
}
