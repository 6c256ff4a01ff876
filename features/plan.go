package features

import (
	"slices"
	"time"

	"github.com/sartorhq/sartor/streams"
)

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
		if find(s.item, f.Of) == nil || f.Kind != kindTop && f.Kind != kindTally && f.Kind != kindDistinct {
			continue
		}
		if f.join = slices.Index(s.joined, f.Of); f.join < 0 {
			f.join, s.joined = len(s.joined), append(s.joined, f.Of)
		}
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
