package features

import (
	"maps"
	"slices"
	"time"

	"github.com/sartorhq/sartor/streams"
)

// view computes the values of one entity's fields at one moment.
type view struct {
	schema *Schema
	fields []*field
	st     *State // nil: nothing stored
	doc    map[string]any
	items  ItemLookup
	now    time.Time
	env    map[string]any
	known  map[string]bool
	deeds  []itemDeed // of deedsOnItems, nil before its first call
}

// User returns what is known about the user at the moment now. st is the stored state, nil for a
// user of whom nothing is stored; items joins the catalogue for favourite categories and brands
// and may be nil. Neither is kept or changed.
func (s *Schema) User(id string, st *State, items ItemLookup, now time.Time) *User {
	v := s.view(s.user, id, st, items, now)
	u := &User{ID: id, Seen: v.stored(), Env: v.env, Known: v.known, Now: now}
	if st != nil {
		u.History = slices.Clone(st.Lists[historyList])
		u.Shown = slices.Clone(s.shownTo(st, now))
	}
	return u
}

// shownTo returns what the user was shown within the list's window, as a part of the state.
func (s *Schema) shownTo(st *State, now time.Time) []Entry {
	all := st.Lists[shownList]
	since := now.Add(-s.shown.Window).UnixMilli()
	n := slices.IndexFunc(all, func(e Entry) bool { return e.Time < since }) // newest first
	if n < 0 {
		n = len(all)
	}
	return all[:n]
}

// Item returns what is known about the item at the moment now. st is the stored state, nil for an
// item of which nothing is stored. An item that is known by its sales only is an item like others.
func (s *Schema) Item(id string, st *State, now time.Time) *Item {
	v := s.view(s.item, id, st, nil, now)
	it := &Item{ID: id, Env: v.env, Known: v.known, SalesByCountry: map[string]int64{}, schema: s}
	for i, name := range s.joined[:min(len(s.joined), maxJoined)] {
		text, _ := v.env[name].(string)
		it.joined[i] = handleOf(text)
	}
	if st == nil {
		return it
	}
	st.totals(it, now)
	return it
}

// salesByCountry adds up the last days by country; countries with nothing left are omitted.
func (st *State) salesByCountry(now time.Time) map[string]int64 {
	w := spanOf(countryDays*day, now)
	out := map[string]int64{}
	for name, n := range st.Counters {
		if u, index, rest, ok := parseBucket(name); ok && u == country && index >= w.first && index <= w.last && len(rest) > 1 {
			out[rest[1:]] += n
		}
	}
	maps.DeleteFunc(out, func(_ string, n int64) bool { return n <= 0 })
	return out
}

func (s *Schema) view(fields []*field, id string, st *State, items ItemLookup, now time.Time) *view {
	v := &view{
		schema: s, fields: fields, st: st, items: items, now: now,
		env: make(map[string]any, len(fields)+1), known: make(map[string]bool, len(fields)+1),
	}
	v.env["id"], v.known["id"] = id, true
	if st != nil {
		v.doc = decodeDocument(st.Doc)
	}
	for _, f := range fields {
		if !derived(f.Kind) {
			v.set(f, v.value)
		}
	}
	for _, f := range fields { // these read the values above
		if derived(f.Kind) {
			v.set(f, v.derivedValue)
		}
	}
	return v
}

// compute sets some fields, those that are made of others last.
func (v *view) compute(plain, derived []*field) {
	for _, f := range plain {
		v.set(f, v.value)
	}
	for _, f := range derived {
		v.set(f, v.derivedValue)
	}
}

// stored tells whether anything but a tombstone is stored.
func (v *view) stored() bool {
	return v.st != nil && (len(v.st.Counters) > 0 || v.st.Doc != "" || len(v.st.Lists) > 0)
}

func (v *view) set(f *field, compute func(*field) (any, bool)) {
	value, ok := compute(f)
	if !ok {
		value = f.Default
	}
	v.env[f.Name] = value
	if ok {
		v.known[f.Name] = true
	}
}

