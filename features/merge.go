package features

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/sartorhq/sartor/streams"
)

// maxVisitors is how many visitors a user remembers to have been: those of the newest merges.
const maxVisitors = 8

// visitorPrefix starts the counters that link a user to a visitor: "v:c-9" holds the time of the
// newest user-merge that named them.
const visitorPrefix = "v:"

// foldMerge links the user to the visitor. Nothing is copied: what the visitor did stays where it
// is counted, and reading the user adds it up. So it does not matter whether an event of the visitor
// is applied before or after the merge, and applying the merge again changes nothing.
func foldMerge(e *streams.Event, ms int64) []Delta {
	if e.UserID == "" || e.AnonymousID == "" {
		return nil
	}
	return []Delta{{Entity{UserEntity, e.UserID}, []Op{{Code: Max, Field: visitorPrefix + e.AnonymousID, Value: ms, Time: ms}}}}
}

// Visitors returns the subjects of the visitors that the user turned out to be, newest merge first.
func (st *State) Visitors() []string {
	if st == nil {
		return nil
	}
	links := st.links()
	out := make([]string, min(len(links), maxVisitors))
	for i := range out {
		out[i] = streams.AnonymousSubject(links[i][len(visitorPrefix):])
	}
	return out
}

// links returns the names of the linking counters, newest first, then by name descending.
func (st *State) links() []string {
	var out []string
	for name := range st.Counters {
		if strings.HasPrefix(name, visitorPrefix) {
			out = append(out, name)
		}
	}
	slices.SortFunc(out, func(a, b string) int {
		return cmp.Or(cmp.Compare(st.Counters[b], st.Counters[a]), cmp.Compare(b, a))
	})
	return out
}

// limitVisitors forgets the oldest links beyond the limit.
func (st *State) limitVisitors() {
	links := st.links()
	for _, name := range links[min(len(links), maxVisitors):] {
		delete(st.Counters, name)
	}
}

// Join adds what a visitor did to the state of the user that the visitor turned out to be: sums add
// up, moments and extremes compete, lists become one. The document and the erasure stay the user's.
// The visitor's state is not changed.
func (st *State) Join(s *Schema, visitor *State) {
	if visitor == nil {
		return
	}
	for name, v := range visitor.Counters {
		old, ok := st.Counters[name]
		switch code := joins(name); {
		case strings.HasPrefix(name, visitorPrefix):
		case !ok:
			st.set(name, v)
		case code == Min:
			st.set(name, min(old, v))
		case code == Max:
			st.set(name, max(old, v))
		default:
			st.set(name, addSaturated(old, v))
		}
	}
	for i := range s.lists {
		l := &s.lists[i]
		for _, e := range visitor.Lists[l.Name] {
			st.insert(l, e)
		}
	}
}

// joins returns the operation that the counter of this name is made of.
func joins(name string) OpCode {
	base, _, _ := strings.Cut(name, ":")
	base, _, _ = strings.Cut(base, "?") // of any event, filtered
	switch {
	case base == "first" || len(base) == 2 && base[0] == 'm':
		return Min
	case base == clockCounter || base == seenCounter || len(base) == 2 && base[0] == 'x':
		return Max
	}
	return Add
}

// Clone returns a state that shares nothing with st; nil for nil.
func (st *State) Clone() *State {
	if st == nil {
		return nil
	}
	out := *st
	out.Counters = maps.Clone(st.Counters)
	out.Lists = maps.Clone(st.Lists)
	for name, l := range out.Lists {
		out.Lists[name] = slices.Clone(l)
	}
	return &out
}
