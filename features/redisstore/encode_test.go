package redisstore

import (
	"encoding/json"
	"math"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/streams"
)

func FuzzText(f *testing.F) {
	for _, s := range []string{"", "plain", `a"b\c`, "\x00\x1f\x7f", "grün ☂ 𝄞", "</script>\u2028"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		text := appendText(nil, s)
		var back string
		if err := json.Unmarshal(text, &back); err != nil {
			t.Fatalf("%q became %s: %v", s, text, err)
		}
		want, err := json.Marshal(s) // replaces bytes that are no UTF-8, as the decoder above does
		if err != nil {
			t.Fatal(err)
		}
		var clean string
		if err := json.Unmarshal(want, &clean); err != nil || back != clean {
			t.Fatalf("%q came back as %q", s, back)
		}
	})
}

// Entities that change the same names share one shape; the least and the largest numbers travel whole.
func TestEncodeBatch(t *testing.T) {
	add := func(id string, v int64) *entityOps {
		return &entityOps{entity: features.Entity{Kind: features.ItemEntity, ID: id},
			ops: []features.Op{{Code: features.Add, Field: "n:view", Value: v, Time: 5}, {Code: features.Max, Field: "last", Value: 5, Time: 5}}}
	}
	nothing := &entityOps{entity: features.Entity{Kind: features.UserEntity, ID: "u"}, tombstone: 9,
		ops: []features.Op{{Code: features.Add, Field: "n:view", Value: 1, Time: 5}}}
	got, kept := encodeBatch([]*entityOps{add(`a"`, math.MinInt64), nothing, add("b", math.MaxInt64)},
		[]features.List{{Name: "history", Max: 3}, {Name: "i.with", Max: 9}}, 1, features.Retention{Hours: 1, Days: 2, CountryDays: 3}, 7)
	want := `[7,1,2,3,["history",3,"i.with",9],[[1,0,0,"n:view"]],[` +
		`["i:a\u0022",1,"5","5",0,0,"-9223372036854775808"],["i:b",1,"5","5",0,0,"9223372036854775807"]],1]`
	if string(got) != want || len(kept) != 2 {
		t.Fatalf("got  %s (%d)\nwant %s (2)", got, len(kept), want)
	}
}

// Ids are the shops' own: quotes, control characters and other scripts must come back as they went in.
func TestAnyID(t *testing.T) {
	onServers(t, func(t *testing.T, opts Options) {
		s := open(t, opts)
		var events []streams.Event
		for i, id := range []string{`a"b\c`, "tab\tnul\x00", "grün ☂ 𝄞", "a,b]", "{v1}:x"} {
			events = append(events, event(streams.Order, id, id, time.Duration(i)*time.Hour))
		}
		log := foldAll(events)
		if err := partition(t, s).Apply(t.Context(), log, int64(len(log)-1)); err != nil {
			t.Fatal(err)
		}
		if d := differences(s, oracle(log)); d != "" {
			t.Fatal(d)
		}
	})
}

func redisZ(score float64, member string) redis.Z { return redis.Z{Score: score, Member: member} }
