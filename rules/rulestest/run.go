package rulestest

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/rules"
	"github.com/sartorhq/sartor/streams/spelling"
)

// Result is the outcome of one case.
type Result struct {
	Path string
	Line int
	Name string
	// Failures says, one difference each, how what happened differs from what was expected.
	Failures []string
	// Order is the list that came out, Trace the story of how it came to be.
	Order []string
	Trace rules.Trace
}

// Passed tells whether everything was as expected.
func (r Result) Passed() bool { return len(r.Failures) == 0 }

// Run compiles the rule set under test alone and runs every case against it. When the rules do not
// compile, or a case sets parameters that they do not have, it returns the problems and no results.
func Run(t *File, set rules.File, schema *features.Schema) ([]Result, []rules.Problem) {
	set = t.prepared(set)
	compiled, problems := rules.Compile([]rules.File{set}, schema, rules.Options{})
	if compiled == nil {
		return nil, problems
	}
	out := make([]Result, 0, len(t.Cases))
	for i := range t.Cases {
		c, own := &t.Cases[i], compiled
		if len(c.params) > 0 {
			own, problems = rules.Compile([]rules.File{set}, schema, rules.Options{Params: map[string]map[string]any{set.Name: c.params}})
			if own == nil {
				return nil, atCase(t, c, problems)
			}
		}
		out = append(out, runCase(t, c, set, own))
	}
	return out, nil
}

// prepared is the file as its test wants it: without hold-outs, and with the lists that the test gives.
func (t *File) prepared(f rules.File) rules.File {
	f = unheld(f)
	f.Lists = slices.Clone(f.Lists)
	for i := range f.Lists {
		if values, ok := t.lists[f.Lists[i].Name]; ok {
			f.Lists[i].Values = values
		}
	}
	return f
}

// unheld is the file without hold-outs: in a test every rule acts on everybody whom it concerns.
func unheld(f rules.File) rules.File {
	f.Rules, f.Tables = slices.Clone(f.Rules), slices.Clone(f.Tables)
	for i := range f.Rules {
		f.Rules[i].Holdout = nil
	}
	for i := range f.Tables {
		f.Tables[i].Holdout = nil
	}
	return f
}

// atCase moves problems that the parameters of a case cause to the case.
func atCase(t *File, c *Case, problems []rules.Problem) []rules.Problem {
	for i := range problems {
		p := &problems[i]
		p.Path, p.Line, p.Column, p.Snippet = t.Path, c.Line, 1, ""
		if c.Line <= len(t.lines) {
			p.Snippet = t.lines[c.Line-1]
		}
	}
	return problems
}

func runCase(t *File, c *Case, file rules.File, set *rules.Set) Result {
	r := Result{Path: t.Path, Line: c.Line, Name: c.Name}
	got := caseWorld(t, c, file.Lists).apply(set, c.env(file), true)
	for _, it := range got.Items {
		r.Order = append(r.Order, it.Item.ID)
	}
	r.Trace = got.Trace
	r.Failures = append(unknownRules(c, file), c.expect.differences(got, r.Order)...)
	return r
}

// env is what rules see of a case; a case that names no scenario or placement is in the file's scope.
func (c *Case) env(file rules.File) *rules.Env {
	env := &rules.Env{Now: c.now, User: c.user, Request: c.request, Context: c.context, Shown: c.shown, Taste: c.taste, Source: c.source}
	if env.Request.Scenario == "" && len(file.Scope.Scenarios) > 0 {
		env.Request.Scenario = file.Scope.Scenarios[0]
	}
	if env.Request.Placement == "" && len(file.Scope.Placements) > 0 {
		env.Request.Placement = file.Scope.Placements[0]
	}
	return env
}

// unknownRules finds rule ids in a case that the set does not have: such a case proves nothing.
func unknownRules(c *Case, file rules.File) []string {
	known := make([]string, 0, len(file.Rules))
	for _, r := range file.Rules {
		known = append(known, r.ID)
	}
	for _, t := range file.Tables {
		known = append(known, t.ID)
		for i := range t.Rows {
			known = append(known, fmt.Sprintf("%s#%d", t.ID, i+1))
		}
	}
	var out []string
	check := func(id string) {
		if slices.Contains(known, id) {
			return
		}
		text := fmt.Sprintf("there is no rule `%s` in %s", id, file.Name)
		if near := spelling.Nearest(id, known); near != "" {
			text += fmt.Sprintf("; did you mean `%s`?", near)
		}
		out = append(out, text)
	}
	for _, id := range slices.Concat(c.expect.fired, c.expect.notFired) {
		check(id)
	}
	for _, p := range c.expect.removed {
		check(p.want)
	}
	return out
}

