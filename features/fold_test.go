package features

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sartorhq/sartor/streams"
)

// noon is day 20454 and hour 490908 since 1970.
var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func total(v int64) *int64 { return &v }

// text writes deltas one operation a line, for exact comparison.
func text(deltas []Delta) string {
	var b strings.Builder
	names := map[OpCode]string{Add: "add", Min: "min", Max: "max", Push: "push", Put: "put", Remove: "remove"}
	for _, d := range deltas {
		fmt.Fprintf(&b, "%c %s:", d.Entity.Kind, d.Entity.ID)
		for _, op := range d.Ops {
			fmt.Fprintf(&b, " %s", names[op.Code])
			if op.Field != "" {
				fmt.Fprintf(&b, " %s", op.Field)
			}
			switch op.Code {
			case Add:
				fmt.Fprintf(&b, " %d", op.Value)
			case Push, Put:
				fmt.Fprintf(&b, " %q", op.Text)
			}
			b.WriteByte(',')
		}
		b.WriteByte('\n')
	}
	return b.String()
}

const small = `apiVersion: features/v1
currency: EUR
history: {max: 3, events: [view, order]}
user:
  spend_7d: {type: money, default: 0, sum: {of: amount, events: [order], minus: [return], window: 7d}, doc: d, example: e}
  orders: {type: int, default: 0, count: {events: [order]}, doc: d, example: e}
  bought: {type: "[]text", max: 2, default: [], list: {events: [order]}, doc: d, example: e}
  first_order: {type: time, default: "", first: {events: [order]}, doc: d, example: e}
item:
  price: {type: money, default: 0, doc: d, example: e}
  views_1h: {type: int, default: 0, count: {events: [view], window: 1h}, doc: d, example: e}
  shown: {type: int, default: 0, count: {events: [exposure], window: 7d}, doc: d, example: e}
  rating: {type: number, default: 0, avg: {of: rating, events: [rating]}, doc: d, example: e}
context: {}
`

func smallSchema(t testing.TB) *Schema {
	t.Helper()
	s, err := Parse("small.yaml", []byte(small))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestFold(t *testing.T) {
	s := smallSchema(t)
	lines := []streams.Line{{ItemID: "a", Quantity: 2, Price: 100}, {ItemID: "b", Quantity: 1, Price: 5}, {ItemID: "a", Quantity: 3, Price: 90}}
	for _, tc := range []struct {
		name  string
		event streams.Event
		want  string
	}{
		{"order", streams.Event{Type: streams.Order, UserID: "u", Items: lines, Country: "de"},
			`u u: add a:order@d20454 475, add n:order 1, min first:order, max last, push history "order 1767268800000 a", push history "order 1767268800000 b", push bought "a", push bought "b",
i a: add u:order 5, max last, add u:order@c20454/DE 5,
i b: add u:order 1, max last, add u:order@c20454/DE 1,
`},
		{"order-total-counts-for-the-user", streams.Event{Type: streams.Order, UserID: "u", Items: lines[1:2], Total: total(999)},
			`u u: add a:order@d20454 999, add n:order 1, min first:order, max last, push history "order 1767268800000 b", push bought "b",
i b: add u:order 1, max last,
`},
		{"order-without-lines", streams.Event{Type: streams.Order, UserID: "u", Total: total(999)},
			"u u: add a:order@d20454 999, add n:order 1, min first:order, max last,\n"},
		{"order-in-another-currency", streams.Event{Type: streams.Order, UserID: "u", Total: total(999), Currency: "USD"},
			"u u: add a:order~USD@d20454 999, add n:order 1, min first:order, max last,\n"},
		{"order-in-the-own-currency", streams.Event{Type: streams.Order, UserID: "u", Total: total(999), Currency: "EUR"},
			"u u: add a:order@d20454 999, add n:order 1, min first:order, max last,\n"},
		{"order-in-no-currency", streams.Event{Type: streams.Order, UserID: "u", Total: total(1), Currency: "a@b/c"},
			"u u: add a:order~XXX@d20454 1, add n:order 1, min first:order, max last,\n"},
		{"return", streams.Event{Type: streams.Return, UserID: "u", Items: lines[:1], Country: "Germany"},
			`u u: add a:return@d20454 200, max last,
i a: add u:return 2, max last, add u:order@c20454/Germany -2,
`},
		{"view-by-anonymous", streams.Event{Type: streams.View, AnonymousID: "x", Items: []streams.Line{{ItemID: "a"}}, Country: "DE"},
			`u anon:x: max last, push history "view 1767268800000 a",
i a: add n:view 1, add n:view@h490908 1, max last,
`},
		{"exposure-leaves-the-user-alone", streams.Event{Type: streams.Exposure, UserID: "u", Items: []streams.Line{{ItemID: "a"}}},
			"i a: add n:exposure@d20454 1, max last,\n"},
		{"rating", streams.Event{Type: streams.Rating, UserID: "u", Items: []streams.Line{{ItemID: "a"}}, Rating: 4.5},
			"u u: max last,\ni a: add r:rating 4500000, add n:rating 1, max last,\n"},
		{"search", streams.Event{Type: streams.Search, UserID: "u", Query: "x"}, "u u: max last,\n"},
		{"nobody", streams.Event{Type: streams.View, Items: []streams.Line{{ItemID: "a"}, {ItemID: ""}}},
			"i a: add n:view 1, add n:view@h490908 1, max last,\n"},
		{"user-document", streams.Event{Type: streams.UserUpsert, UserID: "u", Attributes: map[string]any{"tier": "<gold>", "a": 1.0}},
			`u u: put "{\"a\":1,\"tier\":\"<gold>\"}",` + "\n"},
		{"user-document-empty", streams.Event{Type: streams.UserUpsert, UserID: "u"}, "u u: put \"{}\",\n"},
		{"user-delete", streams.Event{Type: streams.UserDelete, UserID: "u"}, "u u: remove,\n"},
		{"user-unknown", streams.Event{Type: streams.UserDelete}, ""},
		{"item-document", streams.Event{Type: streams.ItemUpsert, Items: []streams.Line{{ItemID: "a"}}, Attributes: map[string]any{"nan": math.NaN(), "x": "y"}},
			`i a: put "{\"x\":\"y\"}",` + "\n"},
		{"item-price-of-the-line", streams.Event{Type: streams.ItemUpsert, Items: []streams.Line{{ItemID: "a", Price: 7}}, Currency: "EUR"},
			`i a: put "{\"currency\":\"EUR\",\"price\":7}",` + "\n"},
		{"item-delete", streams.Event{Type: streams.ItemDelete, Items: []streams.Line{{ItemID: "a"}}}, "i a: remove document,\n"},
		{"item-unknown", streams.Event{Type: streams.ItemDelete}, ""},
		{"unknown-type", streams.Event{Type: "sneeze", UserID: "u"}, ""},
		{"huge", streams.Event{Type: streams.Order, UserID: "u", Items: []streams.Line{{ItemID: "a", Quantity: math.MaxInt64, Price: math.MaxInt64}}},
			`u u: add a:order@d20454 1000000000000000, add n:order 1, min first:order, max last, push history "order 1767268800000 a", push bought "a",
i a: add u:order 1000000000000000, max last,
`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.event.Time = noon
			if got := text(s.Fold(&tc.event)); got != tc.want {
				t.Errorf("got\n%s\nwant\n%s", got, tc.want)
			}
		})
	}
}

