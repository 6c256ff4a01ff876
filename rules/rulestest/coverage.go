package rulestest

import (
	"fmt"
	"slices"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/rules"
)

// Coverage is what the tests of one rule set have seen of its rules.
type Coverage struct {
	Path  string         `json:"path"`
	Set   string         `json:"set"`
	Cases int            `json:"cases"`
	Rules []RuleCoverage `json:"rules"`
}

// RuleCoverage is what the cases have seen of one rule, or of one row of a table ("season#2").
type RuleCoverage struct {
	Rule string `json:"rule"`
	Line int    `json:"line"`
	// Row is set for a row of a table: it has to be hit, no more.
	Row bool `json:"row,omitempty"`
	// Matched and Unmatched count the cases in which the rule acted, and did not.
	Matched   int `json:"matched"`
	Unmatched int `json:"unmatched"`
	// Always is set for a rule without any condition: it cannot stay unmatched.
	Always bool `json:"always,omitempty"`
	// Operands are the parts of `when` and `match`, if there are at least two of them.
	Operands []Operand `json:"operands,omitempty"`
}

// Operand is one part of a condition between `and` and `or`, and how often it was true and false: per
// case in `when`, per candidate in `match`. It counts whether or not a part before it has decided.
type Operand struct {
	Key   string `json:"key"` // when or match
	Text  string `json:"text"`
	True  int    `json:"true"`
	False int    `json:"false"`
	// Unknown is set for a part that cannot be evaluated by itself: nothing is asked of it.
	Unknown bool `json:"unknown,omitempty"`
}

// Points returns how many things the tests should have seen, and how many they have.
func (c *Coverage) Points() (seen, all int) {
	for i := range c.Rules {
		s, a := c.Rules[i].Points()
		seen, all = seen+s, all+a
	}
	return seen, all
}

// Points returns how many things of the rule the tests should have seen, and how many they have.
func (r *RuleCoverage) Points() (seen, all int) {
	see := func(n int) {
		all++
		if n > 0 {
			seen++
		}
	}
	see(r.Matched)
	if !r.Row && !r.Always {
		see(r.Unmatched)
	}
	for _, o := range r.Operands {
		if !o.Unknown {
			see(o.True)
			see(o.False)
		}
	}
	return seen, all
}

// Cover runs the cases of all test files of one rule set and watches what they reach. Tests that fail
// count like others: coverage says what was looked at, not what was found. Rules that are disabled
// are left out.
func Cover(tests []*File, set rules.File, schema *features.Schema) (*Coverage, []rules.Problem) {
	set = unheld(set)
	compiled, problems := rules.Compile([]rules.File{set}, schema, rules.Options{})
	if compiled == nil {
		return nil, problems
	}
	out := &Coverage{Path: set.Path, Set: set.Name}
	probes := make([][]probe, 0, len(set.Rules))
	for _, id := range compiled.RuleIDs() {
		i := slices.IndexFunc(set.Rules, func(r rules.Rule) bool { return r.ID == id })
		if i < 0 {
			out.Rules = append(out.Rules, RuleCoverage{Rule: id, Row: true, Line: rowLine(set, id)})
			probes = append(probes, nil)
			continue
		}
		r := &set.Rules[i]
		rc := RuleCoverage{Rule: id, Line: r.Pos.Line, Always: r.When.Empty() && r.Match.Empty() && r.Schedule == nil && r.Rollout == nil}
		rc.Operands = operandsOf(r)
		out.Rules = append(out.Rules, rc)
		probes = append(probes, makeProbes(set, r, rc.Operands, schema, nil))
	}
	for _, t := range tests {
		for i := range t.Cases {
			problems = append(problems, out.watch(t, &t.Cases[i], set, compiled, probes, schema)...)
		}
	}
	return out, problems
}

// rowLine finds where row "ID#N" of a table stands.
func rowLine(set rules.File, id string) int {
	for _, t := range set.Tables {
		for i := range t.Rows {
			if id == fmt.Sprintf("%s#%d", t.ID, i+1) {
				return t.Rows[i].Pos.Line
			}
		}
	}
	return 0
}

func operandsOf(r *rules.Rule) []Operand {
	var out []Operand
	for _, part := range []struct {
		key  string
		expr rules.Expr
	}{{"when", r.When}, {"match", r.Match}} {
		if part.expr.Empty() {
			continue
		}
		for _, text := range operands(part.expr.Text) {
			out = append(out, Operand{Key: part.key, Text: text})
		}
	}
	if len(out) < 2 {
		return nil
	}
	return out
}

