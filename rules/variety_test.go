package rules

import (
	"fmt"
	"strings"
	"testing"
)

func shelf(categories, brands string) []Candidate {
	var in []Candidate
	for i := range categories {
		in = append(in, thing(string(rune('a'+i)), 1-float64(i)/10, map[string]any{"category": strings.Trim(string(categories[i]), "-"), "brand": strings.Trim(string(brands[i]), "-")}))
	}
	return rank(in...)
}

func TestDiversify(t *testing.T) {
	for name, tc := range map[string]struct {
		categories, brands string
		fields             []string
		want               string
	}{
		"without strength":    {"ccch", "xxxx", []string{"by", "item.category", "strength", "0"}, "a b c d"},
		"the other comes up":  {"ccch", "xxxx", []string{"by", "item.category", "strength", "50%"}, "a d b c"},
		"too weak":            {"ccch", "xxxx", []string{"by", "item.category", "strength", "5%"}, "a b c d"},
		"two fields":          {"cccc", "xxyy", []string{"by", "[item.category,item.brand]", "strength", "40%"}, "a c b d"},
		"only at the top":     {"cchc", "xxxx", []string{"by", "item.category", "strength", "90%", "within", "1"}, "a b c d"},
		"nothing is alike":    {"----", "----", []string{"by", "item.category", "strength", "90%"}, "a b c d"},
		"no two alike at all": {"cdef", "xyzw", []string{"by", "item.category", "strength", "90%"}, "a b c d"},
	} {
		s := compiled(t, rulesOf(mk("mix", then(act("diversify", tc.fields...)))))
		r := s.Apply(at(nil, nil), nil, shelf(tc.categories, tc.brands), 4, true)
		if got := ids(r); got != tc.want {
			t.Errorf("%s: %s, want %s", name, got, tc.want)
		}
		if moved := tc.want != "a b c d"; moved != (len(r.Trace.Fired) == 1) {
			t.Errorf("%s: fired %+v", name, r.Trace.Fired)
		}
	}
}

// Variety chooses among what may come next: pins and quotas stand, caps hold, fillers stay behind.
func TestDiversifyObeysTheRest(t *testing.T) {
	mix := mk("mix", then(act("diversify", "by", "item.category", "strength", "90%")))
	for name, tc := range map[string]struct {
		other Rule
		in    []Candidate
		want  string
	}{
		"pin":    {mk("p", then(act("pin", "position", "2", "items", "[b]"))), shelf("cchh", "xxxx"), "a b c d"},
		"cap":    {mk("p", then(act("cap", "by", "item.brand", "max", "1"))), shelf("cchh", "xyxy"), "a d"},
		"bottom": {mk("p", match(`item.id == "d"`), then(act("bury", "to", "bottom"))), shelf("ccch", "xxxx"), "a b c d"},
		"quota":  {mk("p", then(act("quota", "match", `item.brand == "y"`, "min", "1", "within", "2"))), shelf("cchc", "xxxy"), "a d c b"},
		"filler": {mk("p", when(`user.tier == "none"`), then(act("inject", "source", "hot"))), append(shelf("ccc", "xxx"), from(thing("z", 0.9, map[string]any{"category": "h"}), SourcePopular)), "a b c z"},
	} {
		s := compiled(t, rulesOf(mix, tc.other))
		if got := ids(s.Apply(at(nil, nil), nil, tc.in, 4, false)); got != tc.want {
			t.Errorf("%s: %s, want %s", name, got, tc.want)
		}
	}
}

func TestDiversifyByLists(t *testing.T) {
	s := compiled(t, rulesOf(mk("mix", then(act("diversify", "by", "item.tags", "strength", "50%"))), mk("late", then(act("diversify", "by", "item.brand")))))
	tags := func(id string, base float64, list ...string) Candidate {
		return thing(id, base, map[string]any{"tags": list})
	}
	in := []Candidate{tags("a", 1, "x", "y"), tags("b", 0.9, "x", "y"), tags("c", 0.8, "x", "z"), tags("d", 0.5)}
	r := s.Apply(at(nil, nil), nil, in, 4, true)
	// After a: b is worth 0.45-0.5, c 0.4-0.5/3, d 0.25. After d the two keep what they are like.
	if got := ids(r); got != "a d c b" || len(r.Trace.Superseded) != 1 {
		t.Errorf("got %s, superseded %+v", got, r.Trace.Superseded)
	}
}

func TestDiversifyMistakes(t *testing.T) {
	for fields, want := range map[string]string{
		"":                            "R024 `diversify` needs `by`",
		"by item.categry":             "R001 unknown field `item.categry`",
		"by item.created_at":          "R002 `item.created_at` is a time",
		"by item.brand strength 130%": "R013",
		"by item.brand within 0":      "R013",
	} {
		_, problems := Compile([]File{rulesOf(mk("mix", then(act("diversify", strings.Fields(fields)...))))}, schema(), Options{})
		if len(problems) == 0 || !strings.HasPrefix(fmt.Sprint(problems[0].Code, " ", problems[0].Message), want) {
			t.Errorf("%s: %+v", fields, problems)
		}
	}
}
