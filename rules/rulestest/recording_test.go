package rulestest

import (
	"bytes"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/rules"
)

var noon = time.Date(2026, 10, 23, 12, 0, 0, 0, time.UTC)

// goods makes an item of the default schema with known features.
func goods(id string, known map[string]any) *features.Item {
	it := features.Default().Item(id, nil, noon)
	for name, v := range known {
		it.Env[name], it.Known[name] = v, true
	}
	return it
}

func visitor(id string, known map[string]any) *features.User {
	u := features.Default().User(id, nil, nil, noon)
	for name, v := range known {
		u.Env[name], u.Known[name], u.Seen = v, true, true
	}
	return u
}

func visit(u *features.User, context map[string]any, count int) *rules.Env {
	all, _ := features.Default().Context(nil)
	for name, v := range context {
		all[name] = v
	}
	return &rules.Env{Now: noon, User: u, Context: all, Request: rules.Request{Scenario: "home", Placement: "grid", Query: "my own name", Count: count}}
}

func offered(items ...*features.Item) []rules.Candidate {
	out := make([]rules.Candidate, len(items))
	for i, it := range items {
		out[i] = rules.Candidate{Item: it, Base: 1 - float64(i)/10, Sources: []rules.Source{rules.SourceModel}, Rank: i + 1}
	}
	return out
}

// compile makes a set of the rules in body.
func compile(t *testing.T, body string) *rules.Set {
	t.Helper()
	f, problems := check("test.yaml", strings.Replace(snippetHead, "rules:\n", body, 1))
	if len(problems) > 0 {
		t.Fatal(render(t, problems))
	}
	set, _ := rules.Compile([]rules.File{f}, features.Default(), rules.Options{})
	return set
}

func recorded(t *testing.T, record func(*Recorder)) (*Recordings, string) {
	t.Helper()
	var b bytes.Buffer
	record(NewRecorder(&b, features.Default(), RecorderOptions{Secret: []byte("k"), Mask: []string{"user.country"}}))
	text := b.String()
	out, err := ReadRecordings(&b, features.Default())
	if err != nil {
		t.Fatal(err)
	}
	return out, text
}

func TestRecordingKeepsWhatRulesSee(t *testing.T) {
	coat := goods("coat", map[string]any{"category": "coats", "stock": 0, "price": 49.9, "tags": []string{"sale"}, "created_at": noon.Add(-time.Hour),
		"attrs": map[string]string{"color": "red"}})
	coat.SalesByCountry = map[string]int64{"DE": 4}
	hat := goods("hat", nil)
	u := visitor("jane@example.com", map[string]any{"tier": "gold", "country": "DE", "is_new": false, "attrs": map[string]string{"name": "Jane"}})
	env := visit(u, map[string]any{"country": "DE", "referrer": "https://mail.example.com/jane", "is_bot": true}, 2)
	got, text := recorded(t, func(r *Recorder) {
		for range 2 {
			if err := r.Record(env, offered(coat, hat)); err != nil {
				t.Fatal(err)
			}
		}
	})
	for _, secret := range []string{"jane", "Jane", "my own name", "referrer"} {
		if strings.Contains(text, secret) {
			t.Errorf("%q was recorded: %s", secret, text)
		}
	}
	if n := strings.Count(text, `"coats"`); n != 1 {
		t.Errorf("the unchanged item was described %d times, want 1", n)
	}
	if len(got.Requests) != 2 || got.Requests[1].Line != 2 {
		t.Fatalf("requests %+v", got.Requests)
	}
	rec := got.Requests[1]
	if c := rec.Candidates; !reflect.DeepEqual(c[0].Item, coat) || !reflect.DeepEqual(c[1].Item, hat) || c[1].Base != 0.9 {
		t.Errorf("candidates\n%+v\n%+v", c[0].Item, c[1].Item)
	}
	back := rec.Env
	if back.User.Env["tier"] != "gold" || !back.User.Known["is_new"] || back.User.Known["country"] || back.User.Known["spend_90d"] || !back.User.Seen {
		t.Errorf("user %+v", back.User)
	}
	if !strings.HasPrefix(back.User.ID, "u-") || back.User.ID != got.Requests[0].Env.User.ID {
		t.Errorf("the user is called %q", back.User.ID)
	}
	if back.Context["country"] != "DE" || back.Context["is_bot"] != true || back.Context["referrer"] != "" || !back.Now.Equal(noon) || back.Request.Count != 2 {
		t.Errorf("visit %+v", back)
	}
}