// watch runs one case and adds what it reaches.
func (c *Coverage) watch(t *File, tc *Case, set rules.File, compiled *rules.Set, probes [][]probe, schema *features.Schema) []rules.Problem {
	own := compiled
	set = t.prepared(set)
	if len(t.lists) > 0 {
		var problems []rules.Problem
		if own, problems = rules.Compile([]rules.File{set}, schema, rules.Options{}); own == nil {
			return atCase(t, tc, problems)
		}
	}
	if len(tc.params) > 0 {
		var problems []rules.Problem
		if own, problems = rules.Compile([]rules.File{set}, schema, rules.Options{Params: map[string]map[string]any{set.Name: tc.params}}); own == nil {
			return atCase(t, tc, problems)
		}
	}
	c.Cases++
	env := tc.env(set)
	w := caseWorld(t, tc, set.Lists)
	fired := firedRules(w.apply(own, env, true).Trace)
	pool := w.ranked()
	for i := range c.Rules {
		rc := &c.Rules[i]
		if slices.Contains(fired, rc.Rule) {
			rc.Matched++
		} else {
			rc.Unmatched++
		}
		ask := probes[i]
		if len(tc.params) > 0 && len(rc.Operands) > 0 {
			j := slices.IndexFunc(set.Rules, func(r rules.Rule) bool { return r.ID == rc.Rule })
			ask = makeProbes(set, &set.Rules[j], rc.Operands, schema, tc.params)
		}
		for k := range rc.Operands {
			ask[k].see(env, pool, &rc.Operands[k])
		}
	}
	return nil
}

// probe is a rule set of one rule whose condition is an operand, so that the engine itself says
// whether the operand holds.
type probe struct {
	set  *rules.Set // nil = the operand cannot stand alone
	live *rules.Set // tells whether the rule would look at the operand at all
}

// probeBadge is what the probe's rule does: something that changes nothing.
const probeBadge = "seen"

func makeProbes(file rules.File, r *rules.Rule, parts []Operand, schema *features.Schema, params map[string]any) []probe {
	out := make([]probe, len(parts))
	for i := range parts {
		o := &parts[i]
		ask, live := *r, *r
		live.When = rules.Expr{}
		if o.Key == "when" {
			ask.When, ask.Match = rules.Expr{Text: o.Text}, rules.Expr{}
		} else {
			ask.Match, live.When = rules.Expr{Text: o.Text}, r.When
		}
		live.Match = rules.Expr{}
		out[i] = probe{set: compileProbe(file, ask, schema, params), live: compileProbe(file, live, schema, params)}
		o.Unknown = out[i].set == nil || out[i].live == nil
	}
	return out
}

// compileProbe compiles one rule, with a badge in place of its actions.
func compileProbe(file rules.File, r rules.Rule, schema *features.Schema, params map[string]any) *rules.Set {
	r.Hard, r.Group, r.Stop = false, "", false
	r.Then = []rules.Action{{Name: "badge", Pos: r.Pos, Fields: []rules.ActionField{{Name: "text", Value: rules.Expr{Text: probeBadge}, Pos: r.Pos}}}}
	set, _ := rules.Compile([]rules.File{probeFile(file, r)}, schema, rules.Options{Params: map[string]map[string]any{file.Name: params}})
	return set
}

// probeFile is the file with the rule alone.
func probeFile(file rules.File, r rules.Rule) rules.File {
	file.Rules, file.Tables = []rules.Rule{r}, nil
	return file
}

// see evaluates the operand for the case and its candidates.
func (p probe) see(env *rules.Env, pool []rules.Candidate, o *Operand) {
	if p.set == nil || p.live == nil || len(pool) == 0 || badges(p.live, env, pool) == 0 {
		return
	}
	yes := badges(p.set, env, pool)
	switch {
	case o.Key == "match":
		o.True += yes
		o.False += len(pool) - yes
	case yes > 0:
		o.True++
	default:
		o.False++
	}
}

// badges counts the candidates that the probe's rule marks.
func badges(set *rules.Set, env *rules.Env, pool []rules.Candidate) int {
	n := 0
	for _, it := range set.Apply(env, nil, pool, len(pool), false).Items {
		n += len(it.Badges)
	}
	return n
}
