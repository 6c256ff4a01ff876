package recommender_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/sartorhq/sartor/recommender"
)

// An item that sells more than Y goes first, whoever asks: also when it started to sell a moment
// ago, and also when it is far from what the model would propose.
func TestPinByConditionFindsTheBestSellerInTheWholeCatalogue(t *testing.T) {
	s := newShop()
	degrees := map[string]float64{"liked": 0}
	for i := range 400 { // more than the model's candidates
		id := fmt.Sprintf("i%03d", i)
		s.happen(item(id, nil))
		degrees[id] = 1
	}
	s.happen(item("liked", nil), item("far", nil), view("u1", "liked", time.Hour))
	degrees["far"] = 180
	r := s.open(t, s.options())
	if err := r.SetModel(newCircle("m1", degrees)); err != nil {
		t.Fatal(err)
	}
	r.SetRules(ruleSet(t, s, "rules:\n- id: best\n  match: item.sales_7d > 5\n  then: [pin: {position: 1, order_by: item.sales_7d desc, max: 1}]"))
	first := func() string {
		t.Helper()
		refresh(t, r, s)
		return ask(t, r, recommender.Request{UserID: "u1", Count: 2}).Items[0].ItemID
	}
	if got := first(); got != "liked" {
		t.Fatalf("nothing sells: got %s, want liked", got)
	}
	s.happen(order("x", "", "far", 6, time.Hour))
	if got := first(); got != "far" {
		t.Errorf("far sold 6: got %s first", got)
	}
	s.happen(order("x", "", "i399", 7, time.Hour))
	if got := first(); got != "i399" {
		t.Errorf("i399 sold 7: got %s first", got)
	}
	s.happen(deleted("i399"))
	if got := first(); got != "far" {
		t.Errorf("i399 is gone: got %s first", got)
	}
	r.SetRules(ruleSet(t, s, "rules:\n- id: best\n  match: item.sales_7d > 50\n  then: [pin: {position: 1, order_by: item.sales_7d desc, max: 1}]"))
	if got := first(); got != "liked" {
		t.Errorf("a higher bar: got %s first, want liked", got)
	}
}
