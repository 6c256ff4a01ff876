package train

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"github.com/sartorhq/sartor/streams"
)

func TestByHashIsAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var table byHash[int]
		want := map[uint64]int{}
		// Few distinct low bits, so that many meet at one place.
		for _, hash := range rapid.SliceOf(rapid.Uint64Range(1, 300)).Draw(t, "hashes") {
			hash = hash << 60 >> 3 * hash
			if hash == 0 {
				continue // stands for 1
			}
			v, fresh := table.at(hash)
			if _, known := want[hash]; fresh == known || *v != want[hash] {
				t.Fatalf("%#x: %d, fresh %v, want %d", hash, *v, fresh, want[hash])
			}
			*v++
			want[hash]++
		}
		if table.n != len(want) || 4*table.n > 3*len(table.keys) {
			t.Fatalf("%d of %d in %d places", table.n, len(want), len(table.keys))
		}
		n := 0
		for hash, v := range table.all() {
			if n++; *v != want[hash] || table.find(hash) != v {
				t.Fatalf("%#x: %d, want %d", hash, *v, want[hash])
			}
		}
		if n != len(want) || table.find(12345) != nil {
			t.Fatalf("%d of %d are told", n, len(want))
		}
		if table.clear(); table.n != 0 || n > 0 && table.find(table.keys[0]) != nil {
			t.Fatal("something is left")
		}
	})
}

func TestByHashTakesZero(t *testing.T) {
	var table byHash[int]
	if table.find(0) != nil || table.bytes() != 0 {
		t.Error("an empty table knows something")
	}
	v, fresh := table.at(0)
	*v = 7
	if w := table.find(0); !fresh || w == nil || *w != 7 {
		t.Error("0 is lost")
	}
	if got := table.bytes(); got != 64*16 {
		t.Errorf("%d bytes", got)
	}
}

func TestHasherNamesWhatEventsSay(t *testing.T) {
	h := newHasher()
	visitor := streams.Event{Type: streams.View, AnonymousID: "v", Items: []streams.Line{{ItemID: "a"}, {ItemID: "b"}}}
	if h.subject(&visitor) != h.text(visitor.Subject()) {
		t.Error("a visitor has two names")
	}
	all := map[uint64]string{}
	add := func(what string, change func(e *streams.Event)) {
		e := visitor
		e.Items = append([]streams.Line(nil), e.Items...)
		change(&e)
		sum := h.event(&e, h.subject(&e))
		if other, ok := all[sum]; ok {
			t.Errorf("%s and %s are the same", what, other)
		}
		all[sum] = what
	}
	add("the event", func(*streams.Event) {})
	add("another type", func(e *streams.Event) { e.Type = streams.Click })
	add("another visitor", func(e *streams.Event) { e.AnonymousID = "w" })
	add("a user", func(e *streams.Event) { e.UserID = "v" })
	add("another time", func(e *streams.Event) { e.Time = noon })
	add("another order of items", func(e *streams.Event) { e.Items[0], e.Items[1] = e.Items[1], e.Items[0] })
	add("one item", func(e *streams.Event) { e.Items = e.Items[:1] })
	add("a query", func(e *streams.Event) { e.Query = "b" })
	add("an id", func(e *streams.Event) { e.ID = "1" })
	first := streams.Event{ID: "1", Type: streams.Order, UserID: "u"}
	if all[h.event(&first, h.subject(&first))] != "an id" {
		t.Error("one id, two names")
	}
}

func TestStrongUsersAreChosenByFNV(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 100 {
		salt, user := fmt.Sprintf("%d\x00", r.Uint64()), fmt.Sprint("u", r.Uint32())
		want := fnv.New64a()
		fmt.Fprint(want, salt, user)
		if got := fnv1a(salt, user); got != want.Sum64() {
			t.Fatalf("%q %q: %x, want %x", salt, user, got, want.Sum64())
		}
	}
}
