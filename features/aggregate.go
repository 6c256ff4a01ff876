package features

import (
	"cmp"
	"iter"
	"maps"
	"math"
	"slices"
	"strconv"
	"time"
	"unique"

	"github.com/sartorhq/sartor/streams"
)

// What a distinct counts beside text fields of items, and what a session is asked for.
const (
	distinctDay    = "day"
	distinctItem   = "item"
	sessionEvents  = "events"
	sessionItems   = "items"
	sessionMinutes = "minutes"
)

// withinSession widens a together from one event to a visit.
const withinSession = "session"

func sessionMeasures() []string { return []string{sessionEvents, sessionItems, sessionMinutes} }

// buckets calls fn with each stored bucket of the counter in the window.
func (st *State) buckets(counter string, w span, fn func(index, n int64)) {
	if st == nil {
		return
	}
	var space [96]byte
	name := append(append(space[:0], counter...), '@', byte(w.unit))
	for i := w.first; i <= w.last; i++ {
		if n, ok := st.Counters[string(strconv.AppendInt(name, i, 10))]; ok {
			fn(i, n)
		}
	}
}

// extremeValue returns the least or greatest measure of one event.
func (v *view) extremeValue(f *field) (any, bool) {
	var best int64
	found := false
	take := func(_, n int64) {
		if !found || f.Kind == kindMin && n < best || f.Kind == kindMax && n > best {
			best, found = n, true
		}
	}
	for _, t := range f.Events {
		name := f.counter(f.Measure, t)
		if f.Window > 0 {
			v.st.buckets(name, spanOf(f.Window, v.now), take)
		} else if v.st != nil {
			if n, ok := v.st.Counters[name]; ok {
				take(0, n)
			}
		}
	}
	if !found {
		return nil, false
	}
	switch f.Measure {
	case measureAmount:
		return major(best, streams.Exponent(v.schema.currency)), true
	case measureRating:
		return float64(best) / ratingScale, true
	}
	return int(best), true
}

// distinctValue counts days from buckets, and items or their fields from the history and from what was
// shown, as far back as they reach.
func (v *view) distinctValue(f *field) (any, bool) {
	if f.Of == distinctDay {
		w := spanOf(f.Window, v.now)
		var days [int(maxDaily/day) + 3]bool
		count := 0
		for _, t := range f.Events {
			v.st.buckets(f.counter(measureCount, t), w, func(i, n int64) {
				if n > 0 && !days[i-w.first] {
					days[i-w.first] = true
					count++
				}
			})
		}
		return count, v.stored()
	}
	if v.st == nil {
		return nil, false
	}
	seen := map[string]bool{}
	for _, list := range [][]Entry{v.st.Lists[historyList], v.st.Lists[shownList]} {
		for name := range v.names(f, list) {
			seen[name] = true
		}
	}
	return len(seen), v.stored() && (f.Of == distinctItem || v.items != nil)
}

// tallyValue counts the entries of the history by a text field of their items: user x category, user x
// brand. The most frequent values are kept.
func (v *view) tallyValue(f *field) (any, bool) {
	if v.st == nil || v.items == nil && f.Of != distinctItem {
		return nil, false
	}
	counts := map[string]int{}
	for name := range v.names(f, v.st.Lists[historyList]) {
		counts[name]++
	}
	names := slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	})
	out := make(map[string]string, min(len(names), f.Max))
	for _, name := range names[:min(len(names), f.Max)] {
		out[name] = strconv.Itoa(counts[name])
	}
	return out, len(out) > 0
}

// names are what the field counts of the entries that are within its window: items, or a text field of them.
func (v *view) names(f *field, entries []Entry) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, e := range entries {
			if !slices.Contains(f.Events, e.Type) || f.Window > 0 && e.Time < v.now.Add(-f.Window).UnixMilli() {
				continue
			}
			name := e.ItemID
			if f.Of != distinctItem {
				name = v.itemText(e.ItemID, f)
			}
			if name != "" && !yield(name) {
				return
			}
		}
	}
}

// itemText returns a text field of an item, "" when it is not known.
func (v *view) itemText(id string, f *field) string {
	if v.items == nil {
		return ""
	}
	if h := v.textOf(v.items(id), f); h != (unique.Handle[string]{}) {
		return h.Value()
	}
	return ""
}

