package rules

import (
	"slices"
	"strings"
)

// ItemFields names the item fields that the rules of the set read, sorted: an Item with no other fields
// gives Facts, StaticExcludes and every Seek the same answers.
func (s *Set) ItemFields() []string { return s.layout.itemFields() }

// ItemFields names the item fields that the condition reads, sorted.
func (c *Condition) ItemFields() []string { return c.fields }

// ItemFields names the item fields that the seek's set reads, sorted.
func (k *Seek) ItemFields() []string { return k.set.ItemFields() }

func (l *layout) itemFields() []string {
	var out []string
	for i := range l.item {
		name := strings.TrimPrefix(l.item[i].name, "has ")
		if field, ok := strings.CutPrefix(name, "item."); ok {
			out = append(out, field)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// StaticRules names the rules that StaticExcludes asks for the scenario: two scenarios with the same
// exclude the same items.
func (s *Set) StaticRules(scenario string) []string {
	var ids []string
	for _, r := range s.static {
		if r.scope.holds(scenario, "") {
			ids = append(ids, r.id)
		}
	}
	return ids
}

// Scenarios names the scenarios that some rule is limited to, sorted.
func (s *Set) Scenarios() []string {
	var names []string
	for _, r := range s.rules {
		names = append(names, r.scope.Scenarios...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}
