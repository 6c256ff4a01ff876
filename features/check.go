package features

import (
	"fmt"
	"slices"
	"strings"
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

// itemListPrefix keeps the stored lists of items and users apart.
const itemListPrefix = "i."

// code is the operation that the field's counters are made of.
func (f *field) code() OpCode {
	switch f.Kind {
	case kindMin:
		return Min
	case kindMax:
		return Max
	}
	return Add
}

// counter returns the name of the field's all-time counter of a measure and event type: "a:order",
// "a:order?1f0c2b7d9a" with a filter, "xa:order" for a maximum, "ma:order" for a minimum.
func (f *field) counter(m measure, t streams.Type) string {
	prefix := ""
	switch f.code() {
	case Min:
		prefix = "m"
	case Max:
		prefix = "x"
	}
	return prefix + m.letter() + ":" + string(t) + f.suffix
}

// foldPlan is what an event of one type does to one kind of entity.
type foldPlan struct {
	counters []counterPlan
	first    []momentPlan // Min counters that take the event's time
	last     []momentPlan // Max counters that take the event's time
	lists    []listPlan   // stored lists of a user that gain the event's items
	together []listPlan   // stored lists of an item that gain the event's other items
	visit    []visitPlan  // stored lists of items that gain each other within a visit
}

// counterPlan is one counter family and the buckets it needs.
type counterPlan struct {
	measure              measure
	code                 OpCode // Add, Min or Max
	where                filter
	name                 string
	total, hourly, daily bool
}

// momentPlan is a counter that takes the event's time, listPlan a list that takes its items.
type (
	momentPlan struct {
		name  string
		where filter
	}
	listPlan struct {
		name  string
		where filter
		log   bool
	}
	visitPlan struct {
		name   string
		events []streams.Type
	}
)

// clockCounter holds the time of an entity's newest event; retention follows it. seenCounter holds the
// time of a user's newest deed: being shown something, perhaps in a mail, is none.
const (
	clockCounter = "last"
	seenCounter  = "seen"
)

// compile derives from the fields what the fold writes and how long it is kept.
func (s *Schema) compile() {
	for _, f := range slices.Concat(s.user, s.item) {
		f.suffix = f.Where.suffix()
	}
	for _, f := range s.user {
		f.user = true
	}
	s.lists = []List{{Name: historyList, Max: s.history.Max, Events: s.history.Events, log: true}}
	for _, f := range s.user {
		if f.Kind == kindList && len(f.Events) > 0 {
			s.lists = append(s.lists, List{Name: f.Name, Max: f.Max, Events: f.Events})
		}
	}
	if s.shown.Max > 0 {
		s.lists = append(s.lists, List{Name: shownList, Max: s.shown.Max, Events: []streams.Type{streams.Exposure}, log: true})
	}
	for _, f := range s.item {
		if f.Kind == kindTogether {
			s.itemList = append(s.itemList, List{Name: itemListPrefix + f.Name, Max: f.Remember, Events: f.Events, log: true})
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
		if user && t == streams.Exposure && !s.exposed() {
			continue
		}
		plan := foldPlan{last: []momentPlan{{name: clockCounter}}}
		if user && slices.Contains(s.history.Events, t) {
			plan.lists = append(plan.lists, listPlan{name: historyList, log: true})
		}
		if user && t == streams.Exposure && s.shown.Max > 0 {
			plan.lists = append(plan.lists, listPlan{name: shownList, log: true})
		}
		for _, f := range fields {
			plan.add(f, t)
		}
		out[t] = plan
	}
	return out
}

// exposed tells whether anything about users follows from what they were shown.
func (s *Schema) exposed() bool {
	return s.shown.Max > 0 || slices.ContainsFunc(s.user, func(f *field) bool {
		return slices.Contains(f.Events, streams.Exposure) || slices.Contains(f.Minus, streams.Exposure)
	})
}

// add extends the plan of one event type by what the field needs.
func (fp *foldPlan) add(f *field, t streams.Type) {
	takes := slices.Contains(f.Events, t) || slices.Contains(f.Minus, t) && f.Kind != kindList
	every := len(f.Events) == 0 && !(f.user && t == streams.Exposure)
	switch {
	case f.Kind == kindFirst && (takes || every):
		fp.first = appendNew(fp.first, momentPlan{f.moment(t), f.Where})
	case f.Kind == kindLast && (takes || every):
		fp.last = appendNew(fp.last, momentPlan{f.moment(t), f.Where})
	case !takes:
	case f.Kind == kindCount || f.Kind == kindSum || f.Kind == kindRate || f.Kind == kindDecay:
		fp.need(f, f.Measure, t, f.Window)
	case f.Kind == kindMin || f.Kind == kindMax:
		fp.need(f, f.Measure, t, f.Window)
	case f.Kind == kindDistinct && f.Of == distinctDay:
		fp.need(f, measureCount, t, f.Window)
	case f.Kind == kindAvg:
		fp.need(f, measureRating, t, f.Window)
		fp.need(f, measureCount, t, f.Window)
	case f.Kind == kindTrend:
		fp.need(f, f.Measure, t, f.Window)
		fp.need(f, f.Measure, t, f.Past)
	case f.Kind == kindList:
		fp.lists = append(fp.lists, listPlan{name: f.Name, where: f.Where})
	case f.Kind == kindTogether && f.Within == withinSession:
		fp.visit = append(fp.visit, visitPlan{itemListPrefix + f.Name, f.Events})
	case f.Kind == kindTogether:
		fp.together = append(fp.together, listPlan{name: itemListPrefix + f.Name, where: f.Where, log: true})
	}
}

// moment returns the counter that holds the time of the field's first or last event: of any type
// ("first", "last" of items, "seen" of users), or of one ("last:order").
func (f *field) moment(t streams.Type) string {
	name := string(f.Kind)
	switch {
	case len(f.Events) > 0:
		name += ":" + string(t)
	case f.Kind == kindLast && f.user:
		name = seenCounter
	}
	return name + f.suffix
}

func appendNew(in []momentPlan, m momentPlan) []momentPlan {
	if slices.ContainsFunc(in, func(have momentPlan) bool { return have.name == m.name }) {
		return in
	}
	return append(in, m)
}

// need asks for the counter of a measure for the field, in total or over a window.
func (fp *foldPlan) need(f *field, m measure, t streams.Type, window time.Duration) {
	name := f.counter(m, t)
	i := slices.IndexFunc(fp.counters, func(c counterPlan) bool { return c.name == name })
	if i < 0 {
		i = len(fp.counters)
		fp.counters = append(fp.counters, counterPlan{measure: m, code: f.code(), where: f.Where, name: name})
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
