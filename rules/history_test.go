package rules

import (
	"strings"
	"testing"
	"time"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/streams"
)

func ago(event, item string, d time.Duration) features.Entry {
	return features.Entry{Type: streams.Type(event), ItemID: item, Time: friday.Add(-d).UnixMilli()}
}

// "Bought lately", "shown too often" and a fatigue that grows with each showing, with their limits
// in time: what is older than the span no longer counts.
func TestHistory(t *testing.T) {
	s := compiled(t, rulesOf(
		mk("bought", match(`did("order", days(90))`), then(act("exclude"))),
		mk("enough", match(`times("exposure", days(1)) >= 3`), then(act("exclude"))),
		mk("tired", match(`did("exposure", days(7))`), then(act("bury", "multiply", `1 / (1 + times("exposure", days(7)))`))),
	))
	env := at(nil, nil)
	day := 24 * time.Hour
	env.User.History = []features.Entry{ago("order", "new", 10*day), ago("view", "b", time.Hour), ago("order", "old", 91*day), ago("order", "edge", 90*day)}
	env.Shown = []features.Entry{ago("exposure", "often", time.Hour), ago("exposure", "often", 2*time.Hour), ago("exposure", "often", 3*time.Hour),
		ago("exposure", "b", time.Hour), ago("exposure", "b", 2*day), ago("exposure", "b", 8*day)}
	var in []Candidate
	for _, id := range []string{"new", "old", "edge", "often", "b"} {
		in = append(in, thing(id, 0.9, nil))
	}
	r := s.Apply(env, nil, informed(s, in), 5, true)
	if got := ids(r); got != "old b" || r.Items[1].Score != 0.3 {
		t.Errorf("got %s, %+v", got, r.Items)
	}
	if by := r.Trace.Removed; by["new"] != "bought" || by["edge"] != "bought" || by["often"] != "enough" {
		t.Errorf("removed %v", by)
	}
}

// A filter may ask too; a visitor without a past has done nothing.
func TestHistoryInFilters(t *testing.T) {
	c, problems := CompileFilter(`not did("view", days(7))`, schema())
	if c == nil {
		t.Fatal(problems)
	}
	env := at(nil, nil)
	env.User.History = []features.Entry{ago("view", "a", time.Hour)}
	for id, want := range map[string]bool{"a": false, "b": true} {
		if ok, err := c.Match(env, thing(id, 0, nil).Item); ok != want || err != nil {
			t.Errorf("%s: %v %v", id, ok, err)
		}
	}
	if ok, err := c.Match(&Env{Now: friday}, thing("a", 0, nil).Item); !ok || err != nil {
		t.Errorf("nobody: %v %v", ok, err)
	}
}

func TestNewNamesAreExplained(t *testing.T) {
	for src, want := range map[string]string{
		`did("oder", days(3))`:               "R014 there is no event `oder`",
		`did("order")`:                       "R002 `did` takes 2 values, not 1",
		`did(item.brand, days(3))`:           "R002 `did` needs a fixed event here",
		`request.source_item.categry == "x"`: "R001 unknown field `request.source_item.categry`",
		`model.nam == "als"`:                 "R001 unknown field `model.nam`",
		`model.age > 3`:                      "R002",
		`times("order", 3) > 1`:              "R002 `times` takes a time span here; `3` is a number",
		"`the history` == 1":                 "R0",
	} {
		_, problems := CompileFilter(src, schema())
		if len(problems) == 0 || !strings.HasPrefix(problems[0].Code+" "+problems[0].Message, want) {
			t.Errorf("%s: %+v", src, problems)
		}
	}
	_, problems := Compile([]File{rulesOf(mk("r", when(`did("order", days(3))`), then(act("inject", "source", "hot"))))}, schema(), Options{})
	if len(problems) != 1 || !strings.Contains(problems[0].Message, "`when` cannot look at `did(...)`") {
		t.Errorf("in when: %+v", problems)
	}
}

// A rule about similar items compares with the item that is looked at; without one, with defaults.
func TestSourceItem(t *testing.T) {
	s := compiled(t, rulesOf(mk("same-brand", match(`item.brand == request.source_item.brand and item.price < request.source_item.price`), then(act("boost", "multiply", "2")))))
	in := []Candidate{thing("a", 0.25, map[string]any{"brand": "x", "price": 5.0}), thing("b", 0.375, map[string]any{"brand": "x", "price": 20.0})}
	env := at(nil, nil)
	if got := ids(s.Apply(env, nil, in, 2, false)); got != "b a" {
		t.Errorf("without a source item: %s", got)
	}
	env.Source = thing("s", 0, map[string]any{"brand": "x", "price": 10.0}).Item
	if got := ids(s.Apply(env, nil, in, 2, false)); got != "a b" {
		t.Errorf("with one: %s", got)
	}
}
