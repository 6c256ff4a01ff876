package recommender_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/recommender"
	"github.com/sartorhq/sartor/recommender/decision"
	"github.com/sartorhq/sartor/streams"
)

// basket is an order of several items.
func basket(user string, ago time.Duration, ids ...string) streams.Event {
	e := event(streams.Order, user, noon.Add(-ago))
	for _, id := range ids {
		e.Items = append(e.Items, streams.Line{ItemID: id, Quantity: 1, Price: 1000})
	}
	return e
}

// togetherShop is the furnished shop, whose schema keeps what is bought together.
func togetherShop(t *testing.T) (*shop, *circle) {
	t.Helper()
	s, m := furnished()
	text := s.schema.Source()
	if !strings.Contains(text, "bought_with:") {
		text = strings.Replace(text, "  trend:      {", "  bought_with: {type: \"[]text\", max: 20, default: [], together: {events: [order], remember: 60}, doc: d, example: \"[b]\"}\n  trend:      {", 1)
	}
	schema, err := features.Parse("schema.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	s.schema = schema
	s.happen(basket("y", time.Hour, "c", "f"), basket("z", 90*time.Minute, "c", "f", "e"), basket("y", 2*time.Hour, "c", "n"), basket("z", 3*time.Hour, "n", "e"))
	return s, m
}

// Every source that a rule can name brings what it promises, by item, cart or history where it has to.
func TestEverySource(t *testing.T) {
	s, m := togetherShop(t)
	put := event(streams.CartAdd, "carter", noon.Add(-time.Hour))
	put.Items = []streams.Line{{ItemID: "n"}}
	s.happen(put)
	r := s.open(t, s.options())
	if err := r.SetModel(m); err != nil {
		t.Fatal(err)
	}
	lists := "lists:\n\tgifts: {values: [f, zz, c]}\n"
	for name, tc := range map[string]struct {
		action string
		q      recommender.Request
		want   string // the items that the source brings, in its order
	}{
		"hot":                    {"source: hot, count: 2", recommender.Request{UserID: "u1"}, "e d"},
		"hot 24h":                {"source: hot, count: 1, window: 24h", recommender.Request{UserID: "u1"}, "d"},
		"hot here":               {"source: hot, count: 1, by: context.country", recommender.Request{UserID: "u1", Context: map[string]any{"country": "DE"}}, "d"},
		"trending":               {"source: trending, count: 1", recommender.Request{UserID: "u1"}, "c"},
		"new":                    {"source: new, count: 1", recommender.Request{UserID: "u1"}, "n"},
		"popular":                {"source: popular, count: 2", recommender.Request{UserID: "u1"}, "e d"},
		"similar to the item":    {"source: similar, count: 2", recommender.Request{UserID: "u1", SourceItem: "e"}, "d f"},
		"similar to the last":    {"source: similar, count: 2", recommender.Request{UserID: "u1"}, "b c"},
		"list":                   {"source: 'list:gifts', count: 5", recommender.Request{UserID: "u1"}, "f c"},
		"bought with the item":   {"source: co-bought, count: 2", recommender.Request{UserID: "u1", SourceItem: "c"}, "f e"},
		"bought with the cart":   {"source: co-bought, count: 5", recommender.Request{UserID: "carter"}, "c e"},
		"bought with the last":   {"source: co-bought, count: 1", recommender.Request{UserID: "y"}, "e"},
		"bought with nothing":    {"source: co-bought, count: 5", recommender.Request{UserID: "u1"}, ""},
		"bought with the unseen": {"source: co-bought, count: 5", recommender.Request{UserID: "u1", SourceItem: "zz"}, ""},
		"segment":                {"source: segment, count: 2, match: item.category == 'shoes', order_by: item.price desc", recommender.Request{UserID: "u1"}, "f e"},
		"segment of the user":    {"source: segment, count: 2, match: not (item.id in user.last_viewed), order_by: item.price", recommender.Request{UserID: "u1"}, "c f"},
		"segment and exclude":    {"source: segment, count: 1, match: item.category == 'shoes', order_by: item.price desc", recommender.Request{UserID: "u1", Exclude: []string{"f"}}, "e"},
		"source with condition":  {"source: popular, count: 1, match: item.category == 'shoes'", recommender.Request{UserID: "u1"}, "e"},
	} {
		r.SetRules(ruleSet(t, s, lists+"rules:\n- id: x\n\tthen: [inject: {"+tc.action+"}]\n- id: y\n\tmatch: item.id in lists.gifts\n\tthen: [badge: {text: Gift}]"))
		tc.q.Count, tc.q.Explain = 3, true
		got := ask(t, r, tc.q)
		source, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(tc.action, "source: "), "'"), ",")
		source = strings.TrimSuffix(source, "'")
		if brought := broughtBy(got, source); brought != sorted(tc.want) {
			t.Errorf("%s: brought %q, want %q", name, brought, tc.want)
		}
	}
}

func sorted(words string) string {
	list := strings.Fields(words)
	slices.Sort(list)
	return strings.Join(list, " ")
}