func TestBucketsBefore1970(t *testing.T) {
	for _, tc := range []struct{ a, b, want int64 }{{-1, 10, -1}, {-10, 10, -1}, {-11, 10, -2}, {0, 10, 0}, {9, 10, 0}, {10, 10, 1}} {
		if got := floorDiv(tc.a, tc.b); got != tc.want {
			t.Errorf("floorDiv(%d, %d) = %d, want %d", tc.a, tc.b, got, tc.want)
		}
	}
}

func TestBucketNames(t *testing.T) {
	for _, tc := range []struct {
		name  string
		unit  unit
		index int64
		rest  string
		ok    bool
	}{
		{"n:view@h490908", hourly, 490908, "", true},
		{"a:order~USD@d1", daily, 1, "", true},
		{countryBucket(20454, "a@h1"), country, 20454, "/a@h1", true},
		{"n:view", 0, 0, "", false}, {"n:view@", 0, 0, "", false}, {"n:view@x1", 0, 0, "", false},
		{"n:view@d", 0, 0, "", false}, {"n:view@d99999999999999999999", 0, 0, "", false},
	} {
		u, index, rest, ok := parseBucket(tc.name)
		if u != tc.unit && tc.ok || index != tc.index || rest != tc.rest || ok != tc.ok {
			t.Errorf("%s: got %c %d %q %v", tc.name, u, index, rest, ok)
		}
	}
}

// genEvent draws events that meet in few entities, over enough days that retention acts.
func genEvent(t *rapid.T, i int) streams.Event {
	e := streams.Event{
		Type:    rapid.SampledFrom(streams.Types()).Draw(t, "type"),
		Time:    noon.Add(time.Duration(rapid.Int64Range(0, 120*86400).Draw(t, "second"))*time.Second + time.Duration(i)*time.Millisecond),
		UserID:  "u",
		Country: rapid.SampledFrom([]string{"", "DE"}).Draw(t, "country"),
		Rating:  rapid.Float64Range(-5, 5).Draw(t, "rating"),
	}
	for range rapid.IntRange(0, 3).Draw(t, "lines") {
		e.Items = append(e.Items, streams.Line{ItemID: rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "item"),
			Quantity: rapid.Int64Range(0, 5).Draw(t, "quantity"), Price: rapid.Int64Range(0, 5000).Draw(t, "price")})
	}
	if rapid.Bool().Draw(t, "document") {
		e.Attributes = map[string]any{"price": rapid.Float64().Draw(t, "price"), "tags": []any{"x", 1.0}, "title": 3.0, "created_at": "2026-01-01"}
	}
	return e
}