func TestRecordingRefuses(t *testing.T) {
	const good = `{"format":1,"at":"2026-10-23T12:00:00Z","request":{"count":2},"user":{},"items":{"a":{"stock":1}},"candidates":[{"id":"a","base":0.5}]}`
	for name, tc := range map[string]struct{ old, new, want string }{
		"good":            {"", "", ""},
		"not-json":        {`{"format"`, `format`, "line 2 is not a recorded request"},
		"other-format":    {`"format":1`, `"format":2`, "line 2: format 2: this program reads format 1"},
		"no-time":         {`"at":"2026-10-23T12:00:00Z",`, ``, "line 2: `at` is missing"},
		"no-count":        {`"count":2`, ``, "line 2: request.count is 0"},
		"unknown-item":    {`"id":"a"`, `"id":"b"`, "line 2: candidate b is described neither here nor on a line above"},
		"base":            {`0.5`, `1.5`, "base 1.5 is not from 0 to 1"},
		"type":            {`"stock":1`, `"stock":"x"`, "line 2: item a: item.stock is not int: x"},
		"fraction":        {`"stock":1`, `"stock":1.5`, "item.stock is not int"},
		"unknown-feature": {`"stock":1`, `"was_removed":1`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ReadRecordings(strings.NewReader("\n"+strings.Replace(good, tc.old, tc.new, 1)), features.Default())
			if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
				t.Fatalf("error %v, want %q", err, tc.want)
			}
			if name == "unknown-feature" && fmt.Sprint(got.Unknown) != "[item.was_removed]" {
				t.Errorf("unknown fields %v", got.Unknown)
			}
		})
	}
}

func FuzzReadRecordings(f *testing.F) {
	f.Add(`{"format":1,"at":"2026-10-23T12:00:00Z","request":{"count":2},"user":{"features":{"tier":"gold"}},"items":{"a":{"stock":1}},"candidates":[{"id":"a","base":0.5}]}`)
	f.Add(`{"format":1,"items":{"a":null}}`)
	set := rules.Empty()
	f.Fuzz(func(t *testing.T, text string) {
		got, err := ReadRecordings(strings.NewReader(text), features.Default())
		if err != nil {
			return
		}
		for i := range got.Requests {
			got.Play(set, &got.Requests[i], true)
		}
	})
}

// TestImpact compares by hand: four candidates a b c d, best first, three places.
func TestImpact(t *testing.T) {
	items := []*features.Item{
		goods("a", map[string]any{"brand": "x", "category": "coats", "sales_7d": 1}), goods("b", map[string]any{"brand": "x", "category": "coats"}),
		goods("c", map[string]any{"brand": "y", "category": "hats"}), goods("d", map[string]any{"brand": "y", "category": "hats", "sales_7d": 9}),
	}
	got, _ := recorded(t, func(r *Recorder) {
		for i, env := range []*rules.Env{visit(visitor("u1", map[string]any{"tier": "gold"}), nil, 3), visit(visitor("u2", nil), nil, 3), visit(visitor("u3", nil), nil, 3)} {
			candidates := offered(items...)
			if i == 2 {
				candidates = offered(items[0])
			}
			if err := r.Record(env, candidates); err != nil {
				t.Fatal(err)
			}
		}
	})
	before := compile(t, "rules:\n  - id: never\n    match: item.stock < 0\n    then: [exclude: {}]\n")
	after := compile(t, "rules:\n  - id: gold-loses-a\n    when: user.tier == \"gold\"\n    match: item.id == \"a\"\n    then: [exclude: {}]\n"+
		"  - id: last-first\n    match: item.id == \"c\"\n    then: [pin: {position: 1}]\n")
	// u1: a b c -> c b d; u2: a b c -> c a b; u3 was offered a only: a pin without an order chooses
	// among what there is.
	impact, err := got.Compare(t.Context(), before, after)
	if err != nil {
		t.Fatal(err)
	}
	near := func(what string, got, want float64) {
		t.Helper()
		if math.Abs(got-want) > 1e-9 {
			t.Errorf("%s = %v, want %v", what, got, want)
		}
	}
	if impact.Requests != 3 || impact.Changed != 2 || fmt.Sprint(impact.Scenarios) != "[{home 2}]" {
		t.Errorf("changed %d of %d, %v", impact.Changed, impact.Requests, impact.Scenarios)
	}
	near("overlap", impact.Overlap, (2.0/3+1+1)/3)
	near("tau", impact.Tau, (-1.0+(-1.0/3))/2) // b c -> c b; a b c -> c a b: one pair agrees, two do not
	if impact.Ordered != 2 || fmt.Sprint(impact.Entering) != "[{d 1}]" || fmt.Sprint(impact.Leaving) != "[{a 1}]" {
		t.Errorf("ordered %d, entering %v, leaving %v", impact.Ordered, impact.Entering, impact.Leaving)
	}
	if fmt.Sprint(impact.Old.Fired) != "[{never 0}]" || fmt.Sprint(impact.New.Fired) != "[{gold-loses-a 1} {last-first 2}]" {
		t.Errorf("fired %v, then %v", impact.Old.Fired, impact.New.Fired)
	}
	if s := impact.Segments; len(s) != 2 || s[0].Name != "new users" || s[0].Requests != 3 || s[0].Changed != 2 || math.Abs(s[0].Overlap-8.0/9) > 1e-9 ||
		s[1].Name != "tier gold" || s[1].Requests != 1 || s[1].Changed != 1 || math.Abs(s[1].Overlap-2.0/3) > 1e-9 {
		t.Errorf("segments %+v", s)
	}
	if impact.Old.Shown != 7 || impact.Old.Short != 1 || impact.Old.Empty != 0 || fmt.Sprint(impact.Old.Brands) != "[{x 5} {y 2}]" {
		t.Errorf("old %+v", impact.Old)
	}
}

