package spelling

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestNearest(t *testing.T) {
	known := []string{"user_id", "item_id", "time", "type", "items", "id", "cart-add", "kafka.brokers", "attributes", "recommendation_id"}
	for name, want := range map[string]string{
		"userId": "user_id", "USER-ID": "user_id", "user id": "user_id", "-user_id-": "user_id", // the same but for its dress
		"usr_id": "user_id", "usre_id": "user_id", "useer_id": "user_id", // one slip of each kind
		"tiem": "time", "tpye": "type", "cart_ad": "cart-add",
		"kafka.broker": "kafka.brokers", "recomendation": "recommendation_id", "recomendaton_i": "recommendation_id", "atribute": "attributes",
		"ids": "id", "item": "items", // the plural
		"kafka.gruop": "", "KAFKA.BROKERS": "kafka.brokers",
		"": "", "-": "", "zzz": "", "xy": "", "t": "", "i": "", "colour": "", strings.Repeat("u", 65): "",
	} {
		if got := Nearest(name, known); got != want {
			t.Errorf("Nearest(%q) = %q, want %q", name, got, want)
		}
	}
	if got := Nearest("bat", []string{"cat", "bar"}); got != "cat" {
		t.Errorf("of two that are as near, %q", got)
	}
	if got := Nearest("brand", nil); got != "" {
		t.Errorf("of no names, %q", got)
	}
}

func TestDistanceOfPairs(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"abc", "abc", 0}, {"abc", "acb", 1}, {"abc", "ab", 1}, {"ab", "ba", 1}, {"orders", "oders", 1}, {"orders", "odrers", 1}, {"abcd", "badc", 2}, {"abcdef", "xyz", 3}, {"a", "abcd", 3}} {
		if got := distance(c.a, c.b, 2); got != c.want {
			t.Errorf("%q %q: %d, want %d", c.a, c.b, got, c.want)
		}
	}
}

// TestDistance: the distance is a distance, and a limit changes nothing below it.
func TestDistance(t *testing.T) {
	word := rapid.StringMatching(`[abc]{0,6}`)
	rapid.Check(t, func(t *rapid.T) {
		a, b, limit := word.Draw(t, "a"), word.Draw(t, "b"), rapid.IntRange(0, 6).Draw(t, "limit")
		d := distance(a, b, 100)
		if back := distance(b, a, 100); back != d || (d == 0) != (a == b) || d > max(len(a), len(b)) || d < len(a)-len(b) {
			t.Fatalf("from %q to %q it is %d, back %d", a, b, d, back)
		}
		if got := distance(a, b, limit); got != min(d, limit+1) {
			t.Fatalf("from %q to %q it is %d, with limit %d it is %d", a, b, d, limit, got)
		}
	})
}
