package recommender_test

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/recommender"
)

// compass is a circle that reads the direction of an unknown item from its price, in degrees.
type compass struct{ *circle }

func (m compass) EncodeItem(it *features.Item) ([]float32, bool) {
	price, ok := it.Env["price"].(float64)
	if !ok || !it.Known["price"] {
		return nil, false
	}
	rad := price * math.Pi / 180
	return []float32{float32(math.Cos(rad)), float32(math.Sin(rad))}, true
}

// TestNewItemsAreFoundByVector lets items come, change and go that the model was not trained on: each next
// refresh, which runs twice a second, must show it.
func TestNewItemsAreFoundByVector(t *testing.T) {
	s := newShop()
	degrees := map[string]float64{}
	for i := range 300 {
		id := fmt.Sprintf("i%03d", i)
		degrees[id] = 40 + float64(i)/10
		s.happen(item(id, map[string]any{"category": "old"}))
	}
	s.happen(view("u1", "i000", time.Hour)) // the user looks to 40 degrees
	r := s.open(t, s.options())
	if err := r.SetModel(compass{newCircle("m", degrees)}); err != nil {
		t.Fatal(err)
	}
	first := func() string {
		t.Helper()
		got := ask(t, r, recommender.Request{UserID: "u1", Count: 2})
		if got.ServedBy != recommender.ServedByModel || got.Items[0].Source != "model" {
			t.Fatalf("served by %s, the first from %s; want the model", got.ServedBy, got.Items[0].Source)
		}
		return ids(got)
	}
	step := func(what, want string) {
		t.Helper()
		refresh(t, r, s)
		if got := first(); got != want {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
	}
	step("before", "i000 i001")
	s.happen(item("fresh", map[string]any{"price": 4005.0})) // in cents: 40.05 degrees
	step("an item came", "i000 fresh")
	if got := ids(ask2(t, r, recommender.SimilarRequest{ItemID: "fresh", Count: 2})); got != "i000 i001" {
		t.Errorf("like the new item: %q, want i000 i001", got)
	}
	if got := ids(ask2(t, r, recommender.SimilarRequest{ItemID: "i000", Count: 1})); got != "fresh" {
		t.Errorf("like an old one: %q, want the new item", got)
	}
	if got := ids(ask(t, r, recommender.Request{UserID: "u1", Count: 1, Filter: "item.category != 'old'"})); got != "fresh" {
		t.Errorf("under a filter: %q, want the new item", got)
	}
	changed := item("fresh", map[string]any{"price": 9000.0})
	changed.Time = noon.Add(-time.Hour)
	s.happen(changed)
	step("it changed", "i000 i001")
	back := item("fresh", map[string]any{"price": 4007.0})
	back.Time = noon.Add(-30 * time.Minute)
	s.happen(back)
	step("it changed back", "i000 fresh")
	// A new model knows the new items too, and another order of the old ones changes nothing.
	delete(degrees, "i299")
	if err := r.SetModel(compass{newCircle("m2", degrees)}); err != nil {
		t.Fatal(err)
	}
	if got := first(); got != "i000 fresh" {
		t.Errorf("under the next model: %q, want i000 fresh", got)
	}
	if n := r.Status().Vectors; n != 300 { // i299 has no price
		t.Errorf("%d vectors, want 300", n)
	}
	gone := deleted("fresh")
	gone.Time = noon.Add(-time.Minute)
	s.happen(gone)
	step("it went", "i000 i001")
}

func ask2(t *testing.T, r *recommender.Recommender, q recommender.SimilarRequest) *recommender.Response {
	t.Helper()
	resp, err := r.Similar(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	if resp.ServedBy != recommender.ServedBySimilar {
		t.Fatalf("served by %s, want by vectors", resp.ServedBy)
	}
	return resp
}

// TestScenariosHaveModelsOfTheirOwn has one scenario answer from its own model and the others from the
// shared one, through changes of everything that numbers items anew.
func TestScenariosHaveModelsOfTheirOwn(t *testing.T) {
	s := newShop()
	shared, own := map[string]float64{}, map[string]float64{}
	for i := range 40 {
		id := fmt.Sprintf("i%02d", i)
		s.happen(item(id, map[string]any{"category": "c"}))
		shared[id] = float64(i)
		if i != 3 {
			own["i00"], own[id] = 0, float64(90-i) // the own model likes the last ones, and does not know i03
		}
	}
	own["i00"], own["elsewhere"] = 0, 1
	own["i39"] = 2
	s.happen(view("u1", "i00", time.Hour))
	r := s.open(t, s.options())
	want := func(when string, answers map[string]string) {
		t.Helper()
		for scenario, want := range answers {
			got := ask(t, r, recommender.Request{UserID: "u1", Scenario: scenario, Count: 3})
			if line := got.Versions.Model + ": " + ids(got); line != want {
				t.Errorf("%s, %s: %q, want %q", when, scenario, line, want)
			}
		}
	}
	if err := r.SetScenarioModel("cart", compass{newCircle("own", own)}); err != nil {
		t.Fatal(err)
	}
	if got := ask(t, r, recommender.Request{UserID: "u1", Scenario: "home", Count: 3}); got.Versions.Model != "" || !strings.Contains(strings.Join(got.Degraded, " "), "no_model") {
		t.Errorf("without a shared model: %q, degraded %v", got.Versions.Model, got.Degraded)
	}
	want("before there is a shared model", map[string]string{"cart": "own: i00 i39 i38"})
	if err := r.SetModel(newCircle("m", shared)); err != nil {
		t.Fatal(err)
	}
	both := map[string]string{"cart": "own: i00 i39 i38", "home": "m: i00 i01 i02"}
	want("both", both)
	if got := r.Status(); got.Scenarios["cart"] != "own" || got.Versions.Model != "m" {
		t.Errorf("status: %v, %q", got.Scenarios, got.Versions.Model)
	}
	s.happen(item("fresh", map[string]any{"price": 100.0}))
	refresh(t, r, s)
	want("an item came that only the own model can place", map[string]string{"cart": "own: i00 fresh i39", "home": "m: i00 i01 i02"})
	delete(shared, "i01")
	if err := r.SetModel(newCircle("m2", shared)); err != nil {
		t.Fatal(err)
	}
	want("the shared model changed", map[string]string{"cart": "own: i00 fresh i39", "home": "m2: i00 i02 i03"})
	ranked, err := r.Rank(t.Context(), recommender.RankRequest{Request: recommender.Request{UserID: "u1", Scenario: "cart"}, Items: []string{"i03", "i02", "i39"}})
	if err != nil || ids(ranked) != "i39 i02 i03" {
		t.Errorf("ranked %q (%v), want i39 i02, and i03 without a vector last", ids(ranked), err)
	}
	if err := r.SetScenarioModel("cart", nil); err != nil {
		t.Fatal(err)
	}
	want("the own model is gone", map[string]string{"cart": "m2: i00 i02 i03", "home": "m2: i00 i02 i03"})
	bad := newCircle("bad", shared)
	bad.vectors[0] = float32(math.NaN())
	if err := r.SetScenarioModel("cart", bad); err == nil {
		t.Error("a model that is not finite was taken")
	}
}

// TestApproximateIndexServes answers from groups when it is told to.
func TestApproximateIndexServes(t *testing.T) {
	s := newShop()
	r := recommender.New(recommender.Options{Schema: s.schema, Users: fixedUsers{&features.State{}}, Index: recommender.IndexApproximate, Budget: patient, UserTimeout: patient})
	if err := r.Refresh(t.Context(), stocked(6000)); err != nil {
		t.Fatal(err)
	}
	if err := r.SetModel(newRandom(6000, 16)); err != nil {
		t.Fatal(err)
	}
	if got := r.Status().Model; got.Index != "ivf" || got.Recall < 0.95 {
		t.Errorf("index %s with recall %v, want ivf with 0.95", got.Index, got.Recall)
	}
	if got := ask(t, r, recommender.Request{UserID: "u", Count: 100, Filter: "item.category == 'c3'"}); len(got.Items) != 100 || got.ServedBy != recommender.ServedByModel {
		t.Errorf("%d items by %s, want 100 by the model", len(got.Items), got.ServedBy)
	}
	exact := recommender.New(recommender.Options{Schema: s.schema})
	if err := exact.SetModel(newRandom(6000, 16)); err != nil {
		t.Fatal(err)
	}
	if got := exact.Status().Model; got.Index != "exact" || got.Recall != 1 {
		t.Errorf("index %s with recall %v, want exact with 1", got.Index, got.Recall)
	}
}