// apply folds events into the states of all entities.
func apply(s *Schema, events []streams.Event) map[Entity]*State {
	out := map[Entity]*State{}
	for i := range events {
		for _, d := range s.Fold(&events[i]) {
			if out[d.Entity] == nil {
				out[d.Entity] = &State{}
			}
			out[d.Entity].Apply(s, d.Ops)
		}
	}
	return out
}

func drawEvents(t *rapid.T) []streams.Event {
	out := make([]streams.Event, rapid.IntRange(1, 50).Draw(t, "events"))
	for i := range out {
		out[i] = genEvent(t, i)
	}
	return out
}

func TestApplyCommutes(t *testing.T) {
	s := Default()
	rapid.Check(t, func(rt *rapid.T) {
		events := drawEvents(rt)
		for i := range events {
			if events[i].Type == streams.UserDelete {
				events[i].Type = streams.CartAdd // an erasure takes what was there before it: order matters by design
			}
		}
		want := fmt.Sprint(dump(apply(s, events)))
		if got := fmt.Sprint(dump(apply(s, rapid.Permutation(events).Draw(rt, "order")))); got != want {
			rt.Fatalf("got\n%s\nwant\n%s", got, want)
		}
	})
}

func dump(states map[Entity]*State) map[string]State {
	out := map[string]State{}
	for e, st := range states {
		out[string(rune(e.Kind))+e.ID] = *st
	}
	return out
}

func TestRetentionBoundsState(t *testing.T) {
	s := Default()
	st := &State{}
	most := 0
	for h := range 24 * 365 {
		e := streams.Event{Type: streams.View, Time: noon.Add(time.Duration(h) * time.Hour), UserID: "u", Items: []streams.Line{{ItemID: "a"}}}
		st.Apply(s, s.Fold(&e)[0].Ops)
		most = max(most, len(st.Counters))
	}
	// 48 h and the rest of a day of hourly buckets, 92 days of daily ones, first, last.
	if most > 24*3+2+92+2 {
		t.Fatalf("a user who comes every hour had up to %d counters", most)
	}
}

func TestEraseKeepsNewerDocument(t *testing.T) {
	s := Default()
	put := Op{Code: Put, Text: `{"tier":"gold"}`, Time: 100}
	count := func(at int64) Op { return Op{Code: Add, Field: "n:order", Value: 1, Time: at} }
	for _, tc := range []struct {
		name string
		ops  []Op
		want State
	}{
		{"document-first", []Op{put, {Code: Remove, Time: 100}}, State{Doc: put.Text, DocTime: 100, RemovedAt: 100}},
		{"document-second", []Op{{Code: Remove, Time: 100}, put}, State{Doc: put.Text, DocTime: 100, RemovedAt: 100}},
		{"older-document", []Op{{Code: Remove, Time: 101}, put}, State{RemovedAt: 101}},
		{"older-erasure", []Op{{Code: Remove, Time: 101}, count(102), {Code: Remove, Time: 50}}, State{RemovedAt: 101, Counters: map[string]int64{"n:order": 1}}},
		{"late-event", []Op{count(1), {Code: Remove, Time: 101}, count(100), count(101)}, State{RemovedAt: 101}},
		{"withdrawn", []Op{put, {Code: Remove, Field: DocumentField, Time: 101}}, State{DocTime: 101}},
		{"withdrawn-at-once", []Op{put, {Code: Remove, Field: DocumentField, Time: 100}}, State{Doc: put.Text, DocTime: 100}},
		{"withdrawn-before", []Op{{Code: Remove, Field: DocumentField, Time: 101}, put, count(1)}, State{DocTime: 101, Counters: map[string]int64{"n:order": 1}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			st := &State{}
			for _, op := range tc.ops {
				st.Apply(s, []Op{op})
			}
			if got := fmt.Sprint(*st); got != fmt.Sprint(tc.want) {
				t.Errorf("got %s, want %v", got, tc.want)
			}
		})
	}
}

func TestAddSaturates(t *testing.T) {
	for _, tc := range []struct{ a, b, want int64 }{
		{math.MaxInt64, 1, math.MaxInt64}, {math.MinInt64, -1, math.MinInt64}, {1, 2, 3}, {math.MaxInt64, -1, math.MaxInt64 - 1},
	} {
		if got := addSaturated(tc.a, tc.b); got != tc.want {
			t.Errorf("%d + %d = %d", tc.a, tc.b, got)
		}
	}
}
