package features

import (
	"cmp"
	"math"
	"slices"
	"time"
	"unique"

	"github.com/sartorhq/sartor/streams"
)

// listValue returns the items of a stored list, or of a list without those that other events took
// out of it again.
func (v *view) listValue(f *field) (any, bool) {
	if v.st == nil {
		return nil, false
	}
	name := cmp.Or(f.From, f.Name)
	var gone map[string]int64
	if len(f.Minus) > 0 {
		gone = map[string]int64{}
		for _, e := range v.st.Lists[historyList] {
			if slices.Contains(f.Minus, e.Type) {
				gone[e.ItemID] = max(gone[e.ItemID], e.Time)
			}
		}
	}
	out := make([]string, 0, min(len(v.st.Lists[name]), f.Max))
	for _, e := range v.st.Lists[name] {
		if t, ok := gone[e.ItemID]; (!ok || t < e.Time) && len(out) < f.Max {
			out = append(out, e.ItemID)
		}
	}
	return out, len(out) > 0
}

// topValue returns the strongest values of an item field over what the user did. It is computed
// here, from history and catalogue, and not stored: so it does not matter whether an item's
// document came before or after the event, and a corrected category corrects the past.
func (v *view) topValue(f *field) (any, bool) {
	if v.st == nil || v.items == nil {
		return nil, false
	}
	deeds := v.deedsOnItems()
	var space [32]scored
	scores, halfLife := space[:0], float64(f.Window/time.Millisecond)
	newest, kind, weight := int64(math.MinInt64), streams.Type(""), 0.0
	for i := range deeds {
		d := &deeds[i]
		if i == 0 || d.Type != kind {
			kind, weight = d.Type, f.Weights[d.Type]
		}
		if weight <= 0 {
			continue
		}
		if newest == math.MinInt64 {
			newest = d.Time // newest first
		}
		if name := v.textOf(d.item, f); name != (unique.Handle[string]{}) {
			n := 0
			for n < len(scores) && scores[n].name != name {
				n++
			}
			if n == len(scores) {
				scores = append(scores, scored{name: name})
			}
			scores[n].score += weight * math.Exp2(-float64(newest-d.Time)/halfLife)
		}
	}
	slices.SortFunc(scores, func(a, b scored) int {
		switch {
		case a.score > b.score:
			return -1
		case a.score < b.score:
			return 1
		}
		return cmp.Compare(a.name.Value(), b.name.Value())
	})
	names := make([]string, min(len(scores), f.Max))
	for i := range names {
		names[i] = scores[i].name.Value()
	}
	return names, len(names) > 0
}

// scored is a text with what speaks for it.
type scored struct {
	name  unique.Handle[string]
	score float64
}

// itemDeed is something that the user did with an item.
type itemDeed struct {
	*Entry       // of the state
	item   *Item // nil when the catalogue does not have it
}

// deedsOnItems returns all that the lists of what the user did say of items, each once, in the order of
// lists: sums of floats depend on the order. Several fields ask, so it is put together once.
func (v *view) deedsOnItems() []itemDeed {
	if v.deeds != nil {
		return v.deeds
	}
	history := v.st.Lists[historyList]
	deeds := make([]itemDeed, 0, len(history)+16)
	for i := range history {
		if history[i].ItemID != "" {
			deeds = append(deeds, itemDeed{Entry: &history[i]})
		}
	}
	known := len(deeds)
	for _, l := range v.schema.lists[1:] { // reach further back than the history
		if len(l.Events) != 1 || l.Events[0] == streams.Exposure {
			continue
		}
		at, list := 0, v.st.Lists[l.Name]
		for i := range list { // in the order of the history, where most of them are too
			e := &list[i]
			for at < known && CompareEntries(*deeds[at].Entry, *e) < 0 {
				at++
			}
			if e.ItemID != "" && (at == known || *deeds[at].Entry != *e) {
				deeds = append(deeds, itemDeed{Entry: e})
			}
		}
	}
	order := func(a, b itemDeed) int { return CompareEntries(*a.Entry, *b.Entry) }
	if len(deeds) > known || !slices.IsSortedFunc(deeds, order) {
		slices.SortFunc(deeds, order)
	}
	deeds = slices.CompactFunc(deeds, func(a, b itemDeed) bool { return *a.Entry == *b.Entry })
	for i := range deeds {
		deeds[i].item = v.items(deeds[i].ItemID)
	}
	v.deeds = deeds
	return v.deeds
}
