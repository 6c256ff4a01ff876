package rulefile

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sartorhq/sartor/rules"
)

const tableHead = "apiVersion: rules/v1\nkind: RuleSet\nname: season\ndescription: d\nowner: a@example.com\ntables:\n"

func TestParseTable(t *testing.T) {
	f, problems := Parse("a.yaml", []byte(tableHead+`  - id: season-boost
    description: by season
    priority: 5
    hit: first
    when: user.is_new
    inputs: [item.category, user.tier]
    rows:
      - {if: [coats, gold], then: {boost: {multiply: 1.4}}}
      - if: [[sandals, "swim wear"], "*"]
        then:
          - bury: {multiply: 0.6}
          - badge: {text: Sale}
      - {if: [1.10, ">= 2"], then: {bury: {multiply: 0.6}, note: {text: x}}}
`))
	if len(problems) > 0 || len(f.Tables) != 1 {
		t.Fatalf("%+v", problems)
	}
	table := f.Tables[0]
	if table.ID != "season-boost" || table.Hit != "first" || table.Priority != 5 || table.When.Text != "user.is_new" || len(table.Inputs) != 2 || table.Inputs[1].Text != "user.tier" {
		t.Errorf("got %+v", table)
	}
	var got []string
	for _, row := range table.Rows {
		line := ""
		for _, c := range row.Cells {
			line += "|" + c.Value.Text
			for _, v := range c.List {
				line += "," + v.Text
			}
		}
		for _, a := range row.Then {
			line += " " + a.Name + "=" + a.Fields[0].Value.Text
		}
		got = append(got, line)
	}
	if want := `|coats|gold boost=1.4; |,sandals,swim wear|* bury=0.6 badge=Sale; |1.10|>= 2 bury=0.6 note=x`; strings.Join(got, "; ") != want {
		t.Errorf("got %s\nwant %s", strings.Join(got, "; "), want)
	}
	if pos := table.Rows[0].Cells[1].Value.Pos; pos != (rules.Pos{Line: 14, Column: 22}) {
		t.Errorf("the cell is at %+v", pos)
	}
}

func TestTableMistakes(t *testing.T) {
	for name, tc := range map[string]struct{ text, want string }{
		"unknown key":    {"  - id: t\n    imputs: [item.category]\n    rows: []\n", "8:5 R009 a table has no key `imputs`; did you mean `inputs`?"},
		"no rows":        {"  - id: t\n    inputs: [item.category]\n", "7:5 R035 a table needs `rows`"},
		"row without if": {"  - id: t\n    inputs: [a]\n    rows:\n      - {then: {boost: {multiply: 2}}}\n", "10:9 R035 a row needs `if`"},
		"nested cell":    {"  - id: t\n    inputs: [a]\n    rows:\n      - {if: [{a: 1}], then: {boost: {multiply: 2}}}\n", "10:15 R034 a cell is one value, not `key: value` lines"},
		"empty list":     {"  - id: t\n    inputs: [a]\n    rows:\n      - {if: [[]], then: {boost: {multiply: 2}}}\n", "10:15 R034 a cell that lists no values never holds"},
		"unknown action": {"  - id: t\n    inputs: [a]\n    rows:\n      - {if: [x], then: {bost: {multiply: 2}}}\n", "10:26 R009 there is no action `bost`; did you mean `boost`?"},
		"hit":            {"  - id: t\n    hit: frist\n    inputs: [a]\n    rows: [{if: [x], then: {boost: {multiply: 2}}}]\n", "8:10 R034 `hit` cannot be `frist`"},
		"same id":        {"  - id: t\n    inputs: [a]\n    rows: [{if: [x], then: {boost: {multiply: 2}}}]\n  - id: t\n    inputs: [a]\n    rows: [{if: [x], then: {boost: {multiply: 2}}}]\n", "10:9 R010 two rules are called `t`"},
	} {
		_, problems := Parse("a.yaml", []byte(tableHead+tc.text))
		var got []string
		for _, p := range problems {
			got = append(got, fmt.Sprintf("%d:%d %s %s", p.Line, p.Column, p.Code, p.Message))
		}
		if len(got) != 1 || !strings.HasPrefix(got[0], tc.want) {
			t.Errorf("%s: %s\nwant %s", name, strings.Join(got, "\n"), tc.want)
		}
	}
}

func TestFormatTable(t *testing.T) {
	in := tableHead + "- id:   t\n  inputs: [item.category]\n  rows:\n  - {if: [coats],  then: {boost: {multiply: 2}}} # why\n"
	out, err := Format([]byte(in))
	want := tableHead + "  - id: t\n    inputs: [item.category]\n    rows:\n      - {if: [coats],  then: {boost: {multiply: 2}}} # why\n"
	if err != nil || string(out) != want {
		t.Errorf("got %s, %v", out, err)
	}
}
