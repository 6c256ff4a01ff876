package features

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sartorhq/sartor/streams"
)

// check reports what is wrong between fields of a schema whose fields are right by themselves.
func (p *parser) check(s *Schema) {
	if len(s.history.Events) == 0 {
		p.problems = append(p.problems, Problem{Line: 1, Field: "history.events", Message: "is missing: list the events that models read"})
	}
	if slices.Contains(s.history.Events, streams.Exposure) {
		p.problems = append(p.problems, Problem{Line: 1, Field: "history.events", Message: "exposures are not part of a user's history"})
	}
	for _, f := range s.user {
		p.checkField(f, s, s.user, "user")
	}
	for _, f := range s.item {
		p.checkField(f, s, s.item, "item")
	}
}

func (p *parser) checkField(f *field, s *Schema, siblings []*field, section string) {
	bad := func(format string, args ...any) {
		p.problems = append(p.problems, Problem{Line: p.lines[f], Field: section + "." + f.Name, Message: fmt.Sprintf(format, args...)})
	}
	sibling := func(name string, types ...ValueType) *field {
		g := find(siblings, name)
		switch {
		case g == nil:
			bad("names the field %q, which %s does not have", name, section)
		case !slices.Contains(types, g.Type):
			bad("needs a field of type %s, and %s is %s", orTypes(types), name, g.Type)
			return nil
		}
		return g
	}
	if section == "user" {
		checkExposures(f, s, bad)
	}
	if section == "item" && (f.Kind == kindList || f.Kind == kindTop || f.Kind == kindSession || f.Kind == kindTally) {
		bad("%s is for users: items keep no history", f.Kind)
		return
	}
	if section == "user" && f.Kind == kindTogether {
		bad("together is for items")
	}
	switch f.Kind {
	case kindRatio:
		for _, name := range []string{f.Of, f.By} {
			if g := sibling(name, Int, Number, Money); g != nil && derived(g.Kind) {
				bad("cannot be made of %s, which is derived itself", name)
			}
		}
	case kindAgeBelow, kindAge:
		sibling(f.Of, Time)
	case kindDistinct:
		p.checkDistinct(f, s, section, bad)
	case kindTally:
		p.checkTally(f, s, bad)
	case kindSession:
		if !slices.Contains(sessionMeasures(), f.Of) {
			bad("of must be one of %s, and %q is not", strings.Join(sessionMeasures(), ", "), f.Of)
		}
	case kindTogether:
		p.checkTogether(f, s, bad)
	case kindMargin:
		sibling(f.Of, Money)
		sibling(f.By, Money)
	case kindTop:
		if g := find(s.item, f.Of); g == nil || g.Type != Text {
			bad("of must name a text field of items, and %q is none", f.Of)
		}
	case kindTrend:
		if f.Past <= f.Window {
			bad("past must be longer than recent")
		}
	case kindList:
		p.checkList(f, siblings, bad)
	}
	if f.Kind != kindAttribute && f.Attribute != "" && f.Kind != kindFirst && f.Kind != kindAvg {
		bad("a %s takes no attribute", f.Kind)
	}
}

// checkExposures checks the fields of users that look at exposures: what is read from the history
// cannot, because the history holds what users did.
func checkExposures(f *field, s *Schema, bad func(string, ...any)) {
	of, less := slices.Contains(f.Events, streams.Exposure), slices.Contains(f.Minus, streams.Exposure)
	switch {
	case of && f.Kind == kindSession, less && f.Kind == kindList:
		bad("exposures are not part of a user's history")
	case of && f.Kind == kindDistinct && f.Of != distinctDay && s.shown.Max == 0:
		bad("what was shown is not kept: add shown: {max: 200, window: 14d} to the file")
	}
}

// checkDistinct checks what is counted: days from buckets, items and their fields from the history.
func (p *parser) checkDistinct(f *field, s *Schema, section string, bad func(string, ...any)) {
	if f.Of == distinctDay {
		if f.Window <= maxHourly {
			bad("of: day needs a window of more than 48h")
		}
		return
	}
	g := find(s.item, f.Of)
	switch {
	case section == "item":
		bad("items can only count each day once")
	case f.Of != distinctItem && (g == nil || g.Type != Text):
		bad("of must be day, item or a text field of items, and %q is none", f.Of)
	case len(f.Where) > 0:
		bad("the history does not keep what where looks at; where goes with of: day")
	}
	for _, t := range f.Events {
		if t != streams.Exposure && !slices.Contains(s.history.Events, t) {
			bad("the history does not hold %s events", t)
		}
	}
}

// checkTally checks that what is counted is in the history, and by what.
func (p *parser) checkTally(f *field, s *Schema, bad func(string, ...any)) {
	if g := find(s.item, f.Of); f.Of != distinctItem && (g == nil || g.Type != Text) {
		bad("of must be item or a text field of items, and %q is none", f.Of)
	}
	for _, t := range f.Events {
		if !slices.Contains(s.history.Events, t) {
			bad("the history does not hold %s events", t)
		}
	}
}

// checkTogether checks the two forms of a together: of the items of one event, and of one visit.
func (p *parser) checkTogether(f *field, s *Schema, bad func(string, ...any)) {
	if f.Remember < f.Max {
		bad("remember must not be less than max")
	}
	if (f.Within == withinSession) != (f.Window > 0) {
		bad("within: session and gap go together")
		return
	}
	if f.Within == "" {
		return
	}
	if len(f.Where) > 0 {
		bad("where does not go with within: session")
	}
	if g := s.VisitGap(); g != f.Window {
		bad("the gap of a visit is %s in another field: all must have the same", shortDuration(g))
	}
	for _, t := range f.Events {
		if t.Stream() != streams.Behavior || t == streams.Search {
			bad("a visit is made of what users do with items, and %s is not", t)
		}
	}
}

// checkList checks the two forms of a list: stored ({events}) and derived ({from, unless}).
func (p *parser) checkList(f *field, siblings []*field, bad func(string, ...any)) {
	stored, filtered := len(f.Events) > 0, f.From != ""
	switch {
	case stored == filtered:
		bad("a list has either events or from with unless")
	case stored && len(f.Minus) > 0:
		bad("unless goes with from")
	case stored && (f.Name == historyList || f.Name == shownList):
		bad("the name %q is taken by the predefined list", f.Name)
	case filtered && len(f.Where) > 0:
		bad("where goes with events")
	case filtered:
		if g := find(siblings, f.From); g == nil || g.Kind != kindList || len(g.Events) == 0 {
			bad("from must name a list that is made of events, and %q is none", f.From)
		}
	}
}

// derived tells whether the kind is computed from other fields when a user or item is read.
func derived(k kind) bool {
	return k == kindRatio || k == kindAgeBelow || k == kindMargin || k == kindAge
}
