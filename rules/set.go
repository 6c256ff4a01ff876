package rules

import (
	"slices"
	"sync"

	"github.com/sartorhq/sartor/features"
)

// Schema is what the compiler reads of the feature schema; *features.Schema implements it.
type Schema interface {
	UserFields() []features.Field
	ItemFields() []features.Field
	ContextFields() []features.Field
}

// Set is a compiled, immutable rule set, safe for concurrent use.
type Set struct {
	version string
	names   []string
	rules   []*rule // by priority, file name and position
	layout  *layout
	params  map[string]any
	static  []*rule
	bits    []*program // conditions that Facts evaluates
	nums    []*program // formulas that Facts evaluates
	texts   []int      // places of the item texts whose codes Facts holds
	coded   [maxTexts]codebook
	vectors bool      // a rule compares vectors
	runs    sync.Pool // of *run
	statics sync.Pool // of *filterFrame
}

// Empty is the set without rules: Plan fills with popular items, Apply sorts by base score.
func Empty() *Set { return &Set{layout: newLayout(), version: version(nil, nil)} }

// Version is the sha256, in hexadecimal, of the canonical content of all files and their
// parameters. Two sets with one version give the same answers.
func (s *Set) Version() string { return s.version }

// Names lists the names of the files in the set, sorted.
func (s *Set) Names() []string { return slices.Clone(s.names) }

// Vectors tells whether a rule looks at vectors, so that candidates and Env should carry them.
func (s *Set) Vectors() bool { return s.vectors }

// RuleIDs lists the ids of all enabled rules in the order in which they are considered.
func (s *Set) RuleIDs() []string {
	ids := make([]string, len(s.rules))
	for i, r := range s.rules {
		ids[i] = r.id
	}
	return ids
}

// findStatic picks the excludes that depend on nothing but the item. A rule with `stop` of higher
// rank could protect an item from an exclude that is no guard, so those behind one do not count.
func (s *Set) findStatic() {
	stopped := false
	for _, r := range s.rules {
		filters, excludes := false, false
		for _, a := range r.actions {
			filters = filters || a.stage == stageFilter
			excludes = excludes || a.name == "exclude"
		}
		itemOnly := r.match != nil && r.match.deps == depItem || r.match == nil
		if excludes && itemOnly && r.always() && r.group == "" && len(r.scope.Placements) == 0 && (r.hard || !stopped) {
			s.static = append(s.static, r)
		}
		stopped = stopped || filters && r.stop
	}
}

// StaticExcludes tells whether a rule of the scenario removes the item from every request: an
// exclude that looks at nothing but the item, with no schedule, rollout, group or placement.
// Callers evaluate it once per catalogue change; Apply removes such items all the same.
func (s *Set) StaticExcludes(scenario string, it *features.Item) (ruleID string, excluded bool) {
	if len(s.static) == 0 {
		return "", false
	}
	f := s.itemFrame(it)
	defer s.statics.Put(f)
	for _, r := range s.static {
		if !r.scope.holds(scenario, "") {
			continue
		}
		if r.match == nil {
			return r.id, true
		}
		if ok, err := r.match.test(f.frame); ok || err != nil && r.hard {
			return r.id, true
		}
	}
	return "", false
}

// holds tells whether a request is in scope; an empty list means all.
func (s *Scope) holds(scenario, placement string) bool {
	return (len(s.Scenarios) == 0 || slices.Contains(s.Scenarios, scenario)) &&
		(len(s.Placements) == 0 || slices.Contains(s.Placements, placement))
}
