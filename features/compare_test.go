package features

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestCompare(t *testing.T) {
	const views = `  views_1h: {type: int, default: 0, count: {events: [view], window: 1h}, doc: d, example: e}`
	for name, tc := range map[string]struct {
		old, new string
		want     []string
	}{
		"same":             {"doc: d", "doc: another", nil},
		"default":          {"first_order: {type: time, default: \"\"", "first_order: {type: time, default: 2026-01-01T00:00:00Z", []string{"changed user.first_order false follows from what is stored"}},
		"removed":          {views, "", []string{"removed item.views_1h false what it stored goes with a rebuild, or by age"}},
		"added-free":       {views, views + "\n  views_2h: {type: int, default: 0, count: {events: [view], window: 1h}, doc: d, example: e}", []string{"added item.views_2h false follows from what is stored"}},
		"added-longer":     {views, views + "\n  views_9h: {type: int, default: 0, count: {events: [view], window: 9h}, doc: d, example: e}", []string{"added item.views_9h true buckets older than 1 hours and 7 days have been dropped"}},
		"added-bucket":     {views, views + "\n  views_7d: {type: int, default: 0, count: {events: [view], window: 7d}, doc: d, example: e}", []string{"added item.views_7d true count of view events is not stored so far"}},
		"added-event":      {views, views + "\n  clicks: {type: int, default: 0, count: {events: [click]}, doc: d, example: e}", []string{"added item.clicks true count of click events is not stored so far"}},
		"added-moment":     {"context: {}", "context: {}", nil},
		"window-shorter":   {"minus: [return], window: 7d", "minus: [return], window: 3d", []string{"changed user.spend_7d false follows from what is stored"}},
		"list-longer":      {`max: 2, default: [], list`, `max: 3, default: [], list`, []string{"changed user.bought true the list has been cut to 2 entries"}},
		"list-shorter":     {`max: 2, default: [], list`, `max: 1, default: [], list`, []string{"changed user.bought false follows from what is stored"}},
		"list-more-events": {`list: {events: [order]}`, `list: {events: [order, view]}`, []string{"changed user.bought true the list does not hold view events so far"}},
		"list-less-events": {`events: [view, order]}`, `events: [order]}`, []string{"changed history true the list holds events that do not belong in it any more"}},
		"currency":         {"currency: EUR", "currency: USD", []string{`changed currency true amounts were summed in "EUR" and are to be in "USD"`}},
		"first-seen":       {"  first_order:", "  first_view: {type: time, default: \"\", first: {events: [view]}, doc: d, example: e}\n  first_order:", []string{"added user.first_view true the time of view events is not stored so far"}},
		"shown-added":      {"user:", "shown: {max: 9, window: 2d}\nuser:", []string{"added shown true the list is not stored so far"}},
		"exposures-added":  {"user:", "user:\n  seen: {type: int, default: 0, count: {events: [exposure]}, doc: d, example: 1}", []string{"added user.seen true count of exposure events is not stored so far"}},
		"context":          {"context: {}", "context:\n  device: {type: text, default: \"\", doc: d, example: e}", []string{"added context.device false follows from what is stored"}},
	} {
		t.Run(name, func(t *testing.T) {
			next, err := Parse("s", []byte(strings.Replace(small, tc.old, tc.new, 1)))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, c := range Compare(smallSchema(t), next) {
				got = append(got, fmt.Sprintf("%s %s %v %s", c.Kind, c.Field, c.Rebuild, c.Why))
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(tc.want, "\n"))
			}
		})
	}
}