// broughtBy lists the items that a source offered, by the explanation.
func broughtBy(resp *recommender.Response, source string) string {
	var out []string
	for _, it := range resp.Explain.Rules.Items {
		for _, e := range it.Effects {
			if e.Action == "inject" && e.Detail == "brought in from "+source {
				out = append(out, it.ItemID)
			}
		}
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

// The order of a source is kept where its scores are: co-bought by votes, segments by the rule's order.
func TestOrderOfSources(t *testing.T) {
	s, m := togetherShop(t)
	r := s.open(t, s.options())
	if err := r.SetModel(m); err != nil {
		t.Fatal(err)
	}
	for action, want := range map[string]string{
		"replace: {strategy: co-bought}":       "f e n",
		"replace: {strategy: 'list:gifts'}":    "f c",
		"replace: {strategy: similar}":         "b d", // of c
		"fill: {strategy: [co-bought, new]}":   "",
		"replace: {strategy: new}":             "n",
		"replace: {strategy: hot, window: 1h}": "",
	} {
		r.SetRules(ruleSet(t, s, "lists:\n\tgifts: {values: [f, zz, c]}\nrules:\n- id: x\n\tthen: ["+action+"]\n- id: y\n\tmatch: item.id in lists.gifts\n\tthen: [badge: {text: Gift}]"))
		got := ids(ask(t, r, recommender.Request{UserID: "u1", SourceItem: "c", Count: 8}))
		if !strings.HasPrefix(got, want) {
			t.Errorf("%s: %q, want %q first", action, got, want)
		}
	}
}

// What rules ask about vectors is answered by the model's own.
func TestRulesCompareVectors(t *testing.T) {
	// u1 points where a does; 40 degrees away lies e, with (1 + cos 40) / 2 = 0.883.
	for body, want := range map[string]string{
		"rules:\n- id: x\n  match: similarity(item, user) < 0.9\n  then: [exclude: {}]":                                              "a b c d",
		"rules:\n- id: x\n  match: similarity(item, user) > 0.95\n  then: [bury: {to: bottom}]":                                      "d e f a b c n",
		"rules:\n- id: x\n  then: [diversify: {by: similarity, strength: 90%}]":                                                      "a f c",
		"rules:\n- id: r\n  then: [replace: {strategy: hot}]\n- id: x\n  match: similarity(item, user) < 0.9\n  then: [exclude: {}]": "d a b c",
	} {
		r := ruled(t, body)
		if got := ids(ask(t, r, recommender.Request{UserID: "u1", Count: 7})); !strings.HasPrefix(got, want) {
			t.Errorf("%s\n%q, want %q", body, got, want)
		}
		if got := ask(t, r, recommender.Request{Count: 3}); len(got.Items) == 0 && !strings.Contains(body, "exclude") {
			t.Errorf("%s\nnobody gets nothing: %+v", body, got)
		}
	}
}

// TestExposuresComeBack closes the loop in memory: what is shown becomes an event, the event a fact about
// the user, and the fact limits what is shown next. A cap lets go when its time is over.
func TestExposuresComeBack(t *testing.T) {
	s, m := furnished()
	now := noon
	opts := s.options()
	opts.Now = func() time.Time { return now }
	opts.Decided = func(d *decision.Decision) {
		if e, ok := d.Exposure(); ok {
			s.happen(e)
		}
	}
	r := s.open(t, opts)
	if err := r.SetModel(m); err != nil {
		t.Fatal(err)
	}
	r.SetRules(ruleSet(t, s, "rules:\n- id: enough\n  match: times('exposure', days(1)) >= 2\n  then: [exclude: {reason: shown often enough}]"))
	q := recommender.Request{UserID: "u1", Count: 3}
	var lists []string
	for range 5 {
		lists = append(lists, ids(ask(t, r, q)))
		now = now.Add(time.Minute)
	}
	if got := strings.Join(lists, ", "); got != "a b c, a b c, d e f, d e f, n" {
		t.Errorf("lists %s: each item twice a day at most", got)
	}
	if other := ids(ask(t, r, recommender.Request{UserID: "stranger", Count: 3})); other != "e d f" {
		t.Errorf("another user is shown %s", other)
	}
	now = now.Add(24 * time.Hour)
	if again := ids(ask(t, r, q)); again != "a b c" {
		t.Errorf("a day later %s, want what was capped", again)
	}

	// Fatigue: what was shown sinks, and comes up again.
	s.happen(view("u2", "a", -25*time.Hour))
	r.SetRules(ruleSet(t, s, "rules:\n- id: tired\n  then: [bury: {multiply: \"fatigue('exposure', 0.3, hours(6))\"}]"))
	q.UserID = "u2"
	first, second := ids(ask(t, r, q)), ids(ask(t, r, q))
	now = now.Add(72 * time.Hour)
	third := ids(ask(t, r, q))
	if first != "a b c" || second != "d e a" || third != "a b c" {
		t.Errorf("fresh %s, tired %s, rested %s", first, second, third)
	}
}

// A decision says which rules were tried and held out, and so does its exposure.
func TestDecisionsNameHeldRules(t *testing.T) {
	s, m := furnished()
	var last *decision.Decision
	opts := s.options()
	opts.Decided = func(d *decision.Decision) { last = d }
	r := s.open(t, opts)
	if err := r.SetModel(m); err != nil {
		t.Fatal(err)
	}
	r.SetRules(ruleSet(t, s, "rules:\n- id: up\n  match: item.id == 'f'\n  holdout: 50%\n  then: [pin: {position: 1}]"))
	seen := map[string]int{}
	for i := range 60 {
		got := ask(t, r, recommender.Request{UserID: fmt.Sprint("user-", i), Count: 1, Explain: true})
		e, _ := last.Exposure()
		key := fmt.Sprint(last.Tried, last.Held, e.Attributes["tried"], e.Attributes["held"], got.Explain.Rules.Held, ids(got))
		seen[key]++
	}
	if len(seen) != 2 || seen["[up] [] [up] <nil> []f"] < 15 || seen["[] [up] <nil> [up] [up]e"] < 15 {
		t.Errorf("%v", seen)
	}
}
