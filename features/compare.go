package features

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/sartorhq/sartor/streams"
)

// ChangeKind says what became of a field from one schema to the next.
type ChangeKind string

// The kinds of changes.
const (
	Added   ChangeKind = "added"
	Removed ChangeKind = "removed"
	Changed ChangeKind = "changed"
)

// Change is one difference between two schemas.
type Change struct {
	Kind  ChangeKind
	Field string // user.orders_7d, item.price, context.device, or history, currency
	// Rebuild tells whether what is stored cannot give the field its past: without folding the log
	// again it counts from now on only.
	Rebuild bool
	Why     string
}

// Compare returns what a schema changes for a store that was built with another one, in the order of
// the files: first what next has, then what it lost.
func Compare(built, next *Schema) []Change {
	var out []Change
	if built.currency != next.currency {
		out = append(out, Change{Changed, "currency", true, fmt.Sprintf("amounts were summed in %q and are to be in %q", built.currency, next.currency)})
	}
	if why := listGap(built.listByName(historyList), next.listByName(historyList)); why != "" {
		out = append(out, Change{Changed, historyList, true, why})
	} else if !slices.Equal(built.history.Events, next.history.Events) || built.history.Max != next.history.Max {
		out = append(out, Change{Changed, historyList, false, "the stored history holds it"})
	}
	out = append(out, compareShown(built, next)...)
	for _, sec := range []struct {
		kind      EntityKind
		name      string
		old, next []*field
	}{{UserEntity, "user", built.user, next.user}, {ItemEntity, "item", built.item, next.item}, {0, "context", built.context, next.context}} {
		for _, f := range sec.next {
			c := Change{Kind: Added, Field: sec.name + "." + f.Name}
			if old := find(sec.old, f.Name); old != nil {
				if same(old, f) {
					continue
				}
				c.Kind = Changed
			}
			c.Why = "follows from what is stored"
			if gap := built.gap(sec.kind, next, f); gap != "" {
				c.Rebuild, c.Why = true, gap
			}
			out = append(out, c)
		}
		for _, f := range sec.old {
			if find(sec.next, f.Name) == nil {
				out = append(out, Change{Removed, sec.name + "." + f.Name, false, "what it stored goes with a rebuild, or by age"})
			}
		}
	}
	return out
}

// compareShown returns what becomes of the list of what users were shown.
func compareShown(built, next *Schema) []Change {
	switch {
	case built.shown == next.shown:
		return nil
	case next.shown.Max == 0:
		return []Change{{Removed, shownList, false, "what it stored goes with a rebuild, or by age"}}
	}
	c := Change{Changed, shownList, false, "follows from what is stored"}
	if built.shown.Max == 0 {
		c.Kind = Added
	}
	if why := listGap(built.listByName(shownList), next.listByName(shownList)); why != "" {
		c.Rebuild, c.Why = true, why
	}
	return []Change{c}
}

// same tells whether two fields mean the same; what is only said about them does not count.
func same(a, b *field) bool {
	text := func(f *field) string {
		bare := *f
		bare.Doc, bare.Example = "", ""
		data, err := json.Marshal(bare)
		if err != nil {
			return err.Error()
		}
		return string(data)
	}
	return text(a) == text(b)
}

// gap says what the field of the next schema needs and a store built with s lacks; "" when nothing.
func (s *Schema) gap(kind EntityKind, next *Schema, f *field) string {
	plans := s.folds[kind]
	for _, t := range countedTypes() {
		var need foldPlan
		need.add(f, t)
		have := plans[t]
		for _, c := range need.counters {
			i := slices.IndexFunc(have.counters, func(h counterPlan) bool { return h.name == c.name })
			var h counterPlan
			if i >= 0 {
				h = have.counters[i]
			}
			if c.total && !h.total || c.hourly && !h.hourly || c.daily && !h.daily {
				return fmt.Sprintf("%s of %s events is not stored so far", c.measure, t)
			}
		}
		for _, m := range slices.Concat(need.first, need.last) {
			if !slices.ContainsFunc(slices.Concat(have.first, have.last), func(h momentPlan) bool { return h.name == m.name }) {
				return fmt.Sprintf("the time of %s events is not stored so far", t)
			}
		}
	}
	if f.windowed() {
		for _, w := range []time.Duration{f.Window, f.Past} {
			if w > 0 && w <= maxHourly && int64(w/time.Hour) >= s.keep.Hours || w > maxHourly && int64(w/day) >= s.keep.Days {
				return fmt.Sprintf("buckets older than %d hours and %d days have been dropped", s.keep.Hours-1, s.keep.Days-1)
			}
		}
	}
	if l := next.listByName(f.Name); f.Kind == kindList && l != nil && len(f.Events) > 0 {
		if old := find(s.user, f.Name); old != nil && old.Where.suffix() != f.Where.suffix() {
			return "the list was made with another filter"
		}
		return listGap(s.listByName(f.Name), l)
	}
	if name := itemListPrefix + f.Name; f.Kind == kindTogether {
		if old := find(s.item, f.Name); old != nil && (old.Within != f.Within || old.Window != f.Window) {
			return "the list was made of other visits or events"
		}
		if old := find(s.item, f.Name); old != nil && old.Where.suffix() != f.Where.suffix() {
			return "the list was made with another filter"
		}
		return listGap(s.listByName(name), next.listByName(name))
	}
	return ""
}

// listGap says what a stored list lacks; "" when nothing.
func listGap(have, want *List) string {
	if have == nil {
		return "the list is not stored so far"
	}
	for _, t := range want.Events {
		if !slices.Contains(have.Events, t) {
			return fmt.Sprintf("the list does not hold %s events so far", t)
		}
	}
	if slices.ContainsFunc(have.Events, func(t streams.Type) bool { return !slices.Contains(want.Events, t) }) {
		return "the list holds events that do not belong in it any more"
	}
	if want.Max > have.Max {
		return fmt.Sprintf("the list has been cut to %d entries", have.Max)
	}
	return ""
}

// windowed tells whether the field's windows are sums of buckets.
func (f *field) windowed() bool {
	switch f.Kind {
	case kindAgeBelow, kindTop, kindAge, kindSession, kindTogether, kindTally:
		return false
	case kindDistinct:
		return f.Of == distinctDay
	}
	return true
}
