package recommender_test

import (
	"slices"
	"testing"
	"time"

	"github.com/sartorhq/sartor/recommender"
)

func answerIDs(r *recommender.Response) []string {
	var out []string
	for _, it := range r.Items {
		out = append(out, it.ItemID)
	}
	return out
}

// `source: similar` starts from the item that is looked at, else from what the user did last; the
// item itself never comes back.
func TestSimilarAsASource(t *testing.T) {
	s := newShop()
	degrees := map[string]float64{"liked": 0, "near-liked": 4, "seen": 90, "near-seen": 93, "far": 180}
	for id := range degrees {
		s.happen(item(id, nil))
	}
	s.happen(view("u1", "liked", time.Hour))
	r := s.open(t, s.options())
	if err := r.SetModel(newCircle("m1", degrees)); err != nil {
		t.Fatal(err)
	}
	r.SetRules(ruleSet(t, s, "rules:\n- id: like-it\n  then: [replace: {strategy: similar}]"))
	refresh(t, r, s)
	got := answerIDs(ask(t, r, recommender.Request{UserID: "u1", SourceItem: "seen", Count: 1}))
	if !slices.Equal(got, []string{"near-seen"}) {
		t.Errorf("looking at seen: %v", got)
	}
	got = answerIDs(ask(t, r, recommender.Request{UserID: "u1", Count: 1}))
	if !slices.Equal(got, []string{"near-liked"}) {
		t.Errorf("looking at nothing: %v", got)
	}
	if a := ask(t, r, recommender.Request{UserID: "stranger", Count: 2}); len(a.Items) != 2 {
		t.Errorf("a stranger is shown %v, want fillers", answerIDs(a))
	}
}

// Rules see what the user did to an item and when, which item is looked at, and which model scores.
func TestRulesSeeHistorySourceItemAndModel(t *testing.T) {
	s := newShop()
	degrees := map[string]float64{"liked": 0, "bought": 1, "long-ago": 2, "same-brand": 120}
	s.happen(item("liked", nil), item("bought", nil), item("long-ago", nil), item("same-brand", map[string]any{"brand": "x"}), item("seen", map[string]any{"brand": "x"}))
	s.happen(view("u1", "liked", time.Hour), order("u1", "", "bought", 1, 48*time.Hour), order("u1", "", "long-ago", 1, 100*24*time.Hour))
	r := s.open(t, s.options())
	if err := r.SetModel(newCircle("m1", degrees)); err != nil {
		t.Fatal(err)
	}
	r.SetRules(ruleSet(t, s, `rules:
- id: not-again
  match: did("order", days(90))
  then: [exclude: {}]
- id: same-brand
  when: model.version == "m1" and request.source_item != ""
  match: item.brand != "" and item.brand == request.source_item.brand
  then: [boost: {add: 5}]`))
	refresh(t, r, s)
	got := answerIDs(ask(t, r, recommender.Request{UserID: "u1", Count: 4}))
	if slices.Contains(got, "bought") || !slices.Contains(got, "long-ago") {
		t.Errorf("what was bought two days ago stays away, what was bought long ago comes back: %v", got)
	}
	got = answerIDs(ask(t, r, recommender.Request{UserID: "u1", SourceItem: "seen", Exclude: []string{"seen"}, Count: 2}))
	if got[0] != "same-brand" {
		t.Errorf("beside an item of brand x: %v", got)
	}
}
