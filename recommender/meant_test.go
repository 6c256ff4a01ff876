package recommender_test

import (
	"strings"
	"testing"

	"github.com/sartorhq/sartor/recommender"
)

// TestMeant: names that are wrong or that nothing is made for are answered with the one that was meant.
func TestMeant(t *testing.T) {
	s, m := furnished()
	r := s.open(t, s.options())
	if err := r.SetModel(m); err != nil {
		t.Fatal(err)
	}
	r.SetRules(ruleSet(t, s, "scope: {scenarios: [checkout]}\nrules:\n- id: x\n  match: item.id == 'a'\n  then: [exclude: {}]"))
	for want, q := range map[string]recommender.Request{
		"scenario: must be 1 to 63 of a-z, 0-9, - and _, starting with a letter or digit; did you mean checkout?": {Scenario: "Checkout"},
		"include_fields[0]: is not an item field of the schema; did you mean price?":                              {Fields: []string{"prise"}},
	} {
		if _, err := r.Recommend(t.Context(), q); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	for scenario, want := range map[string]string{
		"chekout":  "No rule, source or model is for the scenario chekout alone; did you mean checkout?",
		"xyz":      "No rule, source or model is for the scenario xyz alone.",
		"checkout": "", "default": "",
	} {
		got, err := r.Recommend(t.Context(), recommender.Request{Scenario: scenario, Explain: true})
		if err != nil {
			t.Fatal(err)
		}
		story := strings.Join(got.Explain.Summary, "\n")
		if !strings.Contains(story, want) || want == "" && strings.Contains(story, "No rule, source") {
			t.Errorf("%s: the story lacks %q:\n%s", scenario, want, story)
		}
	}
}
