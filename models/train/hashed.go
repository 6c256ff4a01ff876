package train

import (
	"hash/maphash"
	"iter"
	"unsafe"

	"github.com/sartorhq/sartor/streams"
)

// byHash keeps a value for each of many 64-bit hashes in two flat slices without pointers, of which the
// collector has nothing to look at, and no name is kept. Two names of one hash would share a value: among
// ten million names that happens once in 370,000 runs. At most three quarters of the places are taken. The
// zero value is empty.
type byHash[V any] struct {
	keys   []uint64 // 0 = free; a power of two of them
	values []V
	n      int
}

// place returns where the hash stands, or the free place where it would.
func (t *byHash[V]) place(hash uint64) int {
	last := uint64(len(t.keys) - 1)
	i := hash & last
	for t.keys[i] != 0 && t.keys[i] != hash {
		i = (i + 1) & last
	}
	return int(i)
}

// find returns the value of a hash, or nil. The pointer is good until something is added.
func (t *byHash[V]) find(hash uint64) *V {
	if t.n == 0 {
		return nil
	}
	if hash == 0 {
		hash = 1
	}
	i := t.place(hash)
	if t.keys[i] == 0 {
		return nil
	}
	return &t.values[i]
}

// at returns the value of a hash, which is the zero value when the hash is fresh. The pointer is good
// until something is added.
func (t *byHash[V]) at(hash uint64) (value *V, fresh bool) {
	if hash == 0 {
		hash = 1
	}
	if t.keys != nil {
		if i := t.place(hash); t.keys[i] != 0 {
			return &t.values[i], false
		}
	}
	if 4*(t.n+1) > 3*len(t.keys) {
		t.grow()
	}
	i := t.place(hash)
	t.keys[i] = hash
	t.n++
	return &t.values[i], true
}

func (t *byHash[V]) grow() {
	old := *t
	t.keys = make([]uint64, max(64, 2*len(old.keys)))
	t.values = make([]V, len(t.keys))
	for i, hash := range old.keys {
		if hash != 0 {
			to := t.place(hash)
			t.keys[to], t.values[to] = hash, old.values[i]
		}
	}
}

// all yields the hashes with their values, in no order that means something.
func (t *byHash[V]) all() iter.Seq2[uint64, *V] {
	return func(yield func(uint64, *V) bool) {
		for i, hash := range t.keys {
			if hash != 0 && !yield(hash, &t.values[i]) {
				return
			}
		}
	}
}

// bytes is the room of the table.
func (t *byHash[V]) bytes() int64 {
	var v V
	return int64(len(t.keys)) * (8 + int64(unsafe.Sizeof(v)))
}

// clear empties the table and keeps its room.
func (t *byHash[V]) clear() {
	clear(t.keys)
	clear(t.values)
	t.n = 0
}

// duplicateWindow is the number of latest events, or half of it, in which a repeated one is found: producers
// repeat what they sent a moment ago, and a memory of everything would grow with the log.
const duplicateWindow = 1 << 22

// recent remembers the hashes of the latest events in two halves: at least size/2 of them, at most size.
type recent struct {
	size     int
	now, old byHash[struct{}]
}

// add tells whether the hash is new.
func (r *recent) add(hash uint64) bool {
	if r.old.find(hash) != nil {
		return false
	}
	if r.now.n >= r.size/2 {
		if r.now.find(hash) != nil {
			return false
		}
		r.old.clear()
		r.old, r.now = r.now, r.old
	}
	_, fresh := r.now.at(hash)
	return fresh
}

// clear forgets everything.
func (r *recent) clear() {
	r.now.clear()
	r.old.clear()
}

// hasher names things by 64 bits. Two hashers differ, so that nobody can write names that meet.
type hasher struct{ seed maphash.Seed }

func newHasher() hasher { return hasher{maphash.MakeSeed()} }

func (h hasher) text(s string) uint64 { return maphash.String(h.seed, s) }

// subject names the subject of an event without making its text.
func (h hasher) subject(e *streams.Event) uint64 {
	if e.UserID != "" || e.AnonymousID == "" {
		return h.text(e.UserID)
	}
	var text maphash.Hash
	text.SetSeed(h.seed)
	_, _ = text.WriteString(streams.AnonymousSubject("")) // never fails
	_, _ = text.WriteString(e.AnonymousID)
	return text.Sum64()
}

// event names what an event says: by its id, or without one by subject, type, time, items and query.
func (h hasher) event(e *streams.Event, subject uint64) uint64 {
	if e.ID != "" {
		return h.text(e.ID)
	}
	sum := mix(mix(subject, h.text(string(e.Type))), uint64(e.Time.UnixMilli()))
	for i := range e.Items {
		sum = mix(sum, h.text(e.Items[i].ItemID))
	}
	return mix(sum, h.text(e.Query))
}

// mix joins two hashes; their order counts.
func mix(a, b uint64) uint64 {
	x := a*0x9E3779B97F4A7C15 + b
	x = (x ^ x>>32) * 0xD6E8FEB86659FD93
	return x ^ x>>32
}