// value returns a field that follows from document, counters or lists; ok is false when unknown.
func (v *view) value(f *field) (value any, ok bool) {
	switch f.Kind {
	case kindAttribute:
		return f.documentValue(v.doc, v.fields, v.documentExponent())
	case kindCount:
		return int(v.st.filtered(measureCount, f.Events, nil, f.suffix, f.Window, v.now)), v.stored()
	case kindSum:
		n := v.st.filtered(f.Measure, f.Events, f.Minus, f.suffix, f.Window, v.now)
		if f.Type == Money {
			return major(n, streams.Exponent(v.schema.currency)), v.stored()
		}
		return int(n), v.stored()
	case kindAvg:
		if n := v.st.filtered(measureCount, f.Events, nil, f.suffix, f.Window, v.now); n > 0 {
			return float64(v.st.filtered(measureRating, f.Events, nil, f.suffix, f.Window, v.now)) / ratingScale / float64(n), true
		}
		return v.fallback(f)
	case kindFirst, kindLast:
		return v.momentValue(f)
	case kindList:
		return v.listValue(f)
	case kindTop:
		return v.topValue(f)
	case kindTrend:
		return v.trendValue(f)
	case kindMin, kindMax:
		return v.extremeValue(f)
	case kindDistinct:
		return v.distinctValue(f)
	case kindRate:
		return v.rateValue(f)
	case kindDecay:
		return v.decayValue(f)
	case kindSession:
		return v.sessionValue(f)
	case kindTogether:
		return v.togetherValue(f)
	case kindTally:
		return v.tallyValue(f)
	}
	return nil, false
}

// derivedValue returns a field that is made of other fields.
func (v *view) derivedValue(f *field) (value any, ok bool) {
	switch f.Kind {
	case kindRatio:
		by := v.float(f.By)
		if !(by > 0) {
			return nil, false
		}
		return (v.float(f.Of) + f.Prior*f.Weight) / (by + f.Weight), true
	case kindAgeBelow:
		t, isTime := v.env[f.Of].(time.Time)
		if !isTime || !v.known[f.Of] {
			return nil, false
		}
		return v.now.Sub(t) < f.Window, true
	case kindAge:
		t, isTime := v.env[f.Of].(time.Time)
		if !isTime || !v.known[f.Of] {
			return nil, false
		}
		return max(0, float64(v.now.Sub(t))/float64(f.Window)), true
	case kindMargin:
		price := v.float(f.Of)
		if !v.known[f.Of] || !v.known[f.By] || price <= 0 {
			return nil, false
		}
		return (price - v.float(f.By)) / price, true
	}
	return nil, false
}

func (v *view) float(name string) float64 {
	switch x := v.env[name].(type) {
	case int:
		return float64(x)
	case float64:
		return x
	}
	return 0
}

// documentExponent is that of the document's own currency, else of the schema's.
func (v *view) documentExponent() int {
	if c, ok := v.doc["currency"].(string); ok && c != "" {
		return streams.Exponent(c)
	}
	return streams.Exponent(v.schema.currency)
}

// fallback returns the document's value of an aggregate that no event has fed yet.
func (v *view) fallback(f *field) (any, bool) {
	if f.Attribute == "" {
		return nil, false
	}
	return f.documentValue(v.doc, v.fields, v.documentExponent())
}

// momentValue returns the earliest or latest time over the events and, for the first, the document.
func (v *view) momentValue(f *field) (any, bool) {
	var best time.Time
	take := func(t time.Time) {
		if best.IsZero() || f.Kind == kindFirst && t.Before(best) || f.Kind == kindLast && t.After(best) {
			best = t
		}
	}
	types := f.Events
	if len(types) == 0 {
		types = []streams.Type{""} // one counter for all types
	}
	for _, t := range types {
		if v.st == nil {
			break
		}
		if ms, ok := v.st.Counters[f.moment(t)]; ok {
			take(time.UnixMilli(ms).UTC())
		}
	}
	if t, ok := v.fallback(f); ok {
		take(t.(time.Time))
	}
	return best, !best.IsZero()
}

// trendValue returns the recent daily rate over the past one, both smoothed. The spans that the
// buckets really cover count, so that a quiet night does not look like a fall.
func (v *view) trendValue(f *field) (any, bool) {
	rate := func(window time.Duration) float64 {
		n := v.st.measured(f.Measure, f.Events, nil, window, v.now)
		return float64(n) / (float64(spanOf(window, v.now).covered) / float64(day))
	}
	past := rate(f.Past)
	if past <= 0 {
		return nil, false
	}
	return (rate(f.Window) + f.Weight) / (past + f.Weight), true
}
