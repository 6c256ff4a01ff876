package recommender_test

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/recommender"
)

// traveller is a circle that turns a user around who is in FR, and looks at the number of his orders.
type traveller struct{ *circle }

func (m traveller) UserFields() []string { return []string{"orders"} }

func (m traveller) EncodeIn(u *features.User, context map[string]any, now time.Time) ([]float32, bool) {
	vec, ok := m.Encode(u, now)
	if orders, _ := u.Env["orders"].(int); !ok || orders == 0 {
		return vec, ok
	}
	rad := math.Pi
	if context["country"] != "FR" {
		rad = 0
	}
	return []float32{vec[0]*float32(math.Cos(rad)) - vec[1]*float32(math.Sin(rad)), vec[0]*float32(math.Sin(rad)) + vec[1]*float32(math.Cos(rad))}, true
}

// The context of a request reaches a model that makes use of it, with the fields of the user that it reads.
func TestTheVisitReachesTheModel(t *testing.T) {
	s := newShop()
	degrees := map[string]float64{}
	for i := range 36 {
		id := fmt.Sprintf("i%03d", i*10)
		degrees[id] = float64(10 * i)
		s.happen(item(id, map[string]any{"category": "all"}))
	}
	s.happen(view("looks", "i010", time.Hour))
	s.happen(order("buys", "", "i010", 1, 2*time.Hour))
	s.happen(view("buys", "i010", time.Hour))
	r := s.open(t, s.options())
	if err := r.SetModel(traveller{newCircle("m", degrees)}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ user, country, want string }{
		{"looks", "FR", "i010"}, {"looks", "DE", "i010"}, {"buys", "DE", "i010"}, {"buys", "FR", "i190"}, {"buys", "", "i010"},
	} {
		q := recommender.Request{UserID: c.user, Count: 1}
		if c.country != "" {
			q.Context = map[string]any{"country": c.country}
		}
		if got := ask(t, r, q); got.ServedBy != recommender.ServedByModel || ids(got) != c.want {
			t.Errorf("%s in %q: %s by %s, want %s", c.user, c.country, ids(got), got.ServedBy, c.want)
		}
	}
}
