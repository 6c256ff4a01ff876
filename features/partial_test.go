package features

import (
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/sartorhq/sartor/streams"
)

// TestItemReaderAgreesWithItem reads every field alone, and some together, of items of all kinds, and
// wants what Schema.Item says of them.
func TestItemReaderAgreesWithItem(t *testing.T) {
	s, now := Default(), time.Date(2026, 10, 23, 12, 30, 0, 0, time.UTC)
	sold := &State{}
	for i, e := range []streams.Event{
		{Type: streams.ItemUpsert, Time: now.Add(-48 * time.Hour), Items: []streams.Line{{ItemID: "i"}},
			Attributes: map[string]any{"price": 1999.0, "cost": 1000.0, "category": "coats", "tags": []any{"a"}, "color": "red", "rating": 4.5, "created_at": "2026-10-01"}},
		{Type: streams.Order, Time: now.Add(-time.Hour), Country: "DE", UserID: "u", Items: []streams.Line{{ItemID: "i", Quantity: 3, Price: 1999}}},
		{Type: streams.View, Time: now.Add(-time.Minute), UserID: "u", Items: []streams.Line{{ItemID: "i"}}},
	} {
		e.ID = string(rune('a' + i))
		for _, d := range s.Fold(&e) {
			if d.Entity.Kind == ItemEntity {
				sold.Apply(s, d.Ops)
			}
		}
	}
	states := []*State{nil, {}, sold, {DocTime: 5}, {Doc: `{"price":100,"stock":0,"title":"x \u00e9","brand":{"no":1}}`, DocTime: 1}, {Doc: `{"price":1`, DocTime: 1},
		{Doc: `{"price":100,"cost":50,"currency":"JPY","created_at":"2026-10-01","rating":4,"stock":null}`, DocTime: 1}, {Doc: `{"price":1.5,"stock":3,"currency":5}`, DocTime: 1},
		{Doc: `{"tags":["a"],"currency":"JPY","price":100,"created_at":"yesterday"}`, DocTime: 1}}
	var names []string
	for _, f := range s.ItemFields() {
		names = append(names, f.Name)
	}
	rng := rand.New(rand.NewPCG(1, 1))
	for n, st := range states {
		want := s.Item("i", st, now)
		var got Item // used again and again, as a reader's caller does
		for i := range len(names) + 50 {
			fields := names
			switch {
			case i < len(names):
				fields = names[i : i+1]
			case i < len(names)+49:
				fields = slices.Clone(names)
				rng.Shuffle(len(fields), func(a, b int) { fields[a], fields[b] = fields[b], fields[a] })
				fields = append(fields[:rng.IntN(8)], "no such field")
			}
			s.ItemReader(fields).Read(&got, "i", st, now)
			checkScan(t, s, fields, states, n, now)
			for _, name := range append([]string{"id"}, fields...) {
				if name != "no such field" && (!reflect.DeepEqual(got.Env[name], want.Env[name]) || got.Known[name] != want.Known[name]) {
					t.Fatalf("state %d, %s of %v: %v (known %v), want %v (%v)", n, name, fields, got.Env[name], got.Known[name], want.Env[name], want.Known[name])
				}
			}
			sales := len(got.SalesByCountry) == len(want.SalesByCountry) && got.SalesByCountry["DE"] == want.SalesByCountry["DE"]
			if got.ID != "i" || got.Deleted != want.Deleted || got.UnitsTotal != want.UnitsTotal || got.ViewsTotal != want.ViewsTotal || !sales {
				t.Fatalf("state %d: %+v, want %+v", n, got, want)
			}
		}
	}
}

// checkScan scans all states up to one, so that each is read where others were, and wants of the last what
// Schema.Item says; and the same of its numbers.
func checkScan(t *testing.T, s *Schema, fields []string, states []*State, n int, now time.Time) {
	t.Helper()
	scan, numbers, out, sums := s.ItemReader(fields).Scan(), s.ItemNumbers(fields), make([]float64, len(fields)), Item{}
	var got *Item
	for _, st := range states[:n+1] {
		got = scan.Read("i", st, now)
		numbers.Read(out, &sums, "i", st, now)
	}
	want := s.Item("i", states[n], now)
	if sums.Deleted != want.Deleted || sums.UnitsTotal != want.UnitsTotal || sums.SalesByCountry["DE"] != want.SalesByCountry["DE"] {
		t.Fatalf("state %d: %+v, want %+v", n, sums, want)
	}
	if got.ID != "i" || got.Env["id"] != "i" || got.Deleted != want.Deleted {
		t.Fatalf("state %d: %+v, want %+v", n, got, want)
	}
	for i, name := range fields {
		number := 0.0
		switch v := want.Env[name].(type) {
		case int:
			number = float64(v)
		case float64:
			number = v
		case time.Time:
			if !v.IsZero() {
				number = float64(v.UnixMilli())
			}
		}
		if out[i] != number {
			t.Fatalf("state %d, number %s of %v: %v, want %v", n, name, fields, out[i], number)
		}
		if name == "no such field" {
			continue
		}
		if !reflect.DeepEqual(got.Env[name], want.Env[name]) || got.Known[name] != want.Known[name] {
			t.Fatalf("state %d, scanned %s of %v: %v (known %v), want %v (%v)", n, name, fields, got.Env[name], got.Known[name], want.Env[name], want.Known[name])
		}
	}
}

// FuzzPickKeys wants what encoding/json says whenever the picker believes that it understands.
func FuzzPickKeys(f *testing.F) {
	for _, text := range []string{`{}`, `{"a":1}`, ` { "a" : -0.5e+3 , "b":"x","a":true,"c":null} `, `{"a":01}`, `{"a":1e999,"b":2}`, `{"a":"\n"}`, `{"a":[1],"b":2}`,
		`{"a":1,}`, `{"a":1}x`, `{"a":.5}`, `{"a":tru}`, "{\"a\":\"\x00\"}", "{\"a\":\"\xff\"}", `[1]`, `{"a":1.}`, `{"a":-}`, ``} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, ok := pickKeys(text, []string{"a", "b"}, map[string]any{"of": "before"})
		if !ok {
			return
		}
		var want map[string]any
		if err := json.Unmarshal([]byte(text), &want); err != nil {
			t.Fatalf("%q was picked from, but: %v", text, err)
		}
		for _, k := range []string{"a", "b"} {
			v, has := got[k]
			w, wanted := want[k]
			if has != wanted || !reflect.DeepEqual(v, w) {
				t.Fatalf("%q: %s is %v (%v), want %v (%v)", text, k, v, has, w, wanted)
			}
		}
	})
}