// Rules that had to give way are counted by what they gave way to.
func TestTallyOfConflicts(t *testing.T) {
	got, _ := recorded(t, func(r *Recorder) {
		for range 2 {
			if err := r.Record(visit(visitor("u", nil), nil, 3), offered(goods("a", nil), goods("b", nil), goods("c", nil))); err != nil {
				t.Fatal(err)
			}
		}
	})
	set := compile(t, "rules:\n  - id: one\n    when: user.orders >= 0\n    match: item.id == \"b\"\n    then: [pin: {position: 1}]\n  - id: two\n    when: user.spend_90d >= 0\n    match: item.id == \"c\"\n    then: [pin: {position: 1}]\n"+
		"  - id: first\n    when: user.orders >= 0\n    then: [replace: {strategy: popular, keep_model: 100%}]\n  - id: second\n    when: user.spend_90d >= 0\n    then: [replace: {strategy: hot}]\n")
	tally, err := got.Simulate(t.Context(), set)
	if want := "[{second: first has decided 2} {two: the place is taken by one 2}]"; err != nil || fmt.Sprint(tally.Yielded) != want {
		t.Errorf("%v %v, want %s", tally.Yielded, err, want)
	}
}

// TestPlayDrawsFromTheRecordedCatalogue asks for what was not recorded with the request.
func TestPlayDrawsFromTheRecordedCatalogue(t *testing.T) {
	de := goods("de", map[string]any{"sales_7d": 2, "sales_total": 2})
	de.SalesByCountry = map[string]int64{"DE": 2}
	hot := goods("hot", map[string]any{"sales_7d": 9, "sales_24h": 1, "created_at": noon})
	got, _ := recorded(t, func(r *Recorder) {
		env := visit(visitor("u", nil), map[string]any{"country": "DE"}, 2)
		if err := r.Record(env, offered(goods("a", nil))); err != nil {
			t.Fatal(err)
		}
		if err := r.Record(env, append(offered(goods("b", nil)), rules.Candidate{Item: hot, Base: 0.1, Sources: []rules.Source{"pin"}}, rules.Candidate{Item: de, Base: 0, Sources: []rules.Source{"hot"}})); err != nil {
			t.Fatal(err)
		}
	})
	for body, want := range map[string]string{
		"rules:\n  - id: r\n    then: [inject: {source: hot, count: 1, score: 1}]\n":                                      "a hot",
		"rules:\n  - id: r\n    then: [inject: {source: hot, count: 1, score: 0.5, by: context.country}]\n":               "a de",
		"rules:\n  - id: r\n    then: [replace: {strategy: new}]\n":                                                       "hot de", // filled with what is popular
		"rules:\n  - id: r\n    match: item.sales_7d > 5\n    then: [pin: {position: 1, order_by: item.sales_7d desc}]\n": "hot a",
		"rules:\n  - id: r\n    then: [pin: {position: 2, items: [de]}]\n":                                                "a de",
	} {
		if ids := order(got.Play(compile(t, body), &got.Requests[0], false)); strings.Join(ids, " ") != want {
			t.Errorf("%s gives %v, want %s", body, ids, want)
		}
	}
	// What only a pin had brought in is no candidate of the model's.
	if ids := order(got.Play(rules.Empty(), &got.Requests[1], false)); strings.Join(ids, " ") != "b de" {
		t.Errorf("without rules: %v", ids)
	}
}

