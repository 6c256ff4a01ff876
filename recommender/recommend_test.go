package recommender_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sartorhq/sartor/recommender"
	"github.com/sartorhq/sartor/rules"
)

// furnished is a shop with eight items around a circle, of which h is deleted and n has no vector.
func furnished() (*shop, *circle) {
	s := newShop()
	for _, id := range []string{"a", "b", "c", "d", "e", "f", "h", "n"} {
		price := 1000.0 // 10.00
		if id == "c" || id == "f" {
			price = 9000
		}
		category := "coats"
		if id == "e" || id == "f" {
			category = "shoes"
		}
		attributes := map[string]any{"price": price, "category": category}
		if id == "n" {
			attributes["created_at"] = noon.Add(-24 * time.Hour).Format(time.RFC3339)
		}
		s.happen(item(id, attributes))
	}
	s.happen(
		deleted("h"),
		order("x", "DE", "d", 5, 2*time.Hour),
		order("x", "FR", "e", 9, 30*time.Hour),
		order("x", "DE", "f", 1, 60*24*time.Hour),
		view("u1", "a", time.Minute),
	)
	return s, newCircle("m1", map[string]float64{"a": 0, "b": 10, "c": 20, "d": 30, "e": 40, "f": 50, "h": 1})
}

func TestRecommend(t *testing.T) {
	s, m := furnished()
	r := s.open(t, s.options())
	if err := r.SetModel(m); err != nil {
		t.Fatal(err)
	}
	r.SetRules(rules.Empty())
	for name, tc := range map[string]struct {
		q        recommender.Request
		want     string
		servedBy recommender.ServedBy
	}{
		"model-by-angle":       {recommender.Request{UserID: "u1", Count: 3}, "a b c", recommender.ServedByModel},
		"short-list-is-filled": {recommender.Request{UserID: "u1", Count: 8}, "a b c d e f n", recommender.ServedByModel},
		"exclude":              {recommender.Request{UserID: "u1", Count: 3, Exclude: []string{"a", "zz"}}, "b c d", recommender.ServedByModel},
		"unknown-user":         {recommender.Request{UserID: "new", Count: 3}, "e d f", recommender.ServedByPopular},
		"nobody":               {recommender.Request{Count: 2}, "e d", recommender.ServedByPopular},
		"hot-in-country":       {recommender.Request{Count: 2, Context: map[string]any{"country": "DE"}}, "d e", recommender.ServedByPopular},
		"country-without-data": {recommender.Request{Count: 2, Context: map[string]any{"country": "IT"}}, "e d", recommender.ServedByPopular},
		"everything-is-listed": {recommender.Request{Count: 100}, "e d f a b c n", recommender.ServedByPopular},
	} {
		t.Run(name, func(t *testing.T) {
			got := ask(t, r, tc.q)
			if ids(got) != tc.want || got.ServedBy != tc.servedBy || len(got.Degraded) > 0 {
				t.Errorf("got %q served by %s, degraded %v; want %q by %s", ids(got), got.ServedBy, got.Degraded, tc.want, tc.servedBy)
			}
			if again := ask(t, r, tc.q); ids(again) != ids(got) {
				t.Errorf("a second answer differs: %q, then %q", ids(got), ids(again))
			}
		})
	}
}

func TestScoresAreScaledAndSourcesNamed(t *testing.T) {
	s, m := furnished()
	r := s.open(t, s.options())
	if err := r.SetModel(m); err != nil {
		t.Fatal(err)
	}
	got := ask(t, r, recommender.Request{UserID: "u1", Count: 7})
	if first := got.Items[0]; first.Score != 1 || first.Source != "model" {
		t.Errorf("first = %+v, want score 1 from the model", first)
	}
	if last := got.Items[6]; last.ItemID != "n" || last.Source == "model" || last.Score <= 0 {
		t.Errorf("last = %+v, want the item without a vector, from a fill source, above 0", last)
	}
	if !slices.IsSortedFunc(got.Items, func(a, b recommender.Item) int { return int(1e9 * (b.Score - a.Score)) }) {
		t.Errorf("scores do not fall: %+v", got.Items)
	}
	want := recommender.Versions{Model: "m1", Rules: rules.Empty().Version(), Schema: s.schema.Version()}
	if got.Versions != want || got.RecommendationID != "rec-1" {
		t.Errorf("versions %+v, id %s; want %+v, rec-1", got.Versions, got.RecommendationID, want)
	}
}

func TestFewItems(t *testing.T) {
	for name, tc := range map[string]struct {
		items, want string
		servedBy    recommender.ServedBy
	}{
		"none": {"", "", recommender.ServedByNone},
		"one":  {"a", "a", recommender.ServedByModel},
		"two":  {"a b", "a b", recommender.ServedByModel},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShop()
			degrees := map[string]float64{}
			for i, id := range strings.Fields(tc.items) {
				s.happen(item(id, nil))
				degrees[id] = float64(10 * i)
			}
			s.happen(view("u1", "a", time.Minute))
			if tc.items == "" {
				s = newShop()
			}
			r := s.open(t, s.options())
			if err := r.SetModel(newCircle("m", degrees)); err != nil {
				t.Fatal(err)
			}
			got := ask(t, r, recommender.Request{UserID: "u1", Count: 10, Explain: true})
			if ids(got) != tc.want || got.ServedBy != tc.servedBy {
				t.Errorf("got %q served by %s, want %q by %s", ids(got), got.ServedBy, tc.want, tc.servedBy)
			}
		})
	}
}

