package features

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/sartorhq/sartor/streams"
)

// What a packed state has.
const (
	hasErasure = 1 << iota
	hasDocTime
	hasDocument
	hasCounters
	hasLists
)

// How a packed list is written.
const (
	listOneType = 1 << iota // all entries have the type that is written once
	listShares              // entries may be those of the history
)

// PackState appends the state as one part. Equal states give equal bytes.
func PackState(dst []byte, st *State) []byte {
	p := packer{b: append(dst, packedState)}
	flags := st.has()
	p.uint(flags)
	if flags&hasErasure != 0 {
		p.int(st.RemovedAt)
	}
	if flags&hasDocTime != 0 {
		p.int(st.DocTime)
	}
	if flags&hasDocument != 0 {
		p.text(st.Doc)
	}
	ref := st.Counters[clockCounter]
	if flags&(hasCounters|hasLists) != 0 {
		p.int(ref)
	}
	if flags&hasCounters != 0 {
		p.counters(st.Counters, ref)
	}
	if flags&hasLists != 0 {
		p.lists(st.Lists, ref)
	}
	return p.b
}

// has returns the flags of what the state has.
func (st *State) has() uint64 {
	var flags uint64
	if st.RemovedAt != 0 {
		flags |= hasErasure
	}
	if st.DocTime != 0 {
		flags |= hasDocTime
	}
	if st.Doc != "" {
		flags |= hasDocument
	}
	if len(st.Counters) > 0 {
		flags |= hasCounters
	}
	for _, l := range st.Lists {
		if len(l) > 0 {
			flags |= hasLists
		}
	}
	return flags
}

// packedCounter is a counter on its way into a part.
type packedCounter struct {
	// order decides about most pairs: number of the base, or a high one when it has none, unit, and of known
	// names the index, the newest first.
	order uint64
	base  string
	unit  byte // its number
	index int64
	rest  string
	value int64
}

func (c *packedCounter) compare(o *packedCounter) int {
	if c.order != o.order {
		return cmp.Compare(c.order, o.order)
	}
	return cmp.Or(strings.Compare(c.base, o.base), cmp.Compare(c.unit, o.unit), cmp.Compare(o.index, c.index), strings.Compare(c.rest, o.rest))
}

func packedCounterOf(name string, value int64) packedCounter {
	const indexBits, indexMax = 54, 1<<54 - 1
	c := packedCounter{base: name, value: value}
	if base, u, index, rest, ok := splitBucket(name); ok {
		c = packedCounter{base: base, unit: unitNumber(u), index: index, rest: rest, value: value}
	}
	if n := knownNumbers[c.base]; n > 0 && c.index >= 0 && c.index <= indexMax {
		c.order = uint64(n)<<(indexBits+2) | uint64(c.unit)<<indexBits | uint64(indexMax-c.index)
	} else {
		c.order = firstLocal << (indexBits + 2)
	}
	return c
}

// counters writes the counters by name; the buckets of one name and unit are written newest first, as
// the distance to the one before and the value.
func (p *packer) counters(in map[string]int64, ref int64) {
	space, all := make([]packedCounter, 0, len(in)), make([]*packedCounter, 0, len(in))
	for name, v := range in {
		space = append(space, packedCounterOf(name, v))
		all = append(all, &space[len(space)-1])
	}
	slices.SortFunc(all, (*packedCounter).compare)
	groups := 0
	for i := range all {
		if startsGroup(all, i) {
			groups++
		}
	}
	p.uint(uint64(groups))
	for len(all) > 0 {
		n := 1
		for n < len(all) && !startsGroup(all, n) {
			n++
		}
		p.group(all[:n], ref)
		all = all[n:]
	}
}

func startsGroup(all []*packedCounter, i int) bool {
	return i == 0 || all[i].unit != all[i-1].unit || all[i].base != all[i-1].base
}

