package suggest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/rules"
	"github.com/sartorhq/sartor/rules/rulefile"
	"github.com/sartorhq/sartor/rules/rulestest"
	"github.com/sartorhq/sartor/streams"
)

var now = time.Date(2026, 10, 23, 12, 0, 0, 0, time.UTC)

func ago(days int) time.Time { return now.AddDate(0, 0, -days) }

func goods(id, category string, price, cost, stock float64) *streams.Event {
	return &streams.Event{Type: streams.ItemUpsert, Time: ago(60), Items: []streams.Line{{ItemID: id}},
		Attributes: map[string]any{"category": category, "price": price, "cost": cost, "stock": stock}}
}

func order(t streams.Type, at time.Time, id string, n int64) *streams.Event {
	return &streams.Event{Type: t, Time: at, Items: []streams.Line{{ItemID: id, Quantity: n}}}
}

func exposure(at time.Time, rules []any, ids ...string) *streams.Event {
	e := &streams.Event{Type: streams.Exposure, Time: at, Attributes: map[string]any{"rules": rules}}
	for i, id := range ids {
		e.Items = append(e.Items, streams.Line{ItemID: id, Position: i + 1})
	}
	return e
}

// verify holds a suggestion to what is asked of every author: no warning, canonical, tests that pass.
func verify(t *testing.T, s Suggestion) {
	t.Helper()
	f, read := rulefile.Parse(s.Name+".yaml", []byte(s.Rules))
	_, compiled := rules.Compile([]rules.File{f}, features.Default(), rules.Options{Now: now})
	if problems := rulefile.Merge(read, compiled); len(problems) > 0 {
		t.Fatalf("%+v\n%s", problems, s.Rules)
	}
	test, problems := rulestest.Parse(s.Name+".test.yaml", []byte(s.Test), features.Default())
	if len(problems) > 0 {
		t.Fatalf("%+v\n%s", problems, s.Test)
	}
	results, problems := rulestest.Run(test, f, features.Default())
	var b strings.Builder
	if passed, err := rulestest.Report(&b, results, false); !passed || err != nil || len(problems) > 0 || len(results) != 2 {
		t.Errorf("%v %+v %s\n%s%s", err, problems, b.String(), s.Rules, s.Test)
	}
}

func TestRisingCategories(t *testing.T) {
	l := NewLog()
	for _, e := range []*streams.Event{
		goods("c1", "coats", 100, 90, 0), goods("c2", "coats", 100, 90, 0), goods("h1", "hats", 100, 90, 0), goods("s1", "socks", 100, 90, 0), goods("n1", "new", 100, 90, 0),
		// coats 25 -> 80 (81 less one return): (80-25)/sqrt(105) = 5.4; hats 12 -> 20 is within chance; socks fall.
		order(streams.Order, ago(1), "c1", 50), order(streams.Order, ago(6), "c2", 31), order(streams.Return, ago(0), "c2", 1),
		order(streams.Order, ago(7), "c1", 20), order(streams.Order, ago(13), "c2", 5), order(streams.Order, ago(14), "c1", 999),
		order(streams.Order, ago(1), "h1", 20), order(streams.Order, ago(8), "h1", 12),
		order(streams.Order, ago(1), "s1", 30), order(streams.Order, ago(8), "s1", 90),
		order(streams.Order, ago(1), "n1", 300), // sold nothing before: that is new, not rising
	} {
		l.Add(e)
	}
	got := l.Suggest(nil, Options{Owner: "jane"})
	if len(got) != 1 {
		t.Fatalf("%d suggestions: %+v", len(got), got)
	}
	s := got[0]
	if s.Kind != "rising-category" || s.Name != "rising-coats" || s.Evidence[0] != "80 units in the 7 days up to 2026-10-23, 25 in the 7 days before: times 3.20" || s.Evidence[1] != "5.4 standard deviations above chance" {
		t.Errorf("%+v", s)
	}
	if !strings.Contains(s.Rules, "multiply: 1.5}") || !strings.Contains(s.Rules, "until: 2026-11-07") || !strings.Contains(s.Rules, "# - 80 units") {
		t.Errorf("%s", s.Rules)
	}
	verify(t, s)
}

func TestHiddenItems(t *testing.T) {
	l := NewLog()
	for _, e := range []*streams.Event{
		goods("rich", "a", 1000, 500, 40), goods("poor", "a", 1000, 600, 10), goods("seen", "a", 1000, 500, 40), goods("long-ago", "a", 1000, 500, 11),
		goods("thin", "a", 1000, 900, 40), goods("rare", "a", 1000, 500, 3), goods("gone", "a", 1000, 500, 40),
		{Type: streams.ItemUpsert, Time: ago(50), Items: []streams.Line{{ItemID: "unpriced"}}, Attributes: map[string]any{"stock": 99.0}},
		{Type: streams.ItemDelete, Time: ago(3), Items: []streams.Line{{ItemID: "gone"}}},
		exposure(ago(31), nil, "long-ago"),
	} {
		l.Add(e)
	}
	if got := l.Suggest([]string{"quiet"}, Options{}); len(got) != 0 {
		t.Fatalf("suggestions from %d places: %+v", l.shown, got)
	}
	for range 999 {
		l.Add(exposure(now, []any{"loud"}, "seen"))
	}
	got := l.Suggest([]string{"loud", "quiet"}, Options{})
	if len(got) != 2 || got[0].Kind != "hidden-items" || got[1].Name != "quiet" || got[1].Rules != "" {
		t.Fatalf("%+v", got)
	}
	s := got[0]
	// Profit on hand: 40 x 5.00, 11 x 5.00, 10 x 4.00.
	if !strings.Contains(s.Rules, `values: ["rich", "long-ago", "poor"]`) || s.Evidence[1] != "rich: 40 in stock, margin 50%, profit on hand 200.00" {
		t.Errorf("%v\n%s", s.Evidence, s.Rules)
	}
	if got[1].Evidence[0][:42] != "it acted in none of 1000 recorded lists; g" {
		t.Errorf("%v", got[1].Evidence)
	}
	verify(t, s)
}

// TestStrangeNames writes files for whatever a shop calls things.
func TestStrangeNames(t *testing.T) {
	for i, name := range []string{"rain coats", `it's "hot"`, "Ünïcode 漢字", "a: b # c", "x\ny", "!tag", "007", strings.Repeat("long ", 30), `back\slash`} {
		l := NewLog()
		l.Add(goods(name, name, 1000, 500, 40))
		l.Add(order(streams.Order, ago(1), name, 90))
		l.Add(order(streams.Order, ago(8), name, 10))
		for range 1000 {
			l.Add(exposure(now, nil, "other"))
		}
		got := l.Suggest(nil, Options{})
		if len(got) != 2 {
			t.Fatalf("%d: %d suggestions", i, len(got))
		}
		for _, s := range got {
			verify(t, s)
		}
	}
	if a, b := slug("a/b"), slug("a.b"); a == b {
		t.Errorf("%s stands for two names", a)
	}
}

func TestMostOfAKind(t *testing.T) {
	l := NewLog()
	for i := range 9 {
		id := fmt.Sprint("c", i)
		l.Add(goods(id, id, 0, 0, 0))
		l.Add(order(streams.Order, ago(1), id, int64(50+i)))
		l.Add(order(streams.Order, ago(8), id, 10))
	}
	var names []string
	for _, s := range l.Suggest(nil, Options{Most: 2}) {
		names = append(names, s.Name)
	}
	if got := strings.Join(names, " "); got != "rising-c8 rising-c7" {
		t.Errorf("%s, want the two that rise most", got)
	}
}