func TestEmptyServiceAnswers(t *testing.T) {
	r := recommender.New(recommender.Options{Schema: newShop().schema, Budget: patient})
	got := ask(t, r, recommender.Request{UserID: "u1"})
	want := []string{recommender.DegradedUserUnavailable, recommender.DegradedNoModel, recommender.DegradedNoCatalogue, recommender.DegradedNoRules}
	if len(got.Items) != 0 || got.ServedBy != recommender.ServedByNone || !slices.Equal(got.Degraded, want) {
		t.Errorf("got %+v, want no items, served by none, degraded %v", got, want)
	}
	if r.Ready() {
		t.Error("ready before the catalogue was asked for")
	}
}

func TestModelWithoutCatalogueServes(t *testing.T) {
	s, m := furnished()
	opts := s.options()
	r := recommender.New(opts)
	if err := r.SetModel(m); err != nil {
		t.Fatal(err)
	}
	got := ask(t, r, recommender.Request{UserID: "u1", Count: 2})
	if ids(got) != "a h" || !slices.Contains(got.Degraded, recommender.DegradedNoCatalogue) {
		t.Errorf("got %q degraded %v, want the model's order (nobody knows that h is deleted) and no_catalogue", ids(got), got.Degraded)
	}
}

func TestSetModelRefuses(t *testing.T) {
	r := recommender.New(recommender.Options{Schema: newShop().schema, Budget: patient})
	nan := newCircle("nan", map[string]float64{"a": 0})
	nan.vectors[1] = float32nan()
	short := newCircle("short", map[string]float64{"a": 0, "b": 1})
	short.vectors = short.vectors[:3]
	twice := newCircle("twice", map[string]float64{"a": 0, "b": 1})
	twice.ids[1] = "a"
	for _, m := range []*circle{nan, short, twice} {
		if err := r.SetModel(m); !errors.Is(err, recommender.ErrModel) {
			t.Errorf("%s: error %v, want ErrModel", m.version, err)
		}
	}
	if v := r.Status().Versions.Model; v != "" {
		t.Errorf("a refused model serves: %q", v)
	}
}

func float32nan() float32 { z := float32(0); return z / z }

func TestInvalidRequestsNameEveryField(t *testing.T) {
	r := recommender.New(recommender.Options{Schema: newShop().schema, Budget: patient})
	_, err := r.Recommend(t.Context(), recommender.Request{
		UserID: strings.Repeat("u", 129), AnonymousID: "a\x00b", Scenario: "Home Page", Placement: "-", Channel: "é",
		Count: 101, SourceItem: "\xff", Query: strings.Repeat("q", 1001), Filter: strings.Repeat("f", 2001),
		Exclude: []string{"ok", strings.Repeat("x", 129)}, Context: map[string]any{"country": map[string]any{}},
	})
	var bad *recommender.InvalidError
	if !errors.As(err, &bad) {
		t.Fatalf("error %v, want *InvalidError", err)
	}
	var fields []string
	for _, p := range bad.Problems {
		fields = append(fields, p.Field)
	}
	want := []string{"count", "user_id", "anonymous_id", "source_item", "scenario", "placement", "channel", "query", "filter", "exclude[1]", "context.country"}
	if !slices.Equal(fields, want) {
		t.Errorf("fields %v\nwant   %v", fields, want)
	}
	if strings.Contains(err.Error(), "uuu") {
		t.Errorf("the error repeats an id: %v", err)
	}
}

func TestSimilar(t *testing.T) {
	s, m := furnished()
	r := s.open(t, s.options())
	if err := r.SetModel(m); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		item, want string
		servedBy   recommender.ServedBy
		degraded   bool
	}{
		"by-angle":           {"c", "b d a", recommender.ServedBySimilar, false},
		"same-category":      {"n", "d a b", recommender.ServedByCategory, true},
		"unknown-to-anybody": {"zz", "e d f", recommender.ServedByPopular, true},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := r.Similar(t.Context(), recommender.SimilarRequest{ItemID: tc.item, Count: 3})
			if err != nil {
				t.Fatal(err)
			}
			if ids(got) != tc.want || got.ServedBy != tc.servedBy || slices.Contains(got.Degraded, recommender.DegradedNoVector) != tc.degraded {
				t.Errorf("got %q served by %s, degraded %v; want %q by %s", ids(got), got.ServedBy, got.Degraded, tc.want, tc.servedBy)
			}
		})
	}
}

func TestSimilarIsByAngleNotLength(t *testing.T) {
	s := newShop()
	m := newCircle("m", map[string]float64{"a": 0, "b": 5, "loud": 60})
	for i := range m.vectors[4:] {
		m.vectors[4+i] *= 100
	}
	r := s.open(t, s.options())
	if err := r.SetModel(m); err != nil {
		t.Fatal(err)
	}
	got, err := r.Similar(t.Context(), recommender.SimilarRequest{ItemID: "a", Count: 2})
	if err != nil || ids(got) != "b loud" {
		t.Errorf("got %q, %v; want the smaller angle first", ids(got), err)
	}
}
