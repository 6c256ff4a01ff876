package rules

import (
	"fmt"
	"strings"
	"testing"
)

func cells(texts ...string) []Cell {
	out := make([]Cell, len(texts))
	for i, s := range texts {
		if list, ok := strings.CutPrefix(s, "["); ok {
			for _, e := range strings.Split(strings.TrimSuffix(list, "]"), " ") {
				out[i].List = append(out[i].List, text(e))
			}
			continue
		}
		out[i].Value = text(s)
	}
	return out
}

func row(then []Action, texts ...string) Row { return Row{Cells: cells(texts...), Then: then} }

func times(x string) []Action { return []Action{act("boost", "multiply", x)} }

func tableOf(hit string, inputs []string, rows ...Row) File {
	t := Table{ID: "t", Hit: hit, Rows: rows}
	for _, in := range inputs {
		t.Inputs = append(t.Inputs, text(in))
	}
	f := rulesOf()
	f.Tables = []Table{t}
	f.Params = []Param{{Name: "limit", Type: "number", Default: "100"}}
	return f
}

// Each cell form, against an item that it lets through and one that it does not.
func TestTableCells(t *testing.T) {
	for _, tc := range []struct {
		input, cell string
		yes, no     map[string]any
	}{
		{"item.category", "coats", map[string]any{"category": "coats"}, map[string]any{"category": "hats"}},
		{"item.category", "[coats hats]", map[string]any{"category": "hats"}, map[string]any{"category": "shoes"}},
		{"item.category", "!= coats", map[string]any{"category": "hats"}, map[string]any{"category": "coats"}},
		{"item.category", `""`, map[string]any{"category": ""}, map[string]any{"category": "hats"}},
		{"item.category", "it's", map[string]any{"category": "it's"}, map[string]any{"category": "its"}},
		{"item.category", "1.10", map[string]any{"category": "1.10"}, map[string]any{"category": "1.1"}},
		{"item.price", "12.5", map[string]any{"price": 12.5}, map[string]any{"price": 12.0}},
		{"item.price", ">= params.limit", map[string]any{"price": 100.0}, map[string]any{"price": 99.0}},
		{"item.price", "[1 2.5]", map[string]any{"price": 2.5}, map[string]any{"price": 2.0}},
		{"item.stock", "< 5", map[string]any{"stock": 4}, map[string]any{"stock": 5}},
		{"item.tags", "sale", map[string]any{"tags": []string{"eco", "sale"}}, map[string]any{"tags": []string{"eco"}}},
		{"item.tags", "[sale own]", map[string]any{"tags": []string{"own"}}, map[string]any{"tags": []string{"eco"}}},
		{"item.price > 10", "true", map[string]any{"price": 11.0}, map[string]any{"price": 10.0}},
		{"item.price > 10", "false", map[string]any{"price": 10.0}, map[string]any{"price": 11.0}},
		{"age(item.created_at)", "< days(14)", map[string]any{"created_at": friday.AddDate(0, 0, -13)}, map[string]any{"created_at": friday.AddDate(0, 0, -15)}},
		{"item.price + 1", "> 10", map[string]any{"price": 9.5}, map[string]any{"price": 9.0}},
	} {
		s := compiled(t, tableOf("", []string{tc.input, "item.brand"}, row(times("2"), tc.cell, "*")))
		r := s.Apply(at(nil, nil), nil, []Candidate{thing("yes", 0.5, tc.yes), thing("no", 0.25, tc.no)}, 2, false)
		if r.Items[0].Score != 1 || r.Items[1].Score != 0.25 {
			t.Errorf("%s: %s: scores %v and %v", tc.input, tc.cell, r.Items[0].Score, r.Items[1].Score)
		}
	}
}

// first: one row an item, in order; all: every row that fits. A row that looks at the user only is
// on or off for the whole request.
func TestHitPolicies(t *testing.T) {
	rows := []Row{row(times("2"), "coats", "gold"), row(times("3"), "coats", "*"), row(times("5"), "*", "gold")}
	items := []Candidate{thing("coat", 0.01, map[string]any{"category": "coats"}), thing("hat", 0.01, map[string]any{"category": "hats"})}
	for _, tc := range []struct {
		hit, tier string
		coat, hat float64
		fired     string
	}{
		{"first", "gold", 0.02, 0.05, "t#1 t#3"}, {"", "gold", 0.02, 0.05, "t#1 t#3"}, {"first", "", 0.03, 0.01, "t#2"},
		{"all", "gold", 0.3, 0.05, "t#1 t#2 t#3"}, {"all", "", 0.03, 0.01, "t#2"},
	} {
		s := compiled(t, tableOf(tc.hit, []string{"item.category", "user.tier"}, rows...))
		r := s.Apply(at(map[string]any{"tier": tc.tier}, nil), nil, items, 2, false)
		got := map[string]float64{}
		for _, it := range r.Items {
			got[it.Item.ID] = it.Score
		}
		if d := got["coat"] - tc.coat; d > 1e-12 || d < -1e-12 || got["hat"] != tc.hat || firedIDs(r.Trace.Fired) != tc.fired {
			t.Errorf("%s %s: %v, fired %s", tc.hit, tc.tier, got, firedIDs(r.Trace.Fired))
		}
	}
}

