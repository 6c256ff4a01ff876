package features

import (
	"fmt"
	"maps"
	"math/bits"
	"slices"
	"strconv"
	"time"

	"github.com/sartorhq/sartor/streams"
)

// What Redis 7 and Valkey need on a 64-bit machine, as their MEMORY USAGE counts it, for a list of few
// parts, which is one packed block.
const (
	keyBytes       = 24 + 16 // entry of the key space, object
	listBytes      = 40 + 32 // list and its one node
	blockBytes     = 7       // of a packed block beside its entries
	expiryOverhead = 24 + 8  // the key's entry among those with a lifetime

	// Behind the state wait parts to be packed into it: usually half of the thirty-two that the store lets a
	// user have, at the most so many bytes.
	waitingUsual = 16 * 46
	waitingMost  = 1536
)

// StoredBytes estimates the memory that Redis needs for the packed state of an entity, with its key and
// its lifetime, to about a tenth. prefix is what all keys start with. What was applied since the state was
// packed comes to it, a part for each batch.
func (s *Schema) StoredBytes(e Entity, st *State, prefix string) int64 {
	const tag = "{v100}:u:"
	total := keyBytes + allocated(len(prefix)+len(tag)+len(e.ID)+3) + listBytes + allocated(blockBytes+blockEntry(len(PackState(nil, st))))
	if e.Kind == UserEntity {
		total += expiryOverhead
	}
	return int64(total)
}

// blockEntry is what a text of n bytes takes in a packed block.
func blockEntry(n int) int {
	head, back := 1, 1
	switch {
	case n >= 4096:
		head = 5
	case n >= 64:
		head = 2
	}
	for rest := (n + head) >> 7; rest > 0; rest >>= 7 {
		back++
	}
	return head + n + back
}

// allocated rounds up to what the allocator hands out.
func allocated(n int) int {
	switch {
	case n <= 8:
		return 8
	case n <= 128:
		return (n + 15) / 16 * 16
	}
	step := 1 << (bits.Len(uint(n-1)) - 3)
	return (n + step - 1) / step * step
}

// Sample is a state of a certain size, and what it takes.
type Sample struct {
	Name           string
	Fields, Listed int
	Bytes          int64
}

// Budget estimates what the schema makes Redis keep of one user and of one item: for a customer with
// 50 remembered events over 30 days, the same one after having been shown something (when the schema
// keeps anything of it), an item with as many events, and at the most, when every bucket of every
// counter and every list is full. now is the moment of the newest event; the result does not depend on
// it but for the lengths of numbers.
func (s *Schema) Budget(now time.Time, prefix string) (user, item []Sample) {
	u, i := Entity{UserEntity, "customer-0012345"}, Entity{ItemEntity, "sku-0012345"}
	usual := map[Entity]*State{u: {}, i: {}}
	types := []streams.Type{streams.View, streams.View, streams.View, streams.Click, streams.CartAdd, streams.Order, streams.View, streams.Click, streams.View, streams.View}
	for n := range 50 {
		e := streams.Event{Type: types[n%len(types)], UserID: u.ID, Time: now.Add(-time.Duration(49-n) * 30 * day / 50), Country: "DE"}
		line := streams.Line{ItemID: "sku-" + strconv.Itoa(1000000+n*37%41), Quantity: 1, Price: 4999}
		e.Items = []streams.Line{line}
		for _, d := range s.Fold(&e) {
			if d.Entity == u {
				usual[u].Apply(s, d.Ops)
			} else {
				usual[i].Apply(s, d.Ops)
			}
		}
	}
	users := []Sample{s.sample("usual: 50 events in 30 days", u, usual[u], prefix, waitingUsual)}
	if s.exposed() {
		shown := *usual[u]
		shown.Counters, shown.Lists = maps.Clone(shown.Counters), maps.Clone(shown.Lists)
		s.show(&shown, u.ID, now)
		users = append(users, s.sample("usual, and shown 5 lists of 20 items", u, &shown, prefix, waitingUsual))
	}
	return append(users, s.sample("most: every bucket and list full", u, s.fullest(UserEntity, now), prefix, waitingMost)),
		[]Sample{s.sample("usual: 50 events in 30 days", i, usual[i], prefix, waitingUsual), s.sample("most: every bucket full, 10 countries", i, s.fullest(ItemEntity, now), prefix, waitingMost)}
}

// show applies the exposures of a user to whom five lists of twenty items were shown in five days.
func (s *Schema) show(st *State, user string, now time.Time) {
	for n := range 5 {
		e := streams.Event{Type: streams.Exposure, UserID: user, Time: now.Add(-time.Duration(n) * day)}
		for i := range 20 {
			e.Items = append(e.Items, streams.Line{ItemID: "sku-" + strconv.Itoa(1000000+(20*n+i)*37%61), Position: i + 1})
		}
		for _, d := range s.Fold(&e) {
			if d.Entity.Kind == UserEntity {
				st.Apply(s, d.Ops)
			}
		}
	}
}

func (s *Schema) sample(name string, e Entity, st *State, prefix string, waiting int64) Sample {
	out := Sample{Name: name, Fields: len(st.Counters), Bytes: s.StoredBytes(e, st, prefix) + waiting}
	for _, l := range st.Lists {
		out.Listed += len(l)
	}
	return out
}

// fullest returns a state that holds everything that the schema can keep of one entity, without a document.
func (s *Schema) fullest(k EntityKind, now time.Time) *State {
	st := &State{Counters: map[string]int64{}, Lists: map[string][]Entry{}}
	ms := now.UnixMilli()
	for _, t := range countedTypes() {
		plan := s.folds[k][t]
		for _, c := range plan.counters {
			if c.total {
				st.Counters[c.name] = 12345
			}
			for n := int64(0); c.hourly && n <= s.keep.Hours+24; n++ { // dropped by the day
				st.Counters[bucketName(c.name, hourly, floorDiv(ms, hourMillis)-n)] = 123
			}
			for n := int64(0); c.daily && n <= s.keep.Days; n++ {
				st.Counters[bucketName(c.name, daily, floorDiv(ms, dayMillis)-n)] = 1234
			}
		}
		for _, m := range slices.Concat(plan.first, plan.last) {
			st.Counters[m.name] = ms
		}
	}
	if k == ItemEntity {
		for n := range s.keep.CountryDays + 1 {
			for c := range 10 {
				st.Counters[countryBucket(floorDiv(ms, dayMillis)-n, fmt.Sprintf("C%d", c))] = 123
			}
		}
	}
	lists := s.lists
	if k == ItemEntity {
		lists = s.itemList
	}
	for _, l := range lists {
		kind := streams.CartAdd
		if len(l.Events) == 1 {
			kind = l.Events[0]
		}
		for n := range l.Max {
			st.Lists[l.Name] = append(st.Lists[l.Name], Entry{Type: kind, ItemID: "sku-" + strconv.Itoa(1000000+n), Time: ms - int64(n)})
		}
	}
	return st
}
