package recommender_test

import (
	"testing"
	"time"

	"github.com/sartorhq/sartor/recommender"
	"github.com/sartorhq/sartor/streams"
)

// What recommendations showed a user comes back through the log, and rules see it: nobody is shown one
// thing for ever. It is no deed: the model goes by what the user did.
func TestRulesKnowWhatWasShown(t *testing.T) {
	s, m := furnished()
	show := func(id string, ago time.Duration) {
		e := event(streams.Exposure, "u1", noon.Add(-ago))
		e.Items = []streams.Line{{ItemID: id, Position: 1}}
		s.happen(e)
	}
	for n := range 3 {
		show("a", time.Duration(n+1)*time.Hour)
		show("b", time.Duration(n+30)*time.Hour)
	}
	show("c", time.Hour)
	r := s.open(t, s.options())
	if err := r.SetModel(m); err != nil {
		t.Fatal(err)
	}
	for rule, want := range map[string]string{
		`times("exposure", days(1)) >= 3`: "b c d",
		`times("exposure", days(2)) >= 3`: "c d e",
		`did("exposure", days(1))`:        "b d e",
	} {
		r.SetRules(ruleSet(t, s, "rules:\n- id: x\n  match: "+rule+"\n  then: [exclude: {}]"))
		if got := ids(ask(t, r, recommender.Request{UserID: "u1", Count: 3})); got != want {
			t.Errorf("%s: got %s, want %s", rule, got, want)
		}
	}
}
