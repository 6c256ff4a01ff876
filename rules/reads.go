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

// UserFields names the user fields that the rules of the set read, sorted: a User with no other fields gives
// Plan and Apply the same answers. "id" is never among them, since every User has it.
func (s *Set) UserFields() []string {
	out := s.layout.userFields()
	for _, r := range s.rules {
		for i := range r.actions {
			for _, f := range r.actions[i].fetches {
				if f.Match != nil {
					out = append(out, f.Match.UserFields()...)
				}
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// UserFields names the user fields that the condition reads, sorted, without "id".
func (c *Condition) UserFields() []string { return c.user }

func (l *layout) itemFields() []string { return fieldsOf(l.item, "item.") }

func (l *layout) userFields() []string {
	return slices.DeleteFunc(fieldsOf(l.req, "user."), func(name string) bool { return name == "id" })
}

// fieldsOf names the fields of a root that variables read, sorted.
func fieldsOf(vars []variable, root string) []string {
	var out []string
	for i := range vars {
		name := strings.TrimPrefix(vars[i].name, "has ")
		if field, ok := strings.CutPrefix(name, root); ok {
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

// StaticFields names the item fields that the rules of StaticRules read, sorted: an Item with no other fields gives
// StaticExcludes the same answer.
func (s *Set) StaticFields(scenario string) []string {
	var out []string
	for _, r := range s.static {
		if !r.scope.holds(scenario, "") || r.match == nil {
			continue
		}
		for _, n := range r.match.reads {
			out = append(out, fieldsOf([]variable{{name: n.name}}, "item.")...)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
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
