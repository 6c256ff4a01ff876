package features

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sartorhq/sartor/streams"
)

func TestDifferences(t *testing.T) {
	s := Default()
	events := []streams.Event{at(streams.View, "a", noon), at(streams.Order, "b", noon.Add(time.Hour)),
		{Type: streams.UserUpsert, UserID: "u", Time: noon, Attributes: map[string]any{"tier": "gold"}}}
	want := apply(s, events)[Entity{UserEntity, "u"}]
	if d := want.Differences(apply(s, events)[Entity{UserEntity, "u"}]); len(d) != 0 {
		t.Errorf("equal states differ: %v", d)
	}
	got := apply(s, append(slices.Clone(events[:1]), at(streams.View, "c", noon.Add(time.Minute))))[Entity{UserEntity, "u"}]
	var lines []string
	for _, d := range want.Differences(got) {
		lines = append(lines, fmt.Sprintf("%s: %s, not %s", d.Field, d.Want, d.Got))
	}
	for _, line := range []string{"n:order: 1, not ", "n:view@h490908: 1, not 2", `document: {"tier":"gold"} at 2026-01-01T12:00:00Z, not `,
		"list history[0]: order b 2026-01-01T13:00:00Z, not view c 2026-01-01T12:01:00Z"} {
		if !slices.Contains(lines, line) {
			t.Errorf("%q is not among\n%s", line, strings.Join(lines, "\n"))
		}
	}
	if d := (&State{}).Differences(nil); d != nil {
		t.Errorf("nothing is not nothing: %v", d)
	}
	if d := (&State{RemovedAt: 5}).Differences(nil); len(d) != 1 || d[0].Field != "erased" {
		t.Errorf("got %v", d)
	}
}

func TestBreaksErasure(t *testing.T) {
	s := Default()
	gone := streams.Event{Type: streams.UserDelete, UserID: "u", Time: noon}
	after := apply(s, []streams.Event{gone, at(streams.View, "a", noon.Add(-time.Second)), at(streams.View, "a", noon.Add(time.Second))})[Entity{UserEntity, "u"}]
	if after.BreaksErasure() || len(after.Counters) == 0 {
		t.Errorf("what came after breaks nothing: %+v", after)
	}
	for name, st := range map[string]*State{
		"bucket":   {RemovedAt: noon.UnixMilli(), Counters: map[string]int64{"n:view@h490907": 1}},
		"moment":   {RemovedAt: noon.UnixMilli(), Counters: map[string]int64{"first": noon.UnixMilli()}},
		"entry":    {RemovedAt: noon.UnixMilli(), Lists: map[string][]Entry{"history": {{Time: noon.UnixMilli() - 1}}}},
		"document": {RemovedAt: noon.UnixMilli(), Doc: "{}", DocTime: noon.UnixMilli() - 1},
	} {
		if !st.BreaksErasure() {
			t.Errorf("%s: not noticed", name)
		}
	}
}

func TestOrigin(t *testing.T) {
	s := Default()
	for name, want := range map[string]string{"tier": "document", "attrs": "document, other keys", "views_24h": "count of view in 24h",
		"spend_7d": "sum amount of order minus return in 7d", "top_brands": "top of brand 14d", "avg_order_value": "ratio of spend by orders",
		"session_items": "session of items 30m", "cart_items": "list of last_carted unless cart-remove, order", "nothing": ""} {
		if got := s.Origin(UserEntity, name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	if got, want := s.Origin(ItemEntity, "trend"), "trend of view, click, cart-add, order in 24h over 7d"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
