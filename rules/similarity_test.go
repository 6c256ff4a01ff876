package rules

import (
	"math"
	"strings"
	"testing"
	"time"
)

// pointing gives a candidate a vector that points to an angle; its length says nothing.
func pointing(c Candidate, degrees, length float64) Candidate {
	rad := degrees * math.Pi / 180
	c.Vector = []float32{float32(length * math.Cos(rad)), float32(length * math.Sin(rad))}
	return c
}

func TestSimilarityToTheUser(t *testing.T) {
	s := compiled(t, rulesOf(
		mk("near", match(`similarity(item, user) > 0.8`), then(act("boost", "add", "1"))),
		mk("by", then(act("boost", "add", "similarity(user, item)"))),
	))
	if !s.Vectors() {
		t.Fatal("the set does not ask for vectors")
	}
	env := at(nil, nil)
	env.Taste = []float32{3, 0}
	in := []Candidate{pointing(thing("same", 0, nil), 0, 7), pointing(thing("across", 0, nil), 90, 0.1), pointing(thing("against", 0, nil), 180, 2),
		thing("none", 0, nil), pointing(thing("zero", 0, nil), 0, 0), {Item: thing("odd", 0, nil).Item, Vector: []float32{1, 2, 3}}}
	want := map[string]float64{"same": 2, "across": 0.5, "against": 0, "none": 0, "zero": 0, "odd": 0}
	for name, cs := range map[string][]Candidate{"bare": in, "facts": informed(s, in)} {
		r := s.Apply(env, nil, cs, 9, true)
		for _, it := range r.Items {
			if math.Abs(it.Score-want[it.Item.ID]) > 1e-6 {
				t.Errorf("%s: %s scores %v, want %v", name, it.Item.ID, it.Score, want[it.Item.ID])
			}
		}
		if why := r.Trace.Items[0].Effects[0].Detail; !strings.HasPrefix(why, "similarity(item, user) 1") {
			t.Errorf("the story says %q", why)
		}
	}
	env.Taste = nil
	if r := s.Apply(env, nil, in, 9, false); r.Items[0].Score != 0 {
		t.Errorf("nobody's taste is like %+v", r.Items[0])
	}
}

func TestSimilarityIsWrittenOneWay(t *testing.T) {
	for src, hint := range map[string]string{
		`similarity(item, item) > 0.5`: "write `similarity(item, user)`", `similarity(item) > 0.5`: "write `similarity(item, user)`",
		`similarity(item.title, user.tier) > 0.5`: "write `similarity(item, user)`", `similarity(item, user)`: "compare it: `similarity(item, user) > 0`",
		`similarty(item, user) > 0.5`: "did you mean `similarity`?",
	} {
		s, problems := Compile([]File{rulesOf(mk("r", match(src), then(act("exclude"))))}, schema(), Options{})
		if s != nil || len(problems) != 1 || !strings.Contains(problems[0].Hint, hint) {
			t.Errorf("%s: %+v", src, problems)
		}
	}
	_, problems := Compile([]File{rulesOf(mk("r", when(`similarity(item, user) > 0.5`), then(act("inject", "source", "hot"))))}, schema(), Options{})
	if len(problems) != 1 || !strings.Contains(problems[0].Hint, "match") {
		t.Errorf("in when: %+v", problems)
	}
}

// Maximal marginal relevance over vectors: by = similarity, alone and beside a field.
func TestDiversifyBySimilarity(t *testing.T) {
	in := func() []Candidate {
		return rank(pointing(thing("a", 0.9, map[string]any{"brand": "x"}), 0, 1), pointing(thing("b", 0.8, map[string]any{"brand": "y"}), 3, 5),
			pointing(thing("c", 0.7, map[string]any{"brand": "x"}), 88, 2), thing("d", 0.3, map[string]any{"brand": "y"}))
	}
	for name, tc := range map[string]struct {
		fields []string
		want   string
	}{
		"by angle":          {[]string{"by", "similarity", "strength", "50%"}, "a c d b"},
		"weak":              {[]string{"by", "similarity", "strength", "5%"}, "a b c d"},
		"beside a field":    {[]string{"by", "[similarity,item.brand]", "strength", "40%"}, "a b c d"}, // b: cosine 1 and no brand in common, 0.5; c: 0.03 and the same brand, 0.52
		"only at the start": {[]string{"by", "similarity", "strength", "90%", "within", "1"}, "a b c d"},
		"opposites differ":  {[]string{"by", "similarity", "strength", "100%"}, "a d c b"}, // no vector is like nothing
	} {
		s := compiled(t, rulesOf(mk("mix", then(act("diversify", tc.fields...)))))
		if !s.Vectors() {
			t.Fatalf("%s: the set does not ask for vectors", name)
		}
		if got := ids(s.Apply(at(nil, nil), nil, in(), 4, true)); got != tc.want {
			t.Errorf("%s: %s, want %s", name, got, tc.want)
		}
	}
	if s := compiled(t, rulesOf(mk("mix", then(act("diversify", "by", "item.brand"))))); s.Vectors() {
		t.Error("variety by a field asks for vectors")
	}
}

// Fatigue: each showing counts, and half of it is forgotten after each half-life.
func TestFatigue(t *testing.T) {
	s := compiled(t, rulesOf(mk("tired", then(act("bury", "multiply", `fatigue("exposure", 0.5, days(1))`)))))
	env := at(nil, nil)
	for range 3 {
		env.Shown = append(env.Shown, ago("exposure", "thrice", 0))
	}
	for range 200 {
		env.Shown = append(env.Shown, ago("exposure", "always", time.Hour))
	}
	env.Shown = append(env.Shown, ago("exposure", "once", 0), ago("exposure", "yesterday", 24*time.Hour), ago("exposure", "ahead", -time.Hour))
	env.User.History = append(env.User.History, ago("view", "viewed", 0))
	want := map[string]float64{"never": 1, "once": 0.5, "thrice": 0.125, "yesterday": math.Sqrt(0.5), "always": 0.01, "viewed": 1, "ahead": 0.5}
	var in []Candidate
	for id := range want {
		in = append(in, thing(id, 1, nil))
	}
	r := s.Apply(env, nil, in, 9, true)
	if len(r.Trace.Errors) > 0 {
		t.Fatalf("%+v", r.Trace.Errors)
	}
	for _, it := range r.Items {
		if math.Abs(it.Score-want[it.Item.ID]) > 1e-9 {
			t.Errorf("%s: %v, want %v", it.Item.ID, it.Score, want[it.Item.ID])
		}
	}
	for src, code := range map[string]string{
		`fatigue("exposure", 1.5, days(1))`: CodeOutOfBounds, `fatigue("exposure", 0, days(1))`: CodeOutOfBounds, `fatigue("exposure", 0.5, days(0))`: CodeOutOfBounds,
		`fatigue("seen", 0.5, days(1))`: CodeUnknownName, `fatigue("exposure", days(1))`: CodeTypeMismatch, `fatigue("exposure", item.price, days(1))`: CodeOutOfBounds,
	} {
		made, problems := Compile([]File{rulesOf(mk("r", then(act("bury", "multiply", src))))}, schema(), Options{})
		if made != nil || len(problems) != 1 || problems[0].Code != code || problems[0].Hint == "" {
			t.Errorf("%s: %+v", src, problems)
		}
	}
}