// differences compares a result with what was expected, part by part.
func (x *expectation) differences(got rules.Result, order []string) []string {
	var out []string
	say := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	if x.order != nil && !slices.Equal(*x.order, order) {
		say("order\n  want %s\n  got  %s%s", list(*x.order), list(order), whyMissing(*x.order, order, got.Trace))
	}
	if n := len(x.top); n > 0 && !slices.Equal(x.top, order[:min(n, len(order))]) {
		say("top\n  want %s\n  got  %s%s", list(x.top), list(order[:min(n, len(order))]), whyMissing(x.top, order, got.Trace))
	}
	for _, id := range x.contains {
		if !slices.Contains(order, id) {
			say("contains: %s is not in %s%s", id, list(order), whyMissing([]string{id}, order, got.Trace))
		}
	}
	for _, id := range x.notContains {
		if i := slices.Index(order, id); i >= 0 {
			say("not_contains: %s is in the list, at position %d", id, i+1)
		}
	}
	fired := firedRules(got.Trace)
	for _, id := range x.fired {
		if !acted(fired, id) {
			say("fired: %s did not; these did: %s", id, list(fired))
		}
	}
	for _, id := range x.notFired {
		if acted(fired, id) {
			say("not_fired: %s did fire", id)
		}
	}
	if x.strategy != nil && *x.strategy != got.Trace.Strategy {
		say("strategy\n  want %s\n  got  %s", orNone(*x.strategy), orNone(got.Trace.Strategy))
	}
	return append(out, x.itemDifferences(got)...)
}

func (x *expectation) itemDifferences(got rules.Result) []string {
	var out []string
	say := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	ranked := map[string]rules.Ranked{}
	for _, it := range got.Items {
		ranked[it.Item.ID] = it
	}
	for _, p := range x.removed {
		if by := got.Trace.Removed[p.item]; by != p.want && !acted([]string{by}, p.want) {
			say("removed: %s\n  want by %s\n  got  %s", p.item, p.want, orNone(by))
		}
	}
	for _, p := range x.score {
		it, ok := ranked[p.item]
		switch {
		case !ok:
			say("score: %s is not in the list", p.item)
		case math.Abs(it.Score-p.want) > 1e-6*max(1, math.Abs(p.want)):
			say("score: %s\n  want %v\n  got  %v%s", p.item, p.want, math.Round(it.Score*1e6)/1e6, effects(p.item, got.Trace))
		}
	}
	for _, p := range x.badges {
		if it := ranked[p.item]; !slices.Equal(it.Badges, p.want) {
			say("badges: %s\n  want %s\n  got  %s", p.item, list(p.want), list(it.Badges))
		}
	}
	return out
}

// acted tells whether a rule, or a row of a table, is in the list.
func acted(list []string, id string) bool {
	return slices.ContainsFunc(list, func(rule string) bool { return rule == id || strings.HasPrefix(rule, id+"#") })
}

func firedRules(t rules.Trace) []string {
	var out []string
	for _, f := range t.Fired {
		if !slices.Contains(out, f.Rule) {
			out = append(out, f.Rule)
		}
	}
	return out
}

func list(ids []string) string { return "[" + strings.Join(ids, ", ") + "]" }

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

// whyMissing tells, for expected items that are not in the list, which rule removed them.
func whyMissing(want, order []string, t rules.Trace) string {
	var b strings.Builder
	for _, id := range want {
		if by := t.Removed[id]; by != "" && !slices.Contains(order, id) {
			fmt.Fprintf(&b, "\n  %s was removed by %s", id, by)
		}
	}
	return b.String()
}

// effects lists what rules did to an item's score.
func effects(id string, t rules.Trace) string {
	var b strings.Builder
	for _, it := range t.Items {
		if it.ItemID != id {
			continue
		}
		fmt.Fprintf(&b, "\n  base %v", it.Base)
		for _, e := range it.Effects {
			switch {
			case e.Multiply != 0:
				fmt.Fprintf(&b, ", %s times %v", e.Rule, e.Multiply)
			case e.Add != 0:
				fmt.Fprintf(&b, ", %s plus %v", e.Rule, e.Add)
			}
		}
	}
	return b.String()
}