// group writes the counters of one name and unit.
func (p *packer) group(g []*packedCounter, ref int64) {
	p.name(g[0].base)
	p.uint(uint64(len(g))<<2 | uint64(g[0].unit))
	if g[0].unit == 0 {
		p.int(g[0].value - offset(g[0].base, ref))
		return
	}
	u := bucketUnits[g[0].unit]
	at := bucketOf(u, ref)
	for i := range g {
		p.int(at - g[i].index)
		at = g[i].index
		if u == country {
			p.name(g[i].rest)
		}
		p.int(g[i].value)
	}
}

// offset is what moments are written relative to.
func offset(name string, ref int64) int64 {
	if strings.HasPrefix(name, "first") || strings.HasPrefix(name, clockCounter) || strings.HasPrefix(name, seenCounter) || strings.HasPrefix(name, visitorPrefix) {
		return ref
	}
	return 0
}

// lists writes the items that the lists name, each but for what it shares with the one before, and the
// lists: history first, to which others refer.
func (p *packer) lists(in map[string][]Entry, ref int64) {
	names := make([]string, 0, len(in))
	for name, l := range in {
		if len(l) > 0 {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	if i := slices.Index(names, historyList); i > 0 {
		names = slices.Insert(slices.Delete(names, i, i+1), 0, historyList)
	}
	total := 0
	for _, name := range names {
		total += len(in[name])
	}
	at, items := make(map[string]int, total), make([]string, 0, total)
	for _, name := range names {
		for i := range in[name] {
			id := in[name][i].ItemID
			if _, ok := at[id]; !ok {
				at[id] = len(items)
				items = append(items, id)
			}
		}
	}
	p.uint(uint64(len(items)))
	before := ""
	for _, id := range items {
		n := 0
		for n < len(id) && n < len(before) && id[n] == before[n] {
			n++
		}
		p.uint(uint64(n))
		p.text(id[n:])
		before = id
	}
	p.uint(uint64(len(names)))
	var history []Entry
	if names[0] == historyList {
		history = in[historyList]
	}
	for _, name := range names {
		p.list(name, in[name], history, at, ref)
	}
}

func (p *packer) list(name string, entries, history []Entry, items map[string]int, ref int64) {
	flags := uint64(listOneType)
	for i := range entries {
		if entries[i].Type != entries[0].Type {
			flags = 0
		}
	}
	if name != historyList && name != shownList && len(history) > 0 {
		flags |= listShares
	}
	p.name(name)
	p.uint(uint64(len(entries))<<2 | flags)
	if flags&listOneType != 0 {
		p.typ(entries[0].Type)
	}
	before, last := ref, 0
	for _, e := range entries {
		if flags&listShares != 0 {
			at := last // both are in the same order
			for at < len(history) && CompareEntries(history[at], e) < 0 {
				at++
			}
			if at < len(history) && history[at] == e {
				p.uint(uint64(at + 1 - last))
				before, last = e.Time, at+1
				continue
			}
			p.uint(0)
		}
		p.int(before - e.Time)
		before = e.Time
		if flags&listOneType == 0 {
			p.typ(e.Type)
		}
		p.uint(uint64(items[e.ItemID]))
	}
}

// UnpackState reads a packed state.
func UnpackState(part string) (*State, error) {
	st := new(State)
	if err := st.Unpack(part); err != nil {
		return nil, err
	}
	return st, nil
}

// Unpack makes st the state that a part holds; it must be the zero State, and means nothing after an error.
func (st *State) Unpack(part string) error {
	u := unpacker{s: part}
	if u.byte() != packedState {
		return unpackError("state", part)
	}
	flags := u.uint()
	if flags >= hasLists<<1 {
		u.fail()
	}
	if flags&hasErasure != 0 {
		st.RemovedAt = u.int()
	}
	if flags&hasDocTime != 0 {
		st.DocTime = u.int()
	}
	if flags&hasDocument != 0 {
		st.Doc = u.text()
	}
	var ref int64
	if flags&(hasCounters|hasLists) != 0 {
		ref = u.int()
	}
	if flags&hasCounters != 0 {
		st.Counters = u.counters(ref)
	}
	if flags&hasLists != 0 {
		st.Lists = u.lists(ref)
	}
	if u.failed || len(u.s) > 0 {
		return unpackError("state", part)
	}
	return nil
}

func (u *unpacker) counters(ref int64) map[string]int64 {
	out := make(map[string]int64, len(u.s)/8)
	var names nameBlock
	for range u.count(3) {
		base := u.name()
		head := u.uint()
		n, unit := head>>2, bucketUnits[head&3]
		if n > uint64(len(u.s)) || unit == 0 && n != 1 {
			u.fail()
			break
		}
		if unit == 0 {
			out[base] = u.int() + offset(base, ref)
			continue
		}
		at := bucketOf(unit, ref)
		names.reserve(int(n), base)
		for range n {
			at -= u.int()
			rest := ""
			if unit == country {
				rest = u.name()
			}
			out[names.bucket(base, unit, at, rest)] = u.int()
		}
	}
	return out
}

// nameBlock makes names of buckets. Those of one counter share a block of memory.
type nameBlock struct{ strings.Builder }

// maxReserved bounds what is reserved for names that are announced, and may not come.
const maxReserved = 1 << 12

// reserve makes room for n names: most numbers of buckets have five or six digits.
func (b *nameBlock) reserve(n int, counter string) {
	b.Reset() // names keep the block that they are in
	b.Grow(min(min(n, maxReserved)*(min(len(counter), maxReserved)+len("@h123456")), maxReserved))
}

// bucket returns the name of a bucket, and what follows it.
func (b *nameBlock) bucket(counter string, u unit, index int64, rest string) string {
	var space [20]byte
	number := strconv.AppendInt(space[:0], index, 10)
	if size := len(counter) + 2 + len(number) + len(rest); b.Cap()-b.Len() < size {
		b.Reset()
		b.Grow(size)
	}
	from := b.Len()
	b.WriteString(counter)
	b.WriteByte('@')
	b.WriteByte(byte(u))
	b.Write(number)
	b.WriteString(rest)
	return b.String()[from:]
}

// lists reads what packer.lists wrote. The items share one block of memory.
func (u *unpacker) lists(ref int64) map[string][]Entry {
	ends := make([]int, u.count(2))
	block, from := make([]byte, 0, 2*len(u.s)), 0
	for i := range ends {
		shared := u.uint()
		rest := u.text()
		if shared > uint64(len(block)-from) || len(block) > maxExpanded {
			u.fail()
			return nil
		}
		start := len(block)
		block = append(append(block, block[from:from+int(shared)]...), rest...)
		from, ends[i] = start, len(block)
	}
	text, items := string(block), make([]string, len(ends))
	at := 0
	for i, end := range ends {
		items[i], at = text[at:end], end
	}
	n := u.count(4)
	out := make(map[string][]Entry, n)
	for range n {
		name := u.name()
		out[name] = u.list(out[historyList], items, ref)
	}
	return out
}

func (u *unpacker) list(history []Entry, items []string, ref int64) []Entry {
	head := u.uint()
	n, flags := head>>2, head&3
	var kind streams.Type
	if flags&listOneType != 0 {
		kind = u.typ()
	}
	if n > uint64(len(u.s)) {
		u.fail()
		return nil
	}
	out := make([]Entry, 0, n)
	before, last := ref, uint64(0)
	for range n {
		if flags&listShares != 0 {
			if step := u.uint(); step > 0 {
				if last += min(step, math.MaxInt32); last > uint64(len(history)) {
					u.fail()
					return nil
				}
				out = append(out, history[last-1])
				before = history[last-1].Time
				continue
			}
		}
		e := Entry{Type: kind, Time: before - u.int()}
		before = e.Time
		if flags&listOneType == 0 {
			e.Type = u.typ()
		}
		i := u.uint()
		if i >= uint64(len(items)) {
			u.fail()
			return nil
		}
		e.ItemID = items[i]
		out = append(out, e)
	}
	return out
}
