package features

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Difference is one stored thing that is not as it should be.
type Difference struct {
	Field     string // a counter, "document", "erased", or "list history[3]"
	Want, Got string // "" = not there
}

// Differences compares what is stored (nil = nothing) with what should be, in a fixed order.
func (st *State) Differences(got *State) []Difference {
	if got == nil {
		got = &State{}
	}
	var out []Difference
	add := func(field, want, have string) {
		if want != have {
			out = append(out, Difference{field, want, have})
		}
	}
	names := map[string]bool{}
	for _, m := range []map[string]int64{st.Counters, got.Counters} {
		for name := range m {
			names[name] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		add(name, number(st.Counters, name), number(got.Counters, name))
	}
	add("document", documentText(st), documentText(got))
	add("erased", millis(st.RemovedAt), millis(got.RemovedAt))
	lists := map[string]bool{}
	for _, m := range []map[string][]Entry{st.Lists, got.Lists} {
		for name := range m {
			lists[name] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(lists)) {
		want, have := st.Lists[name], got.Lists[name]
		for i := range max(len(want), len(have)) {
			if i >= len(want) || i >= len(have) || want[i] != have[i] {
				add(fmt.Sprintf("list %s[%d]", name, i), entryText(want, i), entryText(have, i))
				break // what follows is shifted by this one
			}
		}
	}
	return out
}

func number(m map[string]int64, name string) string {
	if v, ok := m[name]; ok {
		return strconv.FormatInt(v, 10)
	}
	return ""
}

func millis(ms int64) string {
	if ms == 0 {
		return ""
	}
	return time.UnixMilli(ms).UTC().Format(time.RFC3339Nano)
}

func documentText(st *State) string {
	if st.DocTime == 0 && st.Doc == "" {
		return ""
	}
	return cmp.Or(st.Doc, "withdrawn") + " at " + millis(st.DocTime)
}

func entryText(in []Entry, i int) string {
	if i >= len(in) {
		return ""
	}
	return strings.TrimSpace(fmt.Sprintf("%s %s %s", in[i].Type, in[i].ItemID, millis(in[i].Time)))
}

// BreaksErasure tells whether the state still holds something that its erasure covers. How much of what
// came after an erasure remains depends on when the erasure was applied; that nothing older does, does not.
func (st *State) BreaksErasure() bool {
	if st.RemovedAt == 0 {
		return false
	}
	for name, v := range st.Counters {
		u, index, _, ok := parseBucket(name)
		width := dayMillis
		if u == hourly {
			width = hourMillis
		}
		old := ok && index < floorDiv(st.RemovedAt, width)
		if base, _, _ := strings.Cut(name, ":"); base == "first" || base == clockCounter || base == seenCounter {
			old = v <= st.RemovedAt
		}
		if old {
			return true
		}
	}
	for _, l := range st.Lists {
		for _, e := range l {
			if e.Time <= st.RemovedAt {
				return true
			}
		}
	}
	return st.DocTime != 0 && st.DocTime < st.RemovedAt
}

// Origin says in a few words where a field's value comes from: "count of view, 24h". It is empty for
// a field that the schema does not have.
func (s *Schema) Origin(k EntityKind, name string) string {
	fields := s.user
	if k == ItemEntity {
		fields = s.item
	}
	f := find(fields, name)
	switch {
	case f == nil:
		return ""
	case f.Kind == kindAttribute && f.Rest:
		return "document, other keys"
	case f.Kind == kindAttribute:
		return "document"
	}
	return strings.Join(f.words(), " ")
}

// words describes an aggregate.
func (f *field) words() []string {
	out := []string{string(f.Kind)}
	if slices.Contains([]kind{kindSum, kindAvg, kindMin, kindMax, kindDecay}, f.Kind) {
		out = append(out, string(f.Measure))
	}
	if len(f.Events) > 0 {
		out = append(out, "of", joinTypes(f.Events))
	}
	if len(f.Where) > 0 {
		out = append(out, "where", f.Where.words())
	}
	if f.Within != "" {
		out = append(out, "within a", f.Within)
	}
	switch {
	case f.From != "":
		out = append(out, "of", f.From, "unless", joinTypes(f.Minus))
	case f.Kind == kindRate:
		out = append(out, "per", joinTypes(f.Minus))
	case len(f.Minus) > 0:
		out = append(out, "minus", joinTypes(f.Minus))
	case f.Of != "" && f.By != "":
		out = append(out, "of", f.Of, "by", f.By)
	case f.Of != "":
		out = append(out, "of", f.Of)
	}
	switch {
	case f.Past > 0:
		out = append(out, "in", shortDuration(f.Window), "over", shortDuration(f.Past))
	case f.windowed() && f.Window > 0:
		out = append(out, "in", shortDuration(f.Window))
	case f.Window > 0:
		out = append(out, shortDuration(f.Window))
	}
	return out
}

// shortDuration writes 24h, 7d or 30m.
func shortDuration(d time.Duration) string {
	switch {
	case d > maxHourly && d%day == 0:
		return strconv.Itoa(int(d/day)) + "d"
	case d%time.Hour == 0:
		return strconv.Itoa(int(d/time.Hour)) + "h"
	}
	return strconv.Itoa(int(d/time.Minute)) + "m"
}

// Time returns the event time of the newest event that is counted in the state; zero when there is none.
func (st *State) Time() time.Time {
	newest := st.DocTime
	if ms, ok := st.Counters[clockCounter]; ok {
		newest = max(newest, ms)
	}
	if newest == 0 {
		return time.Time{}
	}
	return time.UnixMilli(newest).UTC()
}
