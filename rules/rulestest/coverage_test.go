package rulestest

import (
	"fmt"
	"reflect"
	"testing"

	"github.com/sartorhq/sartor/features"
)

func TestOperands(t *testing.T) {
	for text, want := range map[string][]string{
		"a":                              {"a"},
		"a and b or c":                   {"a", "b", "c"},
		"(a or b) and not (c && d)":      {"a", "b", "c", "d"},
		"a || !(b)":                      {"a", "b"},
		"not(a and b)":                   {"a", "b"},
		"not a and b":                    {"not a", "b"},
		`"x and y" in item.tags or b`:    {`"x and y" in item.tags`, "b"},
		`item.title == 'it\'s or' and b`: {`item.title == 'it\'s or'`, "b"},
		"any(user.last_items, # == 'a' or # == 'b') and c": {"any(user.last_items, # == 'a' or # == 'b')", "c"},
		"user.orders > 1 and user.brand_or == 1":           {"user.orders > 1", "user.brand_or == 1"},
		"a and b ? c : d":                                  {"a and b ? c : d"},
		"(a ?? 1) > 2 and b?.c":                            {"(a ?? 1) > 2", "b?.c"},
		"a\n  and\nb":                                      {"a", "b"},
		"(a) == (b)":                                       {"(a) == (b)"},
		"":                                                 {""},
		")(":                                               {")("},
	} {
		if got := operands(text); !reflect.DeepEqual(got, want) {
			t.Errorf("%q gives %q, want %q", text, got, want)
		}
	}
}

func FuzzOperands(f *testing.F) {
	f.Add("(a or b) and not (c && d)")
	f.Add("\"a and")
	f.Fuzz(func(t *testing.T, text string) {
		if len(operands(text)) == 0 {
			t.Error("nothing left")
		}
	})
}

// TestCoverTables asks that every row is hit, and keeps the badges of tables out of the operands.
func TestCoverTables(t *testing.T) {
	set, problems := check("t.yaml", snippetHead+`  - id: two-parts
    match: item.stock > 0 and item.category == "hats"
    then: [boost: {multiply: 2}]
tables:
  - id: season
    inputs: [item.category]
    rows:
      - {if: [hats], then: {badge: {text: Hat}}}
      - {if: [coats], then: {badge: {text: Coat}}}
`)
	if len(problems) > 0 {
		t.Fatal(render(t, problems))
	}
	file, problems := Parse("t.test.yaml", []byte(testHead+"snippet\nitems: {hat: {category: hats, stock: 1}, sock: {category: socks, stock: 0}}\ncases:\n"+
		"  - name: a hat\n    candidates: [hat, sock]\n    expect: {top: [hat]}\n"), features.Default())
	if len(problems) > 0 {
		t.Fatal(render(t, problems))
	}
	got, problems := Cover([]*File{file}, set, features.Default())
	if len(problems) > 0 {
		t.Fatal(render(t, problems))
	}
	want := `[{two-parts 7 false 1 0 false [{match item.stock > 0 1 1 false} {match item.category == "hats" 1 1 false}]} {season#1 14 true 1 0 false []} {season#2 15 true 0 1 false []}]`
	if text := fmt.Sprint(got.Rules); text != want {
		t.Errorf("got  %s\nwant %s", text, want)
	}
	if seen, all := got.Points(); seen != 6 || all != 8 { // two-parts was never silent, season#2 never hit
		t.Errorf("%d of %d points", seen, all)
	}
}

// TestCover reaches some of it, by reasoning.
func TestCover(t *testing.T) {
	set, problems := check("home.yaml", `apiVersion: rules/v1
kind: RuleSet
name: home
description: d
owner: o
params:
  bar: {type: int, default: 10, min: 0, max: 100}
rules:
  - id: two-parts
    when: user.tier == "gold"
    match: item.stock > 0 and item.sales_7d > params.bar
    then: [boost: {multiply: 2}]
  - id: plain
    match: item.category == "hats"
    then: [bury: {multiply: 0.5}]
  - id: always
    then: [badge: {text: hello}]
  - id: never-tried
    when: user.is_new and context.country == "DE"
    then: [badge: {text: hello}]
  - id: off
    disabled: true
    then: [badge: {text: hello}]
`)
	if len(problems) > 0 {
		t.Fatal(render(t, problems))
	}
	file, problems := Parse("home.test.yaml", []byte(`apiVersion: rules/v1
kind: RuleTest
ruleset: home
now: 2026-10-23T19:00:00+02:00
items: {a: {sales_7d: 20, stock: 1}, b: {sales_7d: 5, stock: 1}}
cases:
  - name: gold
    user: {tier: gold, is_new: false}
    candidates: [a, b]
    expect: {top: [a]}
  - name: gold with another bar
    user: {tier: gold, is_new: false}
    params: {bar: 3}
    candidates: [b]
    expect: {top: [b]}
  - name: silver
    user: {tier: silver, is_new: false}
    candidates: [a, b]
    expect: {top: [a]}
`), features.Default())
	if len(problems) > 0 {
		t.Fatal(render(t, problems))
	}
	got, problems := Cover([]*File{file}, set, features.Default())
	if len(problems) > 0 || got.Cases != 3 {
		t.Fatal(problems, got)
	}
	want := map[string]string{
		// `match` is looked at only in the two cases with gold: a and b, then b with the lower bar.
		"two-parts":   `{two-parts 9 false 2 1 false [{when user.tier == "gold" 2 1 false} {match item.stock > 0 3 0 false} {match item.sales_7d > params.bar 2 1 false}]}`,
		"plain":       `{plain 13 false 0 3 false []}`,
		"always":      `{always 16 false 3 0 true []}`,
		"never-tried": `{never-tried 18 false 0 3 false [{when user.is_new 0 3 false} {when context.country == "DE" 0 3 false}]}`,
	}
	for _, r := range got.Rules {
		if text := fmt.Sprint(r); text != want[r.Rule] {
			t.Errorf("%s\ngot  %s\nwant %s", r.Rule, text, want[r.Rule])
		}
	}
	if len(got.Rules) != len(want) {
		t.Errorf("%d rules, want %d", len(got.Rules), len(want))
	}
	// two-parts 2+6-1, plain 1 of 2, always 1 of 1, never-tried 1+2 of 2+4.
	if seen, all := got.Points(); seen != 7+1+1+3 || all != 8+2+1+6 {
		t.Errorf("%d of %d points", seen, all)
	}
}
