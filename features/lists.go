package features

import (
	"cmp"
	"math"
	"slices"
	"time"

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
	newest := int64(math.MinInt64)
	deeds := v.deedsOnItems()
	for i := range deeds {
		if f.Weights[deeds[i].Type] > 0 {
			newest = deeds[i].Time // newest first
			break
		}
	}
	var space [32]scored
	scores, halfLife := space[:0], float64(f.Window/time.Millisecond)
	for i := range deeds {
		d := &deeds[i]
		weight := f.Weights[d.Type]
		if weight <= 0 || d.item == nil {
			continue
		}
		if name, ok := d.item.Env[f.Of].(string); ok && name != "" {
			n := slices.IndexFunc(scores, func(s scored) bool { return s.name == name })
			if n < 0 {
				n, scores = len(scores), append(scores, scored{name: name})
			}
			scores[n].score += weight * math.Exp2(-float64(newest-d.Time)/halfLife)
		}
	}
	slices.SortFunc(scores, func(a, b scored) int {
		return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(a.name, b.name))
	})
	names := make([]string, min(len(scores), f.Max))
	for i := range names {
		names[i] = scores[i].name
	}
	return names, len(names) > 0
}

// scored is a text with what speaks for it.
type scored struct {
	name  string
	score float64
}

// itemDeed is something that the user did with an item.
type itemDeed struct {
	Entry
	item *Item // nil when the catalogue does not have it
}

// deedsOnItems returns all that the lists of what the user did say of items, each once, in the order of
// lists: sums of floats depend on the order. Several fields ask, so it is put together once.
func (v *view) deedsOnItems() []itemDeed {
	if v.deeds != nil {
		return v.deeds
	}
	history := v.st.Lists[historyList]
	entries := make([]Entry, 0, len(history)+16)
	for _, e := range history {
		if e.ItemID != "" {
			entries = append(entries, e)
		}
	}
	known := len(entries)
	for _, l := range v.schema.lists[1:] { // reach further back than the history
		if len(l.Events) != 1 || l.Events[0] == streams.Exposure {
			continue
		}
		at := 0
		for _, e := range v.st.Lists[l.Name] { // in the order of the history, where most of them are too
			for at < known && CompareEntries(entries[at], e) < 0 {
				at++
			}
			if e.ItemID != "" && (at == known || entries[at] != e) {
				entries = append(entries, e)
			}
		}
	}
	if len(entries) > known || !slices.IsSortedFunc(entries, CompareEntries) {
		slices.SortFunc(entries, CompareEntries)
	}
	entries = slices.Compact(entries)
	v.deeds = make([]itemDeed, len(entries))
	for i, e := range entries {
		v.deeds[i] = itemDeed{e, v.items(e.ItemID)}
	}
	return v.deeds
}