// TestPlayKnowsThePast records what a user did and was shown, and vectors; rules see the same again.
func TestPlayKnowsThePast(t *testing.T) {
	user := visitor("u", map[string]any{"segments": []string{"vip", "b", "vip"}, "is_new": true})
	user.History = []features.Entry{{Type: "order", ItemID: "a", Time: noon.Add(-24 * time.Hour).UnixMilli()}}
	env := visit(user, nil, 4)
	env.Request.SourceItem = "b"
	env.Shown = []features.Entry{{Type: "exposure", ItemID: "b", Time: noon.Add(-time.Hour).UnixMilli()}}
	env.Taste = []float32{1, 0}
	in := offered(goods("a", nil), goods("b", map[string]any{"bought_with": []string{"d", "zz", "b"}}), goods("c", nil), goods("d", nil))
	in[2].Vector, in[3].Vector = []float32{5, 0}, []float32{0, 5}
	record := func(opts RecorderOptions) *Recordings {
		var b bytes.Buffer
		if err := NewRecorder(&b, features.Default(), opts).Record(env, in); err != nil {
			t.Fatal(err)
		}
		got, err := ReadRecordings(&b, features.Default())
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	got := record(RecorderOptions{})
	for body, want := range map[string]string{
		"rules:\n  - id: r\n    match: did(\"order\", days(2)) or did(\"exposure\", hours(2))\n    then: [exclude: {}]\n": "c d",
		"rules:\n  - id: r\n    match: did(\"order\", hours(2))\n    then: [exclude: {}]\n":                               "a b c d",
		"rules:\n  - id: r\n    match: similarity(item, user) > 0.9\n    then: [pin: {position: 1}]\n":                    "c a b d",
		"rules:\n  - id: r\n    then: [inject: {source: co-bought, score: 1}]\n":                                          "a d b c",
		"rules:\n  - id: r\n    then: [inject: {source: similar, score: 1}]\n":                                            "a b c d",
	} {
		if ids := order(got.Play(compile(t, body), &got.Requests[0], false)); strings.Join(ids, " ") != want {
			t.Errorf("%s gives %v, want %s", body, ids, want)
		}
	}
	if s := segmentsOf(got.Requests[0].Env.User); strings.Join(s, ", ") != "segment vip, segment b, new users" {
		t.Errorf("segments %v", s)
	}
	masked := record(RecorderOptions{Mask: []string{"user.history"}}).Requests[0].Env
	if len(masked.User.History)+len(masked.Shown)+len(masked.Taste) != 0 {
		t.Errorf("a masked past is there: %+v", masked)
	}
}

func TestCosts(t *testing.T) {
	got, _ := recorded(t, func(r *Recorder) {
		if err := r.Record(visit(visitor("u", nil), nil, 2), offered(goods("a", nil))); err != nil {
			t.Fatal(err)
		}
	})
	f, _ := check("test.yaml", snippetHead+"  - id: cheap\n    then: [badge: {text: x}]\n  - id: dear\n    then: [badge: {text: y}]\n")
	clock, step := noon, 0
	now := func() time.Time { // no rules: 10 each; cheap: 12; dear: 15
		took := [][]int{{10, 10, 10}, {12, 13, 12}, {15, 16, 18}}[step/6][step%6/2]
		if step%2 == 1 {
			clock = clock.Add(time.Duration(took))
		}
		step++
		return clock
	}
	costs, err := got.Costs(t.Context(), []rules.File{f}, 5, now)
	if err != nil || fmt.Sprint(costs) != "[{dear 5ns} {cheap 2ns}]" {
		t.Errorf("%v %v", costs, err)
	}
}
