package rulestest

import (
	"maps"
	"slices"
	"strings"

	"github.com/sartorhq/sartor/rules"
)

// CodeUntested marks a rule that no test expects anything of.
const CodeUntested = "R040"

// Untested warns about the enabled rules and tables of a file that no expectation of its tests names.
func Untested(f rules.File, tests []*File) []rules.Problem {
	named := map[string]bool{}
	for _, t := range tests {
		for _, id := range t.RuleIDs() {
			named[id] = true
		}
	}
	var out []rules.Problem
	for _, r := range f.Rules {
		if !r.Disabled && !named[r.ID] {
			out = append(out, untested(f, r.ID, "rule", r.Pos))
		}
	}
	for _, t := range f.Tables {
		hit := func(id string) bool { return id == t.ID || strings.HasPrefix(id, t.ID+"#") }
		if !t.Disabled && !slices.ContainsFunc(slices.Collect(maps.Keys(named)), hit) {
			out = append(out, untested(f, t.ID, "table", t.Pos))
		}
	}
	return out
}

func untested(f rules.File, id, what string, at rules.Pos) rules.Problem {
	p := rules.Problem{Code: CodeUntested, Severity: rules.SeverityWarning, Path: f.Path, Line: at.Line, Column: at.Column, Rule: id,
		Message: "no test says what the " + what + " should do", Hint: "name it under `fired:`, `not_fired:` or `removed:` of a case in a .test.yaml file beside this one"}
	if p.Line <= len(f.Lines) && p.Line > 0 {
		p.Snippet = f.Lines[p.Line-1]
	}
	return p
}
