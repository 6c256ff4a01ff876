package rules

import (
	"sort"

	"github.com/sartorhq/sartor/features"
)

// Schema is what the compiler reads of the feature schema; *features.Schema implements it.
type Schema interface {
	UserFields() []features.Field
	ItemFields() []features.Field
	ContextFields() []features.Field
}

// Options tune one compilation.
type Options struct {
	// Params overrides parameter values: set name, then parameter name. Values are bool, string,
	// float64, int or time.Duration, and obey the parameter's type and bounds.
	Params map[string]map[string]any
}

// Set is a compiled, immutable rule set, safe for concurrent use.
type Set struct{ version string }

// Empty is the set without rules.
func Empty() *Set { return &Set{version: "empty"} }

// Compile turns files into one set. Problems hold every error and warning of all files, sorted by
// path and position; the set is nil if one of them is an error.
func Compile(files []File, schema Schema, opts Options) (*Set, []Problem) { return Empty(), nil }

// Version is the sha256 of the canonical content of all files and their parameters.
func (s *Set) Version() string { return s.version }

// Names lists the names of the files in the set, sorted.
func (s *Set) Names() []string { return nil }

// RuleIDs lists the ids of all rules in the order in which they are considered.
func (s *Set) RuleIDs() []string { return nil }

// StaticExcludes tells whether a rule of the scenario removes the item from every request: an
// exclude that looks at nothing but the item. Callers evaluate it once per catalogue change.
func (s *Set) StaticExcludes(scenario string, it *features.Item) (ruleID string, excluded bool) {
	return "", false
}

// Plan runs the stages before retrieval: route and inject.
func (s *Set) Plan(env *Env) *Plan {
	return &Plan{Fill: []Fetch{{Source: SourcePopular, Count: env.Request.Count}}}
}

// Apply filters, scores, arranges and annotates the candidates and returns at most count of them.
func (s *Set) Apply(env *Env, plan *Plan, in []Candidate, count int, explain bool) Result {
	sorted := append([]Candidate(nil), in...)
	sort.SliceStable(sorted, func(i, j int) bool { return sorted[i].Base > sorted[j].Base })
	var r Result
	for i, c := range sorted {
		if i == count {
			break
		}
		r.Items = append(r.Items, Ranked{Candidate: c, Score: c.Base, Position: i + 1})
	}
	return r
}
