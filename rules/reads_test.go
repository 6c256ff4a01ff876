package rules

import (
	"slices"
	"testing"

	"github.com/sartorhq/sartor/features"
)

func TestConditionsNameTheItemFieldsTheyRead(t *testing.T) {
	for src, want := range map[string][]string{
		`item.price < 20 and has("item.stock")`:                  {"price", "stock"},
		`item.id == "a"`:                                         {"id"},
		`item.price > user.avg_order_value`:                      {"price"},
		`user.is_new`:                                            nil,
		`item.category in user.top_categories`:                   {"category"},
		`has("item.price") and item.price > 3 or item.stock < 1`: {"price", "stock"},
	} {
		c, problems := CompileFilter(src, features.Default())
		if c == nil {
			t.Fatalf("%s: %v", src, problems)
		}
		if got := c.ItemFields(); !slices.Equal(got, want) {
			t.Errorf("%s reads %v, want %v", src, got, want)
		}
	}
	if got := Empty().ItemFields(); len(got) != 0 {
		t.Errorf("a set without rules reads %v", got)
	}
}

func TestConditionsNameTheUserFieldsTheyRead(t *testing.T) {
	for src, want := range map[string][]string{
		`item.price < 20`:                                    nil,
		`item.category in user.top_categories`:               {"top_categories"},
		`user.id == "u1" and has("user.tier")`:               {"tier"},
		`segment("vip") and not did("view", days(7))`:        {"segments"},
		`user.attrs["newsletter"] == "x" and user.is_new`:    {"attrs", "is_new"},
		`request.source_item.category in user.last_items`:    {"last_items"},
		`bucket("salt", 10) < 3 and item.price > user.spend`: {"spend"},
	} {
		c, problems := CompileFilter(src, features.Default())
		if c == nil {
			t.Fatalf("%s: %v", src, problems)
		}
		if got := c.UserFields(); !slices.Equal(got, want) {
			t.Errorf("%s reads %v, want %v", src, got, want)
		}
	}
}

// A set reads what its conditions, formulas, shares of users and sources read.
func TestSetsNameTheUserFieldsTheyRead(t *testing.T) {
	s := compiled(t, rulesOf(
		mk("a", match(`item.price > user.avg_order_value`), then(act("boost", "multiply", "1.5"))),
		mk("b", then(act("inject", "source", "hot", "match", `item.brand in user.top_brands`))),
		mk("c", match(`item.id == user.id`), then(act("exclude"))),
	))
	if got, want := s.UserFields(), []string{"avg_order_value", "top_brands"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := Empty().UserFields(); len(got) != 0 {
		t.Errorf("a set without rules reads %v", got)
	}
}

func TestStaticRulesNameTheItemFieldsTheyRead(t *testing.T) {
	cart := rulesOf(mk("cart-only", match(`has("item.brand") and item.price > 3`), then(act("exclude"))), mk("all", then(act("exclude"))))
	cart.Name, cart.Scope.Scenarios = "cart", []string{"cart"}
	s := compiled(t, cart, rulesOf(
		mk("guard", hard(), match("item.stock <= 0"), then(act("exclude"))),
		mk("personal", match("item.category in user.top_categories"), then(act("exclude"))),
		mk("boost", match("item.margin > 0.5"), then(act("boost", "add", "1"))),
	))
	for scenario, want := range map[string][]string{"home": {"stock"}, "cart": {"brand", "price", "stock"}} {
		if got := s.StaticFields(scenario); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", scenario, got, want)
		}
	}
	if got := Empty().StaticFields("home"); len(got) != 0 {
		t.Errorf("a set without rules reads %v", got)
	}
}
