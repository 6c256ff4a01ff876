package features

import (
	"fmt"
	"slices"
	"time"

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
	if section == "user" && slices.Contains(slices.Concat(f.Events, f.Minus), streams.Exposure) {
		bad("exposures are counted for items, not for users")
	}
	if section == "item" && (f.Kind == kindList || f.Kind == kindTop) {
		bad("%s is for users: items keep no lists", f.Kind)
		return
	}
	switch f.Kind {
	case kindRatio:
		for _, name := range []string{f.Of, f.By} {
			if g := sibling(name, Int, Number, Money); g != nil && derived(g.Kind) {
				bad("cannot be made of %s, which is derived itself", name)
			}
		}
	case kindAgeBelow:
		sibling(f.Of, Time)
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

// checkList checks the two forms of a list: stored ({events}) and derived ({from, unless}).
func (p *parser) checkList(f *field, siblings []*field, bad func(string, ...any)) {
	stored, filtered := len(f.Events) > 0, f.From != ""
	switch {
	case stored == filtered:
		bad("a list has either events or from with unless")
	case stored && len(f.Minus) > 0:
		bad("unless goes with from")
	case stored && f.Name == historyList:
		bad("the name %q is taken by the list that models read", historyList)
	case filtered:
		if g := find(siblings, f.From); g == nil || g.Kind != kindList || len(g.Events) == 0 {
			bad("from must name a list that is made of events, and %q is none", f.From)
		}
	}
}

// derived tells whether the kind is computed from other fields when a user or item is read.
func derived(k kind) bool {
	return k == kindRatio || k == kindAgeBelow || k == kindMargin
}

// foldPlan is what an event of one type does to one kind of entity.
type foldPlan struct {
	counters []counterPlan
	first    []string // Min counters that take the event's time
	last     []string // Max counters that take the event's time
	lists    []string // stored lists that gain the event's items
}

// counterPlan is one counter family and the buckets it needs.
type counterPlan struct {
	measure              measure
	name                 string
	total, hourly, daily bool
}

// clockCounter holds the time of an entity's newest event; retention follows it.
const clockCounter = "last"

// compile derives from the fields what the fold writes and how long it is kept.
func (s *Schema) compile() {
	s.lists = []List{{Name: historyList, Max: s.history.Max, Events: s.history.Events}}
	for _, f := range s.user {
		if f.Kind == kindList && len(f.Events) > 0 {
			s.lists = append(s.lists, List{Name: f.Name, Max: f.Max, Events: f.Events})
		}
	}
	// UnitsTotal, ViewsTotal and SalesByCountry of Item exist in every schema.
	always := []*field{
		{Kind: kindSum, Measure: measureUnits, Events: []streams.Type{streams.Order}, Minus: []streams.Type{streams.Return}},
		{Kind: kindCount, Measure: measureCount, Events: []streams.Type{streams.View}},
	}
	s.folds = map[EntityKind]map[streams.Type]foldPlan{
		UserEntity: s.plans(s.user, true),
		ItemEntity: s.plans(append(slices.Clone(s.item), always...), false),
	}
	s.keep = retentionOf(slices.Concat(s.user, s.item))
}

func (s *Schema) plans(fields []*field, user bool) map[streams.Type]foldPlan {
	out := map[streams.Type]foldPlan{}
	for _, t := range countedTypes() {
		if user && t == streams.Exposure {
			continue
		}
		plan := foldPlan{last: []string{clockCounter}}
		for _, f := range fields {
			plan.add(f, t)
		}
		if user {
			for _, l := range s.lists {
				if slices.Contains(l.Events, t) {
					plan.lists = append(plan.lists, l.Name)
				}
			}
		}
		out[t] = plan
	}
	return out
}

// add extends the plan of one event type by what the field needs.
func (fp *foldPlan) add(f *field, t streams.Type) {
	takes := slices.Contains(f.Events, t) || slices.Contains(f.Minus, t) && f.Kind != kindList
	switch f.Kind {
	case kindCount, kindSum:
		if takes {
			fp.need(f.Measure, t, f.Window)
		}
	case kindAvg:
		if takes {
			fp.need(measureRating, t, f.Window)
			fp.need(measureCount, t, f.Window)
		}
	case kindTrend:
		if takes {
			fp.need(f.Measure, t, f.Window)
			fp.need(f.Measure, t, f.Past)
		}
	case kindFirst:
		if takes || len(f.Events) == 0 {
			fp.first = appendNew(fp.first, momentName("first", f.Events, t))
		}
	case kindLast:
		if takes || len(f.Events) == 0 {
			fp.last = appendNew(fp.last, momentName("last", f.Events, t))
		}
	}
}

// momentName returns the counter that holds the time of the first or last event: of any type
// ("first"), or of one ("last:order").
func momentName(prefix string, events []streams.Type, t streams.Type) string {
	if len(events) == 0 {
		return prefix
	}
	return prefix + ":" + string(t)
}

func appendNew(in []string, s string) []string {
	if slices.Contains(in, s) {
		return in
	}
	return append(in, s)
}

// need asks for the counter of a measure, in total or over a window.
func (fp *foldPlan) need(m measure, t streams.Type, window time.Duration) {
	i := slices.IndexFunc(fp.counters, func(c counterPlan) bool { return c.measure == m })
	if i < 0 {
		i = len(fp.counters)
		fp.counters = append(fp.counters, counterPlan{measure: m, name: counterName(m, t, "")})
	}
	c := &fp.counters[i]
	switch {
	case window == 0:
		c.total = true
	case window <= maxHourly:
		c.hourly = true
	default:
		c.daily = true
	}
}

// retentionOf returns how many buckets the fields need, one more to be safe at the edge, and for
// hours up to a day more because old buckets are dropped by the day.
func retentionOf(fields []*field) Retention {
	r := Retention{Hours: 1, Days: 1, CountryDays: countryDays + 1}
	for _, f := range fields {
		if !f.windowed() {
			continue
		}
		for _, w := range []time.Duration{f.Window, f.Past} {
			if w > 0 && w <= maxHourly {
				r.Hours = max(r.Hours, int64(w/time.Hour)+1)
			} else if w > 0 {
				r.Days = max(r.Days, int64(w/day)+1)
			}
		}
	}
	return r
}
