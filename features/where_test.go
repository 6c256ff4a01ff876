package features

import (
	"strings"
	"testing"

	"github.com/sartorhq/sartor/streams"
)

func TestLanguageRefuses(t *testing.T) {
	for name, tc := range map[string]struct{ section, field, want string }{
		"where-unknown":     {"user", `x: {type: int, default: 0, count: {events: [view], where: {region: DE}}, doc: d, example: e}`, "unknown condition; use country, scenario, currency or attributes.NAME"},
		"where-empty":       {"user", `x: {type: int, default: 0, count: {events: [view], where: {}}, doc: d, example: e}`, "need 1 to 4 conditions"},
		"where-no-value":    {"user", `x: {type: int, default: 0, count: {events: [view], where: {country: ""}}, doc: d, example: e}`, "an event that does not say never counts"},
		"where-trend":       {"item", `x: {type: number, default: 0, trend: {of: count, events: [view], recent: 1h, past: 9h, where: {country: DE}}, doc: d, example: e}`, "unknown key"},
		"where-from":        {"user", `x: {type: "[]text", max: 2, default: [], list: {from: bought, unless: [return], where: {country: DE}}, doc: d, example: e}`, "where goes with events"},
		"distinct-item":     {"item", `x: {type: int, default: 0, distinct: {of: item, events: [view]}, doc: d, example: e}`, "items can only count each day once"},
		"distinct-window":   {"user", `x: {type: int, default: 0, distinct: {of: day, events: [view]}, doc: d, example: e}`, "needs a window of more than 48h"},
		"distinct-where":    {"user", `x: {type: int, default: 0, distinct: {of: item, events: [view], where: {country: DE}}, doc: d, example: e}`, "the history does not keep what where looks at"},
		"distinct-unknown":  {"user", `x: {type: int, default: 0, distinct: {of: color, events: [view]}, doc: d, example: e}`, "of must be day, item or a text field of items"},
		"distinct-history":  {"user", `x: {type: int, default: 0, distinct: {of: item, events: [click]}, doc: d, example: e}`, "the history does not hold click events"},
		"max-type":          {"user", `x: {type: int, default: 0, max: {of: amount, events: [order]}, doc: d, example: e}`, "has the type money, not int"},
		"max-of":            {"user", `x: {type: int, default: 0, max: {of: count, events: [order]}, doc: d, example: e}`, "must be one of [units amount rating]"},
		"session-item":      {"item", `x: {type: int, default: 0, session: {of: events, gap: 30m}, doc: d, example: e}`, "items keep no history"},
		"session-of":        {"user", `x: {type: int, default: 0, session: {of: pages, gap: 30m}, doc: d, example: e}`, "of must be one of events, items, minutes"},
		"together-user":     {"user", `x: {type: "[]text", max: 2, default: [], together: {events: [order], remember: 9}, doc: d, example: e}`, "together is for items"},
		"together-remember": {"item", `x: {type: "[]text", max: 20, default: [], together: {events: [order], remember: 9}, doc: d, example: e}`, "remember must not be less than max"},
		"age-of":            {"user", `x: {type: number, default: 0, age: {of: orders, unit: 1d}, doc: d, example: e}`, "needs a field of type time"},
		"rate-per":          {"item", `x: {type: number, default: 0, rate: {events: [click]}, doc: d, example: e}`, "per is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse("s", []byte(strings.Replace(small, tc.section+":\n", tc.section+":\n  "+tc.field+"\n", 1)))
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %s", err, tc.want)
			}
		})
	}
}

// A filter is the same however it is written, and never takes an event that does not say.
func TestFilter(t *testing.T) {
	parse := func(where string) filter {
		s, err := Parse("s", []byte(strings.Replace(small, "user:\n", "user:\n  x: {type: int, default: 0, count: {events: [view], where: "+where+"}, doc: d, example: e}\n", 1)))
		if err != nil {
			t.Fatal(err)
		}
		return find(s.user, "x").Where
	}
	a, b := parse("{country: [de, AT, DE], attributes.vip: true}"), parse("{attributes.vip: true, country: [AT, de]}")
	if a.suffix() != b.suffix() || len(a.suffix()) != 11 || parse("{country: DE}").suffix() == a.suffix() {
		t.Errorf("got %s and %s", a.suffix(), b.suffix())
	}
	for name, tc := range map[string]struct {
		e    streams.Event
		want bool
	}{
		"both":      {streams.Event{Country: "at", Attributes: map[string]any{"vip": true}}, true},
		"other":     {streams.Event{Country: "FR", Attributes: map[string]any{"vip": true}}, false},
		"says-not":  {streams.Event{Country: "AT"}, false},
		"not-plain": {streams.Event{Country: "AT", Attributes: map[string]any{"vip": []any{true}}}, false},
	} {
		if got := a.takes(&tc.e); got != tc.want {
			t.Errorf("%s: got %v", name, got)
		}
	}
}

// A bulk order pairs its first items only.
func TestTogetherIsBounded(t *testing.T) {
	s, err := Parse("s", []byte(strings.Replace(small, "item:\n", "item:\n  with: {type: \"[]text\", max: 2, default: [], together: {events: [order], remember: 9}, doc: d, example: e}\n", 1)))
	if err != nil {
		t.Fatal(err)
	}
	e := streams.Event{Type: streams.Order, UserID: "u", Time: noon}
	for i := range 300 {
		e.Items = append(e.Items, streams.Line{ItemID: strings.Repeat("x", i+1), Quantity: 1})
	}
	pushes := 0
	for _, d := range s.Fold(&e) {
		for _, op := range d.Ops {
			if op.Field == "i.with" {
				pushes++
			}
		}
	}
	if want := maxPaired * (maxPaired - 1); pushes != want {
		t.Errorf("got %d pairs, want %d", pushes, want)
	}
}
