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

// What Redis 7 and Valkey need on a 64-bit machine, as their MEMORY USAGE counts it: keys with few,
// short entries are one packed block, others a table. Limits are the servers' defaults.
const (
	packedEntries = 128 // hash-max-listpack-entries, zset-max-listpack-entries
	packedSteady  = 100 // a hash of more has had packedEntries before its old buckets were dropped, and stays a table
	packedBytes   = 64  // hash-max-listpack-value, zset-max-listpack-value

	keyBytes       = 24 + 16          // entry of the key space, object
	tableBytes     = 56               // an empty hash table
	tableEntry     = 24 + 8           // an entry and its bucket
	skipListBytes  = 16 + 32 + 16*32  // an empty skip list and its head
	skipListNode   = 24 + 16*4/3 + 16 // a node of average height
	expiryOverhead = 24 + 8           // the key's entry among those with a lifetime
)

// StoredBytes estimates the memory that Redis needs for the state of an entity: its hash and its
// lists, with their keys and lifetimes, to about a tenth. prefix is what all keys start with.
func (s *Schema) StoredBytes(e Entity, st *State, prefix string) int64 {
	var names, values []string
	for name, v := range st.Counters {
		names, values = append(names, name), append(values, strconv.FormatInt(v, 10))
	}
	if st.DocTime != 0 {
		names, values = append(names, "doc", "doct"), append(values, st.Doc, strconv.FormatInt(st.DocTime, 10))
	}
	if st.RemovedAt != 0 {
		names, values = append(names, "gone"), append(values, strconv.FormatInt(st.RemovedAt, 10))
	}
	const tag = "{v100}:u:"
	expiry := 0
	if e.Kind == UserEntity {
		expiry = expiryOverhead
	}
	total := 0
	if len(names) > 0 {
		total += keyBytes + expiry + allocated(len(prefix)+len(tag)+len(e.ID)+3) + hashBytes(names, values)
	}
	for list, entries := range st.Lists {
		if len(entries) == 0 {
			continue
		}
		members := make([]string, len(entries))
		for i, en := range entries {
			members[i] = EncodeEntry(list, en)
		}
		total += keyBytes + expiry + allocated(len(prefix)+len(tag)+len(list)+len(e.ID)+4) + sortedSetBytes(members)
	}
	return int64(total)
}

func hashBytes(names, values []string) int {
	packed, table := 7, tableBytes+16<<bits.Len(uint(len(names)+len(names)/4)) // tables do not shrink when buckets are dropped
	isPacked := len(names) <= packedSteady
	for i := range names {
		isPacked = isPacked && len(names[i]) <= packedBytes && len(values[i]) <= packedBytes
		packed += packedEntry(names[i]) + packedEntry(values[i])
		table += 24 + textBytes(names[i]) + textBytes(values[i])
	}
	if isPacked {
		return allocated(packed)
	}
	return table
}

func sortedSetBytes(members []string) int {
	packed, table := 7, tableBytes+skipListBytes+8<<bits.Len(uint(len(members)-1))
	isPacked := len(members) <= packedEntries
	for _, m := range members {
		isPacked = isPacked && len(m) <= packedBytes
		packed += packedEntry(m) + 10
		table += tableEntry + skipListNode + textBytes(m)
	}
	if isPacked {
		return allocated(packed)
	}
	return table
}

// packedEntry is the length of a text in a packed block, which writes whole numbers shorter.
func packedEntry(s string) int {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		switch l := bits.Len64(uint64(max(n, -n))); {
		case l <= 6:
			return 2
		case l <= 12:
			return 3
		case l <= 15:
			return 4
		case l <= 23:
			return 5
		case l <= 31:
			return 6
		}
		return 10
	}
	if len(s) < 64 {
		return len(s) + 2
	}
	return len(s) + 4
}

// textBytes is what a text of its own takes.
func textBytes(s string) int {
	if len(s) < 32 {
		return allocated(len(s) + 2)
	}
	return allocated(len(s) + 4)
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
	users := []Sample{s.sample("usual: 50 events in 30 days", u, usual[u], prefix)}
	if s.exposed() {
		shown := *usual[u]
		shown.Counters, shown.Lists = maps.Clone(shown.Counters), maps.Clone(shown.Lists)
		s.show(&shown, u.ID, now)
		users = append(users, s.sample("usual, and shown 5 lists of 20 items", u, &shown, prefix))
	}
	return append(users, s.sample("most: every bucket and list full", u, s.fullest(UserEntity, now), prefix)),
		[]Sample{s.sample("usual: 50 events in 30 days", i, usual[i], prefix), s.sample("most: every bucket full, 10 countries", i, s.fullest(ItemEntity, now), prefix)}
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

func (s *Schema) sample(name string, e Entity, st *State, prefix string) Sample {
	out := Sample{Name: name, Fields: len(st.Counters), Bytes: s.StoredBytes(e, st, prefix)}
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
		for n := range l.Max + l.Max/4 { // cut when it is well over its length
			st.Lists[l.Name] = append(st.Lists[l.Name], Entry{Type: kind, ItemID: "sku-" + strconv.Itoa(1000000+n), Time: ms - int64(n)})
		}
	}
	return st
}
