package streams

import (
	"slices"
	"testing"
)

func TestTypesAndStreams(t *testing.T) {
	carried := map[Stream]int{}
	for _, typ := range Types() {
		s := typ.Stream()
		if !slices.Contains(Streams(), s) {
			t.Errorf("%s travels on %q, which is no stream", typ, s)
		}
		carried[s]++
	}
	for _, s := range Streams() {
		if (carried[s] == 0) != (s == DeadLetters) {
			t.Errorf("%s carries %d types", s, carried[s])
		}
		if s.Compacted() != (s == Catalog || s == Users) {
			t.Errorf("%s compacted: %v", s, s.Compacted())
		}
	}
	if got := Type("purchase").Stream(); got != "" {
		t.Errorf("an unknown type travels on %q", got)
	}
	types := Types()
	slices.Sort(types)
	if len(slices.Compact(types)) != len(Types()) {
		t.Error("a type is listed twice")
	}
}

func TestSubjectAndKey(t *testing.T) {
	item := []Line{{ItemID: "sku-1"}}
	tests := map[string]struct {
		e            Event
		subject, key string
	}{
		"user":            {Event{Type: View, UserID: "u", Items: item}, "u", "u"},
		"both":            {Event{Type: View, UserID: "u", AnonymousID: "a", Items: item}, "u", "u"},
		"anonymous":       {Event{Type: Order, AnonymousID: "a", Items: item}, "anon:a", "anon:a"},
		"nobody":          {Event{Type: View, Items: item}, "", ""},
		"item":            {Event{Type: ItemUpsert, Items: item}, "", "sku-1"},
		"item-by-someone": {Event{Type: ItemDelete, UserID: "u", Items: item}, "u", "sku-1"},
		"item-missing":    {Event{Type: ItemDelete}, "", ""},
		"user-document":   {Event{Type: UserUpsert, UserID: "u"}, "u", "u"},
		"merge":           {Event{Type: UserMerge, UserID: "u", AnonymousID: "a"}, "u", "anon:a"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := tt.e.Subject(); got != tt.subject {
				t.Errorf("subject %q, want %q", got, tt.subject)
			}
			if got := tt.e.Key(); got != tt.key {
				t.Errorf("key %q, want %q", got, tt.key)
			}
			if got := IsAnonymous(tt.e.Subject()); got != (tt.e.UserID == "" && tt.e.AnonymousID != "") {
				t.Errorf("anonymous: %v", got)
			}
		})
	}
}

func TestAmount(t *testing.T) {
	total := int64(2500)
	zero := int64(0)
	lines := []Line{{ItemID: "a", Quantity: 2, Price: 1299}, {ItemID: "b", Quantity: 1, Price: 1}}
	tests := map[string]struct {
		e    Event
		want int64
	}{
		"lines":      {Event{Items: lines}, 2599},
		"total-wins": {Event{Items: lines, Total: &total}, 2500},
		"free":       {Event{Items: lines, Total: &zero}, 0},
		"no-details": {Event{Total: &total}, 2500},
		"nothing":    {Event{}, 0},
		"views":      {Event{Items: []Line{{ItemID: "a", Price: 100}}}, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := tt.e.Amount(); got != tt.want {
				t.Errorf("got %d, want %d", got, tt.want)
			}
		})
	}
}