// textOf returns the field of an item that a field of users is made of; the zero Handle for none.
func (v *view) textOf(it *Item, f *field) unique.Handle[string] {
	switch {
	case it == nil:
		return unique.Handle[string]{}
	case it.schema == v.schema && f.join < maxJoined:
		return it.joined[f.join]
	}
	s, _ := it.Env[f.Of].(string)
	return handleOf(s)
}

// maxJoined is how many joined texts an item holds; others are read from its fields.
const maxJoined = 4

// handleOf is a handle of a text: the zero one for the empty text.
func handleOf(text string) unique.Handle[string] {
	if text == "" {
		return unique.Handle[string]{}
	}
	return unique.Make(text)
}

// rateValue returns events per other events, drawn to the prior.
func (v *view) rateValue(f *field) (any, bool) {
	per := float64(v.st.filtered(measureCount, f.Minus, nil, f.suffix, f.Window, v.now))
	if !(per > 0) {
		return nil, false
	}
	of := float64(v.st.filtered(measureCount, f.Events, nil, f.suffix, f.Window, v.now))
	return (of + f.Prior*f.Weight) / (per + f.Weight), true
}

// decayValue adds buckets up, each weighed by the age of its middle.
func (v *view) decayValue(f *field) (any, bool) {
	w := spanOf(f.Window, v.now)
	width := time.Hour
	if w.unit == daily {
		width = day
	}
	var sum float64
	for _, t := range f.Events {
		v.st.buckets(f.counter(f.Measure, t), w, func(i, n int64) {
			middle := time.UnixMilli(i * int64(width/time.Millisecond)).Add(width / 2)
			age := max(0, v.now.Sub(middle))
			sum += float64(n) * math.Exp2(-float64(age)/float64(f.HalfLife))
		})
	}
	if f.Type == Money {
		sum /= math.Pow10(streams.Exponent(v.schema.currency))
	}
	return sum, v.stored()
}

// sessionValue measures the visit under way: the newest events of the history without a gap, the
// newest no older than one. Outside a visit it is 0.
func (v *view) sessionValue(f *field) (any, bool) {
	if v.st == nil {
		return nil, false
	}
	gap, previous := f.Window.Milliseconds(), v.now.UnixMilli()
	ahead := previous + skew.Milliseconds()
	var newest, oldest int64
	var last Entry
	var items []string
	n := 0
	for _, e := range v.st.Lists[historyList] {
		if e.Time > ahead {
			continue
		}
		if previous-e.Time > gap {
			break
		}
		previous = e.Time
		if len(f.Events) > 0 && !slices.Contains(f.Events, e.Type) {
			continue
		}
		if n == 0 {
			newest = e.Time
		}
		oldest = e.Time
		if n == 0 || e.Time != last.Time || e.Type != last.Type { // the lines of one order are one event
			n++
		}
		if f.Of == sessionItems && !slices.Contains(items, e.ItemID) {
			items = append(items, e.ItemID)
		}
		last = e
	}
	switch f.Of {
	case sessionItems:
		return len(items), v.stored()
	case sessionMinutes:
		return float64(newest-oldest) / 60_000, v.stored()
	}
	return n, v.stored()
}

// togetherValue returns the items that most often came in one event or visit with this one, as far back as the
// stored pairs reach; newer pairs weigh more when there is a half-life.
func (v *view) togetherValue(f *field) (any, bool) {
	if v.st == nil {
		return nil, false
	}
	entries := v.st.Lists[itemListPrefix+f.Name]
	scores := map[string]float64{}
	for _, e := range entries {
		weight := 1.0
		if f.HalfLife > 0 {
			weight = math.Exp2(-float64(entries[0].Time-e.Time) / float64(f.HalfLife/time.Millisecond))
		}
		scores[e.ItemID] += weight
	}
	names := slices.SortedFunc(maps.Keys(scores), func(a, b string) int {
		return cmp.Or(cmp.Compare(scores[b], scores[a]), cmp.Compare(a, b))
	})
	names = names[:min(len(names), f.Max)]
	return names, len(names) > 0
}
