package features

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/sartorhq/sartor/streams"
)

// State is everything stored about one entity, independent of the moment it is read and of any
// model. Its zero value is an entity of which nothing is known. It is not safe for concurrent use.
type State struct {
	// Counters holds sums, bucketed sums and moments (Unix milliseconds) by name; see SCHEMA.md.
	Counters map[string]int64
	// Doc is the JSON object of the newest upsert; "" when there is none or it was withdrawn.
	Doc string
	// DocTime is the event time of Doc, or of its withdrawal, in Unix milliseconds; 0 = never.
	DocTime int64
	// RemovedAt is the event time of the newest erasure of a user; events up to it leave no trace.
	RemovedAt int64
	// Lists holds the stored lists by name, newest first, then by type and item descending.
	Lists map[string][]Entry
}

// ItemState is the stored state of one item.
type ItemState struct {
	ID    string
	State *State
}

// Apply carries out the operations in memory. It is the twin of the Redis script: the same
// operations in any order end in the same state. Two exceptions: of two documents with one and the
// same time the later applied wins, and an erasure takes everything that was there before it.
func (st *State) Apply(s *Schema, ops []Op) {
	before, oldest, linked := st.clock(), int64(math.MaxInt64), false
	for i := range ops {
		op := &ops[i]
		if op.Code == Remove && op.Field == "" {
			if op.Time > st.RemovedAt { // an older one changes nothing, and leaves the clock where it was
				st.erase(op.Time)
				before = st.clock()
			}
			continue
		}
		if op.Time < st.RemovedAt || op.Time == st.RemovedAt && op.Code != Put && st.RemovedAt > 0 {
			continue
		}
		oldest = min(oldest, op.Time)
		st.applyOne(s, op)
		linked = linked || strings.HasPrefix(op.Field, visitorPrefix)
	}
	if linked {
		st.limitVisitors()
	}
	st.prune(s.keep, before, oldest, ops)
}

// applyOne carries out one operation that the newest erasure does not cover.
func (st *State) applyOne(s *Schema, op *Op) {
	switch op.Code {
	case Add:
		st.set(op.Field, addSaturated(st.Counters[op.Field], op.Value))
	case Min:
		if old, ok := st.Counters[op.Field]; !ok || op.Value < old {
			st.set(op.Field, op.Value)
		}
	case Max:
		if old, ok := st.Counters[op.Field]; !ok || op.Value > old {
			st.set(op.Field, op.Value)
		}
	case Push:
		st.push(s, op)
	case Put:
		if op.Time >= st.DocTime {
			st.Doc, st.DocTime = op.Text, op.Time
		}
	case Remove: // of the document only
		if op.Time > st.DocTime {
			st.Doc, st.DocTime = "", op.Time
		}
	}
}

func (st *State) set(name string, v int64) {
	if st.Counters == nil {
		st.Counters = map[string]int64{}
	}
	st.Counters[name] = v
}

// erase forgets everything but a document that is not older than the erasure.
func (st *State) erase(at int64) {
	if at <= st.RemovedAt {
		return
	}
	next := State{RemovedAt: at}
	if st.DocTime >= at {
		next.Doc, next.DocTime = st.Doc, st.DocTime
	}
	*st = next
}

// push inserts an entry into its list, in order, and drops what exceeds the list's length.
func (st *State) push(s *Schema, op *Op) {
	l := s.listByName(op.Field)
	if l == nil {
		return
	}
	e, err := l.DecodeEntry(op.Text, op.Time)
	if err != nil {
		return // the fold never writes such an entry
	}
	st.insert(l, e)
}

// insert puts an entry into its place of a list.
func (st *State) insert(l *List, e Entry) {
	entries := st.Lists[l.Name]
	if !l.log {
		if i := slices.IndexFunc(entries, func(old Entry) bool { return old.ItemID == e.ItemID }); i >= 0 {
			if entries[i].Time >= e.Time {
				return
			}
			entries = slices.Delete(entries, i, i+1)
		}
	}
	i, found := slices.BinarySearchFunc(entries, e, CompareEntries)
	if found || i >= l.Max {
		return
	}
	entries = slices.Insert(entries, i, e)
	if st.Lists == nil {
		st.Lists = map[string][]Entry{}
	}
	st.Lists[l.Name] = entries[:min(len(entries), l.Max)]
}

// clock returns the event time that retention follows, or the least time when there is none.
func (st *State) clock() int64 {
	if t, ok := st.Counters[clockCounter]; ok {
		return t
	}
	return math.MinInt64
}

// prune drops the buckets that are older than the retention allows. What is kept depends only on
// the newest event ever seen, not on the order in which events came. Only when that event's day is a new
// one can buckets be too old that were not just written.
func (st *State) prune(r Retention, before, oldest int64, ops []Op) {
	now := st.clock()
	if now == math.MinInt64 || oldest == math.MaxInt64 {
		return
	}
	advanced := before != math.MinInt64 && floorDiv(now, dayMillis) > floorDiv(before, dayMillis)
	if !advanced && floorDiv(oldest, hourMillis) >= r.cutoff(hourly, now) {
		return
	}
	if !advanced {
		for i := range ops {
			if u, index, _, ok := parseBucket(ops[i].Field); ok && index < r.cutoff(u, now) {
				delete(st.Counters, ops[i].Field)
			}
		}
		return
	}
	for name := range st.Counters {
		if u, index, _, ok := parseBucket(name); ok && index < r.cutoff(u, now) {
			delete(st.Counters, name)
		}
	}
}

// DecodeEntry reads a stored text of the list back. ms is the time stored beside it; an entry of
// the history says its own.
func (l *List) DecodeEntry(text string, ms int64) (Entry, error) {
	if !l.log {
		e := Entry{ItemID: text, Time: ms}
		if len(l.Events) == 1 {
			e.Type = l.Events[0]
		}
		return e, nil
	}
	kind, rest, ok := strings.Cut(text, " ")
	stamp, item, ok2 := strings.Cut(rest, " ")
	t, err := strconv.ParseInt(stamp, 10, 64)
	if !ok || !ok2 || err != nil || kind == "" || item == "" {
		return Entry{}, fmt.Errorf("a history entry reads %q; want \"type time item\"", text)
	}
	return Entry{Type: streams.Type(kind), ItemID: item, Time: t}, nil
}

func historyMember(t streams.Type, ms int64, item string) string {
	b := make([]byte, 0, len(t)+len(item)+16)
	b = append(b, t...)
	b = append(b, ' ')
	b = strconv.AppendInt(b, ms, 10)
	b = append(b, ' ')
	return string(append(b, item...))
}

// CompareEntries orders entries newest first, then by type and item descending: the order in which
// a sorted set is read backwards.
func CompareEntries(a, b Entry) int {
	if a.Time != b.Time { // most often: the texts need not be looked at
		return cmp.Compare(b.Time, a.Time)
	}
	return cmp.Or(cmp.Compare(b.Type, a.Type), cmp.Compare(b.ItemID, a.ItemID))
}
