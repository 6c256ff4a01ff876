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
