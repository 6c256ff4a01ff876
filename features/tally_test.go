package features

import (
	"reflect"
	"testing"
	"time"

	"github.com/sartorhq/sartor/streams"
)

// What a user did by category and brand follows the catalogue as it is now, and the window.
func TestTally(t *testing.T) {
	s, err := parseWith(t, "user:\n", `user:
  by_category: {type: map, max: 2, default: {}, tally: {of: category, events: [view, order], window: 7d}, doc: d, example: e}
  by_item: {type: map, max: 9, default: {}, tally: {of: item, events: [view]}, doc: d, example: e}
`)
	if err != nil {
		t.Fatal(err)
	}
	log := []streams.Event{at(streams.View, "a", noon.Add(-8*day)), at(streams.View, "a", noon.Add(-day)), at(streams.View, "b", noon.Add(-time.Hour)),
		at(streams.Order, "c", noon.Add(-time.Hour)), at(streams.View, "d", noon), at(streams.Click, "d", noon)}
	st := apply(s, log)[Entity{UserEntity, "u"}]
	items := func(id string) *Item {
		category := map[string]string{"a": "coats", "b": "shoes", "c": "coats", "d": "bags"}[id]
		return &Item{ID: id, Env: map[string]any{"category": category}}
	}
	u := s.User("u", st, items, noon)
	for name, want := range map[string]map[string]string{"by_category": {"coats": "2", "bags": "1"}, "by_item": {"a": "2", "b": "1", "d": "1"}} {
		if !reflect.DeepEqual(u.Env[name], want) || !u.Known[name] {
			t.Errorf("%s = %v, want %v", name, u.Env[name], want)
		}
	}
	if bare := s.User("u", st, nil, noon); bare.Known["by_category"] || !bare.Known["by_item"] {
		t.Error("without a catalogue there are no categories")
	}
	if nobody := s.User("x", nil, items, noon); len(nobody.Env["by_item"].(map[string]string)) != 0 {
		t.Error("nobody did anything")
	}
}
