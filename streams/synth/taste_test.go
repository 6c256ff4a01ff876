package synth

import (
	"slices"
	"testing"
	"time"

	"github.com/sartorhq/sartor/streams"
)

// big is the shop of the statistical tests: default size, 60 days.
func big() *Shop { return New(Options{Seed: 11, Start: start}) }

// Eight sessions in ten are about one of three favourite categories of 24, and the other picks fall
// there too now and then: well over half of a user's views must be in his favourites, against an
// eighth for views dealt out at random (3/24), and his theme (1/6 of the items) must show as well.
func TestPlantedTastesShow(t *testing.T) {
	s := big()
	var views, favourite, themed, levelled, carts, cartThemed int
	for e := range s.History(days(60)) {
		taste, ok := s.Taste(e.UserID)
		if !ok || (e.Type != streams.View && e.Type != streams.CartAdd) {
			continue
		}
		it, ok := s.ItemTruth(e.Items[0].ItemID)
		if !ok {
			t.Fatalf("no truth about %s", e.Items[0].ItemID)
		}
		if e.Type == streams.CartAdd {
			carts++
			cartThemed += one(it.Theme == taste.Theme)
			continue
		}
		views++
		favourite += one(slices.Contains(taste.Categories, it.Category))
		themed += one(it.Theme == taste.Theme)
		levelled += one(it.PriceLevel == taste.PriceLevel)
	}
	within(t, "views in favourite categories, %", favourite*100/views, 60, 85)
	within(t, "views in the favourite theme, % (17 by chance)", themed*100/views, 35, 60)
	within(t, "views at the favourite price level, % (33 by chance)", levelled*100/views, 37, 55)
	if cartThemed*views <= themed*carts {
		t.Errorf("carts follow the theme less (%d of %d) than views (%d of %d)", cartThemed, carts, themed, views)
	}
}

func TestFunnelAndRhythm(t *testing.T) {
	s := big()
	n := map[streams.Type]int{}
	var night, evening, anonymous, abroad, weekend int
	hours := map[int]int{}
	for e := range s.History(days(56)) { // eight whole weeks
		n[e.Type]++
		if e.Type != streams.View {
			continue
		}
		hours[e.Time.Hour()]++
		night += one(e.Time.Hour() < 6)
		evening += one(e.Time.Hour() >= 18)
		weekend += one(e.Time.Weekday() == time.Sunday)
		anonymous += one(e.AnonymousID != "")
		abroad += one(e.Country != "DE")
	}
	views := n[streams.View]
	within(t, "views", views, 60_000, 200_000)
	within(t, "clicks per 100 views", n[streams.Click]*100/views, 27, 33)
	within(t, "cart-adds per 100 views", n[streams.CartAdd]*100/views, 12, 22)
	within(t, "cart-removes per 100 cart-adds", n[streams.CartRemove]*100/n[streams.CartAdd], 10, 14)
	within(t, "orders per 100 views", n[streams.Order]*100/views, 4, 12)
	within(t, "wishlists per 100 views", n[streams.Wishlist]*100/views, 2, 7)
	within(t, "ratings per 100 orders", n[streams.Rating]*100/n[streams.Order], 8, 15)
	within(t, "returns per 100 orders", n[streams.Return]*100/n[streams.Order], 2, 5)
	within(t, "searches per 100 views", n[streams.Search]*100/views, 4, 10)
	within(t, "anonymous views, %", anonymous*100/views, 9, 16)
	within(t, "views outside Germany, %", abroad*100/views, 55, 85)
	within(t, "night views, %", night*100/views, 1, 8)
	within(t, "evening views, %", evening*100/views, 35, 50)
	within(t, "Sunday views, % (14 by chance)", weekend*100/views, 16, 21)
}

// The head of the popularity must carry much, the tail something: views of the top tenth of the items.
func TestPopularityIsSkewed(t *testing.T) {
	count := map[string]int{}
	total := 0
	for e := range big().History(days(60)) {
		if e.Type == streams.View {
			count[e.Items[0].ItemID]++
			total++
		}
	}
	var sorted []int
	for _, c := range count {
		sorted = append(sorted, c)
	}
	slices.Sort(sorted)
	slices.Reverse(sorted)
	top := 0
	for _, c := range sorted[:200] {
		top += c
	}
	within(t, "views of the top tenth of the items, %", top*100/total, 35, 65)
	within(t, "items that were viewed at all", len(count), 1900, 2000)
}

// The users that the three seed rules are about must exist at the end of the history.
func TestUsersForTheSeedRules(t *testing.T) {
	s := big()
	end := days(60)
	spend, orders, lines, joined := map[string]int64{}, map[string]int{}, map[string]int{}, map[string]time.Time{}
	others := map[string]int{}
	for e := range s.History(end) {
		switch e.Type {
		case streams.Order:
			spend[e.UserID] += e.Amount()
			orders[e.UserID]++
			lines[e.UserID] += len(e.Items)
		case streams.UserUpsert:
			joined[e.UserID] = e.Time
		case streams.ItemUpsert, streams.Return:
		default:
			others[e.UserID]++
		}
	}
	delete(spend, "") // visitors
	var silentNew, bigCount int
	var bigSum, restSum int64
	for id := range orders {
		taste, ok := s.Taste(id)
		if !ok {
			continue
		}
		if taste.Silent {
			if lines[id] != 0 || others[id] != 0 {
				t.Errorf("silent customer %s has %d lines and %d other events", id, lines[id], others[id])
			}
			silentNew += one(orders[id] >= 5 && end.Sub(joined[id]) < 14*24*time.Hour)
		}
		if taste.BigSpender {
			bigCount++
			bigSum += spend[id]
		} else {
			restSum += spend[id]
		}
	}
	within(t, "new customers with many orders and no details", silentNew, 2, 12)
	within(t, "big spenders", bigCount, 30, 34)
	mean, rest := bigSum/int64(bigCount), restSum/int64(len(spend)-bigCount)
	if mean < 7*rest {
		t.Errorf("a big spender spends %d cents on average, another %d", mean, rest)
	}
}

func TestTasteOfUnknownNames(t *testing.T) {
	s := New(Options{})
	for _, id := range []string{"", "u", "u0", "u-1", "u01", "x1", "u1x"} {
		if _, ok := s.Taste(id); ok {
			t.Errorf("user %q has a taste", id)
		}
	}
	if _, ok := s.ItemTruth("sku-0"); ok {
		t.Error("item sku-0 has a truth")
	}
	taste, ok := s.Taste("u30")
	if !ok || !taste.BigSpender || len(taste.Categories) != 3 {
		t.Errorf("u30 is %+v, want a big spender with three categories", taste)
	}
}

func one(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

func within(t *testing.T, what string, got, low, high int) {
	t.Helper()
	t.Logf("%s: %d", what, got)
	if got < low || got > high {
		t.Errorf("%s: %d, want %d to %d", what, got, low, high)
	}
}

func BenchmarkHistory(b *testing.B) {
	n := 0
	for b.Loop() {
		n = 0
		for range big().History(days(60)) {
			n++
		}
	}
	b.ReportMetric(float64(n), "events")
}