// unique is refused unless every two rows are told apart by some column.
func TestUniqueIsProved(t *testing.T) {
	for name, tc := range map[string]struct {
		rows    []Row
		overlap string
	}{
		"intervals":     {[]Row{row(times("2"), "< 10", "*"), row(times("3"), ">= 10", "*")}, ""},
		"touching":      {[]Row{row(times("2"), "<= 10", "*"), row(times("3"), ">= 10", "*")}, "rows 1 and 2"},
		"other column":  {[]Row{row(times("2"), "<= 10", "a"), row(times("3"), ">= 10", "[b c]")}, ""},
		"lists meet":    {[]Row{row(times("2"), "*", "[a b]"), row(times("3"), "*", "[c d]"), row(times("4"), "*", "[b e]")}, "rows 1 and 3"},
		"all but":       {[]Row{row(times("2"), "*", "!= a"), row(times("3"), "*", "a")}, ""},
		"anything":      {[]Row{row(times("2"), "*", "*"), row(times("3"), "5", "a")}, "rows 1 and 2"},
		"whole numbers": {[]Row{row(times("2"), "5", "*"), row(times("3"), "> 5", "*"), row(times("4"), "< 5", "*")}, ""},
	} {
		_, problems := Compile([]File{tableOf("unique", []string{"item.stock", "item.brand"}, tc.rows...)}, schema(), Options{})
		var found []string
		for _, p := range problems {
			if p.Severity == SeverityError {
				found = append(found, p.Code+" "+p.Message)
			}
		}
		if got := strings.Join(found, "; "); tc.overlap == "" && got != "" || !strings.Contains(got, tc.overlap) || tc.overlap != "" && len(found) != 1 {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func TestShadowedRows(t *testing.T) {
	for name, tc := range map[string]struct {
		hit      string
		rows     []Row
		shadowed string
	}{
		"special after general": {"first", []Row{row(times("2"), "*", "[a b]"), row(times("3"), "5", "a")}, "t#2"},
		"general after special": {"first", []Row{row(times("2"), "5", "a"), row(times("3"), "*", "[a b]")}, ""},
		"interval":              {"first", []Row{row(times("2"), ">= 4", "*"), row(times("3"), "> 3", "*")}, ""},
		"inside":                {"first", []Row{row(times("2"), ">= 3", "*"), row(times("3"), "> 3", "*")}, "t#2"},
		"all":                   {"all", []Row{row(times("2"), "*", "*"), row(times("3"), "5", "a")}, ""},
	} {
		_, problems := Compile([]File{tableOf(tc.hit, []string{"item.price", "item.brand"}, tc.rows...)}, schema(), Options{})
		got := ""
		for _, p := range problems {
			if p.Code == CodeShadowed {
				got += p.Rule
			}
		}
		if got != tc.shadowed {
			t.Errorf("%s: %s, want %s", name, got, tc.shadowed)
		}
	}
}

func TestTableProblems(t *testing.T) {
	in := []string{"item.category", "item.price"}
	for name, tc := range map[string]struct {
		file File
		want string
	}{
		"unknown hit":   {tableOf("best", in, row(times("2"), "a", "1")), "R014 `hit: best` is unknown"},
		"unknown input": {tableOf("", []string{"item.categry"}, row(times("2"), "a")), "R001 unknown field `item.categry`"},
		"map input":     {tableOf("", []string{"item.attrs"}, row(times("2"), "a")), "R002 `item.attrs` is a map of texts and cannot be a column"},
		"too few cells": {tableOf("", in, row(times("2"), "a")), "R024 the row has 1 cells, the table 2 inputs"},
		"no number":     {tableOf("", in, row(times("2"), "a", "cheap")), "R002 the column `item.price` is a number; `cheap` is not"},
		"empty cell":    {tableOf("", in, row(times("2"), "a", "")), "R011 the cell is empty"},
		"bad action":    {tableOf("", in, row([]Action{act("bost")}, "a", "1")), "R009 unknown action `bost`"},
		"no rows":       {tableOf("", in), "R024 the table `t` needs `inputs` and `rows`"},
		"two ids": {func() File {
			f := tableOf("", in, row(times("2"), "a", "1"))
			f.Rules = []Rule{mk("t", then(act("keep")))}
			return f
		}(), "R010 the id `t` is used twice"},
	} {
		s, problems := Compile([]File{tc.file}, schema(), Options{})
		got := ""
		for _, p := range problems {
			if p.Severity == SeverityError {
				got += p.Code + " " + p.Message + "; "
			}
		}
		if s != nil || !strings.HasPrefix(got, tc.want) {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// Rows take part in what holds for rules: priority, rollout by the table, the version, switching off.
func TestTablesAreRules(t *testing.T) {
	f := tableOf("", []string{"user.tier"}, row([]Action{act("inject", "source", "hot")}, "gold"), row([]Action{act("inject", "source", "new")}, "*"))
	f.Tables[0].Priority, f.Tables[0].Rollout = 7, &Rollout{Percent: 50}
	s := compiled(t, f)
	if got := fmt.Sprint(s.RuleIDs()); got != "[t#1 t#2]" || s.rules[0].priority != 7 || s.rules[0].rollout.salt != s.rules[1].rollout.salt {
		t.Errorf("got %s %+v", got, s.rules[0])
	}
	f.Tables[0].Rows[0].Cells[0].Value.Text = "silver"
	if compiled(t, f).Version() == s.Version() {
		t.Error("a changed cell keeps the version")
	}
	f.Tables[0].Disabled = true
	if off := compiled(t, f); len(off.RuleIDs()) != 0 {
		t.Errorf("disabled: %v", off.RuleIDs())
	}
}
