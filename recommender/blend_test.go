package recommender_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sartorhq/sartor/recommender"
	"github.com/sartorhq/sartor/rules"
)

// blending is a shop with ten items of the model, five newer ones and five that sell in Germany.
func blending(t *testing.T) (*shop, *recommender.Recommender) {
	s, degrees := newShop(), map[string]float64{}
	for i := range 10 {
		id := fmt.Sprint("m", i)
		degrees[id] = float64(i * 5)
		s.happen(item(id, map[string]any{"category": "c"}))
	}
	for i := range 5 {
		created := noon.Add(-time.Duration(i+1) * time.Hour).Format(time.RFC3339)
		s.happen(item(fmt.Sprint("n", i), map[string]any{"created_at": created}), item(fmt.Sprint("h", i), nil),
			order("somebody", "DE", fmt.Sprint("h", i), int64(9-i), time.Hour))
	}
	s.happen(view("u1", "m0", time.Minute))
	r := s.open(t, s.options())
	if err := r.SetModel(newCircle("m", degrees)); err != nil {
		t.Fatal(err)
	}
	return s, r
}

func TestBlendsGiveEachSourceItsShare(t *testing.T) {
	s, r := blending(t)
	err := r.SetBlends(map[string][]recommender.Portion{
		"home": {{Source: rules.SourceModel, Share: 0.5}, {Source: rules.SourceNew, Share: 0.25}, {Source: recommender.SourceList, Share: 0.25, Items: []string{"m9", "nowhere", "h4", "m0"}}},
		"cart": {{Source: rules.SourceHot, Share: 3, ByCountry: true, Window: "24h"}, {Source: rules.SourceModel, Share: 1}},
		"page": {{Source: rules.SourceSimilar, Share: 1}, {Source: rules.SourceTrending, Share: 1}},
	})
	if err != nil {
		t.Fatal(err)
	}
	de := map[string]any{"country": "DE"}
	for name, tc := range map[string]struct {
		q    recommender.Request
		want string
	}{
		// Turns: model 1 3 5 7, new 2 6 10, list 2 6 10; what came before is not placed again.
		"home":         {recommender.Request{UserID: "u1", Scenario: "home", Count: 8}, "m0 n0 m9 m1 m2 n1 h4 m3"},
		"cart":         {recommender.Request{UserID: "u1", Scenario: "cart", Count: 5, Context: de}, "h0 h1 m0 h2 h3"},
		"stranger":     {recommender.Request{UserID: "u2", Scenario: "home", Count: 4}, "n0 m9 n1 h4"},
		"elsewhere":    {recommender.Request{UserID: "u1", Scenario: "other", Count: 3}, "m0 m1 m2"},
		"page":         {recommender.Request{UserID: "u1", Scenario: "page", SourceItem: "m5", Count: 4}, "m4 h0 m6 h1"},
		"under-filter": {recommender.Request{UserID: "u1", Scenario: "home", Count: 3, Exclude: []string{"m0", "n0"}}, "m1 n1 m9"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := ids(ask(t, r, tc.q)); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
	got := ask(t, r, recommender.Request{UserID: "u1", Scenario: "home", Count: 3})
	if got.Items[1].Source != "new" || got.Items[2].Source != "list" || got.ServedBy != recommender.ServedByModel {
		t.Errorf("sources %s and %s, served by %s", got.Items[1].Source, got.Items[2].Source, got.ServedBy)
	}
	for i := 1; i < len(got.Items); i++ {
		if got.Items[i].Score > got.Items[i-1].Score {
			t.Errorf("scores do not fall: %v", got.Items)
		}
	}
	// Rules act on the blend as on the model's candidates.
	r.SetRules(ruleSet(t, s, "rules:\n- id: x\n  match: item.id == 'n0'\n  then: [exclude: {}]\n- id: y\n  match: item.id == 'm2'\n  then: [boost: {multiply: 50}]\n"))
	if got := ids(ask(t, r, recommender.Request{UserID: "u1", Scenario: "home", Count: 3})); got != "m2 m0 n1" {
		t.Errorf("under rules: %q, want m2 m0 n1", got)
	}
}

func TestWrongBlendsAreRefused(t *testing.T) {
	_, r := blending(t)
	if err := r.SetBlends(map[string][]recommender.Portion{"home": {{Source: rules.SourceNew, Share: 1}}}); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		scenario string
		portion  recommender.Portion
		want     string
	}{
		"source":  {"home", recommender.Portion{Source: "magic", Share: 1}, "unknown source"},
		"share":   {"home", recommender.Portion{Source: rules.SourceNew}, "share"},
		"window":  {"home", recommender.Portion{Source: rules.SourceHot, Share: 1, Window: "3d"}, "window"},
		"country": {"home", recommender.Portion{Source: rules.SourceNew, Share: 1, ByCountry: true}, "country"},
		"list":    {"home", recommender.Portion{Source: recommender.SourceList, Share: 1}, "items"},
		"name":    {"Home!", recommender.Portion{Source: rules.SourceNew, Share: 1}, "name"},
	} {
		err := r.SetBlends(map[string][]recommender.Portion{tc.scenario: {tc.portion}})
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: error %v, want one about %s", name, err, tc.want)
		}
	}
	if err := r.SetBlends(map[string][]recommender.Portion{"home": nil}); err == nil {
		t.Error("a blend of nothing was taken")
	}
	if got := ids(ask(t, r, recommender.Request{UserID: "u1", Scenario: "home", Count: 2})); got != "n0 n1" {
		t.Errorf("after refusals: %q, want the old blend n0 n1", got)
	}
}
