package features

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sartorhq/sartor/streams"
)

// at returns an event of user u on one item.
func at(typ streams.Type, item string, when time.Time) streams.Event {
	return streams.Event{Type: typ, UserID: "u", Time: when, Items: []streams.Line{{ItemID: item, Quantity: 1, Price: 1000}}}
}

func userOf(s *Schema, items ItemLookup, now time.Time, events ...streams.Event) *User {
	return s.User("u", apply(s, events)[Entity{UserEntity, "u"}], items, now)
}

func itemOf(s *Schema, now time.Time, events ...streams.Event) *Item {
	return s.Item("a", apply(s, events)[Entity{ItemEntity, "a"}], now)
}

func TestUnseenUser(t *testing.T) {
	s := Default()
	u := s.User("u", nil, nil, noon)
	if u.Seen || len(u.History) != 0 || len(u.Known) != 1 || u.Env["is_new"] != true || u.Env["id"] != "u" {
		t.Errorf("got %+v", u)
	}
	for _, f := range s.UserFields() {
		if !reflect.DeepEqual(u.Env[f.Name], f.Default) {
			t.Errorf("%s: got %v, want the default %v", f.Name, u.Env[f.Name], f.Default)
		}
	}
	// A tombstone is no user.
	if u := s.User("u", &State{RemovedAt: 5}, nil, noon); u.Seen || u.Known["orders"] {
		t.Error("an erased user is unseen")
	}
}

func TestUserOfOrders(t *testing.T) {
	s := Default()
	back := at(streams.Return, "b", noon.AddDate(0, 0, -1))
	u := userOf(s, nil, noon,
		at(streams.Order, "a", noon.AddDate(0, 0, -100)), at(streams.Order, "b", noon.AddDate(0, 0, -20)),
		at(streams.Order, "c", noon.AddDate(0, 0, -2)), back)
	want := map[string]any{
		"is_new": false, "orders": 3, "orders_7d": 1, "orders_30d": 2, "orders_90d": 2,
		"spend": 20.0, "spend_7d": 0.0, "spend_30d": 10.0, "spend_90d": 10.0, "units": 2, "returns_90d": 1,
		"avg_order_value": 20.0 / 3, "last_order_at": noon.AddDate(0, 0, -2), "first_seen_at": noon.AddDate(0, 0, -100),
		"last_seen_at": noon.AddDate(0, 0, -1), "last_items": []string{"c", "b", "a"}, "last_viewed": []string{},
		"views_7d": 0, "tier": "",
	}
	for name, w := range want {
		if !reflect.DeepEqual(u.Env[name], w) {
			t.Errorf("%s = %v, want %v", name, u.Env[name], w)
		}
	}
	for name, known := range map[string]bool{"orders": true, "views_7d": true, "last_items": true, "last_viewed": false, "tier": false, "is_new": true, "top_brands": false} {
		if u.Known[name] != known {
			t.Errorf("known %s = %v", name, u.Known[name])
		}
	}
}

// The third rule that started the project: a new customer with many orders but no order details.
func TestOrdersWithoutDetails(t *testing.T) {
	s := Default()
	var events []streams.Event
	for i := range 12 {
		events = append(events, streams.Event{Type: streams.Order, UserID: "u", Time: noon.Add(-time.Duration(i) * time.Hour), Total: total(999)})
	}
	u := userOf(s, nil, noon, events...)
	if u.Env["is_new"] != true || u.Env["orders_90d"] != 12 || u.Known["last_items"] || u.Env["spend_90d"] != 119.88 {
		t.Errorf("got %v", u.Env)
	}
}

func TestFirstSeenOfDocument(t *testing.T) {
	s := Default()
	doc := streams.Event{Type: streams.UserUpsert, UserID: "u", Time: noon, Attributes: map[string]any{"first_seen_at": "2019-05-06T00:00:00Z", "tier": "gold", "shoe": 42.5, "x": []any{}}}
	u := userOf(s, nil, noon, doc, at(streams.View, "a", noon))
	if u.Env["is_new"] != false || u.Env["tier"] != "gold" || !u.Known["tier"] {
		t.Errorf("got %v", u.Env)
	}
	if got := u.Env["attrs"]; !reflect.DeepEqual(got, map[string]string{"shoe": "42.5"}) {
		t.Errorf("attrs = %v", got)
	}
}

// A window never covers less than it says, and at most one bucket more.
func TestWindowCoverage(t *testing.T) {
	s := Default()
	for _, w := range []struct {
		field  string
		length time.Duration
		bucket time.Duration
	}{{"views_1h", time.Hour, time.Hour}, {"views_24h", 24 * time.Hour, time.Hour}, {"views_7d", 7 * day, day}} {
		t.Run(w.field, rapid.MakeCheck(func(rt *rapid.T) {
			now := noon.Add(time.Duration(rapid.Int64Range(0, int64(3*day)).Draw(rt, "now")))
			age := time.Duration(rapid.Int64Range(0, int64(w.length+2*w.bucket)).Draw(rt, "age"))
			got := userOf(s, nil, now, at(streams.View, "a", now.Add(-age))).Env[w.field].(int)
			if age < w.length && got != 1 {
				rt.Fatalf("an event of age %v is not in %s at %v", age, w.field, now)
			}
			if age > w.length+w.bucket && got != 0 {
				rt.Fatalf("an event of age %v is in %s at %v", age, w.field, now)
			}
		}))
	}
}

func TestClockSkew(t *testing.T) {
	s := Default()
	late := time.Date(2026, 1, 1, 23, 58, 0, 0, time.UTC)
	if got := userOf(s, nil, late, at(streams.View, "a", late.Add(4*time.Minute))).Env["views_7d"]; got != 1 {
		t.Errorf("an event four minutes ahead, after midnight, counted %v", got)
	}
	if got := userOf(s, nil, late, at(streams.View, "a", late.Add(40*time.Hour))).Env["views_7d"]; got != 0 {
		t.Errorf("an event of the day after tomorrow counted %v", got)
	}
}

// catalogue is a lookup over items with categories and brands.
func catalogue(s *Schema, now time.Time, categories map[string]string) ItemLookup {
	return func(id string) *Item {
		c, ok := categories[id]
		if !ok {
			return nil
		}
		return s.Item(id, &State{Doc: fmt.Sprintf(`{"category":%q}`, c), DocTime: 1}, now)
	}
}

func TestTopCategories(t *testing.T) {
	s := Default()
	items := catalogue(s, noon, map[string]string{"coat": "coats", "shoe": "shoes", "boot": "shoes", "hat": "hats", "none": ""})
	for _, tc := range []struct {
		name   string
		events []streams.Event
		want   []string
	}{
		{"order-beats-views", []streams.Event{at(streams.Order, "coat", noon), at(streams.View, "shoe", noon), at(streams.View, "boot", noon)}, []string{"coats", "shoes"}},
		{"recent-views-beat-an-old-order", []streams.Event{at(streams.Order, "coat", noon.AddDate(0, 0, -56)), at(streams.View, "shoe", noon)}, []string{"shoes", "coats"}},
		{"two-half-lives-are-a-quarter", []streams.Event{at(streams.Order, "coat", noon.AddDate(0, 0, -28)), at(streams.View, "shoe", noon)}, []string{"coats", "shoes"}},
		{"ties-by-name", []streams.Event{at(streams.View, "shoe", noon), at(streams.View, "hat", noon), at(streams.View, "coat", noon)}, []string{"coats", "hats", "shoes"}},
		{"unknown-items-and-empty-names", []streams.Event{at(streams.View, "ghost", noon), at(streams.View, "none", noon)}, []string{}},
		{"cart-remove-has-no-weight", []streams.Event{at(streams.CartRemove, "hat", noon)}, []string{}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			u := userOf(s, items, noon.AddDate(0, 1, 0), tc.events...)
			if got := u.Env["top_categories"].([]string); !slices.Equal(got, tc.want) {
				t.Errorf("got %v, want %v", got, tc.want)
			}
			if u.Known["top_categories"] != (len(tc.want) > 0) {
				t.Error("known only when there is one")
			}
		})
	}
	// The bought list reaches further back than a history full of views.
	events := []streams.Event{at(streams.Order, "coat", noon.Add(-time.Hour))}
	for i := range 150 {
		events = append(events, at(streams.View, "ghost", noon.Add(time.Duration(i)*time.Second)))
	}
	if got := userOf(s, items, noon, events...).Env["top_categories"].([]string); !slices.Equal(got, []string{"coats"}) {
		t.Errorf("got %v", got)
	}
}

func TestListsAreBoundedNewestFirst(t *testing.T) {
	s := Default()
	var events []streams.Event
	for i := range 300 {
		events = append(events, at(streams.View, fmt.Sprintf("i%d", i%70), noon.Add(time.Duration(i)*time.Second)))
	}
	u := userOf(s, nil, noon.Add(time.Hour), events...)
	viewed := u.Env["last_viewed"].([]string)
	if len(viewed) != 50 || viewed[0] != "i19" || viewed[49] != "i40" {
		t.Errorf("last_viewed has %d: %v", len(viewed), viewed)
	}
	if len(u.History) != 100 || u.History[0] != (Entry{streams.View, "i19", noon.Add(299 * time.Second).UnixMilli()}) {
		t.Errorf("history has %d from %v", len(u.History), u.History[0])
	}
}

func TestCartItems(t *testing.T) {
	s := Default()
	u := userOf(s, nil, noon, at(streams.CartAdd, "a", noon), at(streams.CartAdd, "b", noon), at(streams.CartAdd, "c", noon),
		at(streams.CartRemove, "a", noon.Add(1)), at(streams.CartRemove, "a", noon.Add(time.Second)), at(streams.Order, "b", noon.Add(time.Second)),
		at(streams.CartRemove, "c", noon.Add(time.Second)), at(streams.CartAdd, "c", noon.Add(2*time.Second)))
	if got := u.Env["cart_items"].([]string); !slices.Equal(got, []string{"c"}) {
		t.Errorf("got %v", got)
	}
	if got := u.Env["last_carted"].([]string); !slices.Equal(got, []string{"c", "b", "a"}) {
		t.Errorf("got %v", got)
	}
}

func TestItem(t *testing.T) {
	s := Default()
	doc := streams.Event{Type: streams.ItemUpsert, Time: noon, Items: []streams.Line{{ItemID: "a"}}, Attributes: map[string]any{
		"title": "Rain coat", "price": 4990.0, "cost": 2495.0, "currency": "EUR", "stock": 3.0, "tags": []any{"x", "y"},
		"created_at": "2026-01-01", "color": "red", "attrs": map[string]any{"size": "M"}, "rating": 3.5, "category": 12.0, "brand": []any{}}}
	de, fr := at(streams.Order, "a", noon.AddDate(0, 0, -3)), at(streams.Return, "a", noon.AddDate(0, 0, -3))
	de.Country, fr.Country = "de", "FR"
	it := itemOf(s, noon, doc, de, at(streams.Order, "a", noon), at(streams.View, "a", noon), fr, at(streams.Order, "a", noon.AddDate(0, 0, -40)))
	want := map[string]any{
		"id": "a", "title": "Rain coat", "price": 49.9, "cost": 24.95, "margin": 0.5, "stock": 3, "tags": []string{"x", "y"},
		"created_at": time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), "attrs": map[string]string{"color": "red", "size": "M"}, "rating": 3.5,
		"category": "12", "brand": "", "sales_1h": 1, "sales_24h": 1, "sales_7d": 1, "sales_30d": 1, "sales_total": 2,
		"revenue_7d": 10.0, "orders_7d": 2, "views_1h": 1, "views_total": 1, "conversion_7d": 3.0 / 51, "ctr_7d": 0.02,
	}
	for name, w := range want {
		if !reflect.DeepEqual(it.Env[name], w) {
			t.Errorf("%s = %v, want %v", name, it.Env[name], w)
		}
	}
	for name, known := range map[string]bool{"title": true, "brand": false, "margin": true, "ctr_7d": false, "sales_1h": true, "rating": true, "country": false} {
		if it.Known[name] != known {
			t.Errorf("known %s = %v", name, it.Known[name])
		}
	}
	if it.UnitsTotal != 2 || it.ViewsTotal != 1 || it.Deleted || !reflect.DeepEqual(it.SalesByCountry, map[string]int64{"DE": 1}) {
		t.Errorf("got %+v", it)
	}
}

func TestItemWithoutDocument(t *testing.T) {
	s := Default()
	it := itemOf(s, noon, at(streams.Order, "a", noon))
	if it.Deleted || it.Env["stock"] != 1000 || it.Known["stock"] || it.Env["margin"] != 0.3 || it.Known["margin"] || it.Env["sales_24h"] != 1 {
		t.Errorf("got %+v", it)
	}
	if it := s.Item("a", nil, noon); it.Known["sales_24h"] || it.Env["trend"] != 1.0 || it.SalesByCountry == nil {
		t.Errorf("an unknown item has defaults, got %+v", it)
	}
	gone := streams.Event{Type: streams.ItemDelete, Time: noon, Items: []streams.Line{{ItemID: "a"}}}
	if it := itemOf(s, noon, at(streams.Order, "a", noon), gone); !it.Deleted || it.UnitsTotal != 1 {
		t.Errorf("got %+v", it)
	}
	revived := streams.Event{Type: streams.ItemUpsert, Time: noon.Add(time.Second), Items: gone.Items}
	if it := itemOf(s, noon, revived, gone); it.Deleted {
		t.Error("a newer document revives the item")
	}
}

func TestRatingAndTrend(t *testing.T) {
	s := Default()
	rate := func(v float64) streams.Event {
		e := at(streams.Rating, "a", noon)
		e.Rating = v
		return e
	}
	if got := itemOf(s, noon, rate(4), rate(4.5), rate(1)).Env["rating"]; got != 9.5/3 {
		t.Errorf("rating %v", got)
	}
	// Ten views a day just before noon, now is noon: 10 in the 24 hours since yesterday's noon, and
	// 80 in the 7.5 days since midnight a week ago.
	var events []streams.Event
	for d := range 8 {
		for range 10 {
			events = append(events, at(streams.View, "a", noon.AddDate(0, 0, -d).Add(-time.Millisecond)))
		}
	}
	got := itemOf(s, noon, events...).Env["trend"].(float64)
	if want := (10.0/1 + 5) / (80.0/7.5 + 5); math.Abs(got-want) > 1e-12 {
		t.Errorf("trend %v, want %v", got, want)
	}
}

func TestMoney(t *testing.T) {
	for _, tc := range []struct {
		currency string
		want     float64
	}{{"", 12.34}, {"EUR", 12.34}, {"JPY", 1234}, {"KWD", 1.234}, {"CLF", 0.1234}, {"???", 12.34}} {
		s := Default()
		doc := streams.Event{Type: streams.ItemUpsert, Time: noon, Items: []streams.Line{{ItemID: "a", Price: 1234}}, Currency: tc.currency}
		if got := itemOf(s, noon, doc).Env["price"]; got != tc.want {
			t.Errorf("1234 minor units of %q are %v, want %v", tc.currency, got, tc.want)
		}
	}
	s, err := parseWith(t, `currency: ""`, "currency: JPY")
	if err != nil {
		t.Fatal(err)
	}
	yen, euro := at(streams.Order, "a", noon), at(streams.Order, "a", noon)
	yen.Currency, euro.Currency = "JPY", "EUR"
	if got := userOf(s, nil, noon, yen, euro, euro).Env["spend"]; got != 1000.0 {
		t.Errorf("spend %v: yen have no minor unit, and euros are not yen", got)
	}
	if got := apply(s, []streams.Event{yen, euro, euro})[Entity{UserEntity, "u"}].Counters["a:order~EUR"]; got != 2000 {
		t.Errorf("euros are kept apart, got %v", got)
	}
}

// Every value has the Go type of its field, whatever was stored.
func TestEnvIsTyped(t *testing.T) {
	s := Default()
	rapid.Check(t, func(rt *rapid.T) {
		states := apply(s, drawEvents(rt))
		now := noon.Add(time.Duration(rapid.Int64Range(0, int64(130*day)).Draw(rt, "now")))
		lookup := func(id string) *Item { return s.Item(id, states[Entity{ItemEntity, id}], now) }
		check := func(env map[string]any, fields []Field) {
			if len(env) != len(fields)+1 {
				rt.Fatalf("%d values for %d fields", len(env), len(fields))
			}
			for _, f := range fields {
				v := env[f.Name]
				if reflect.TypeOf(v) != goType(f.Type) {
					rt.Fatalf("%s is a %T", f.Name, v)
				}
				if n, ok := v.(float64); ok && (math.IsNaN(n) || math.IsInf(n, 0)) {
					rt.Fatalf("%s is %v", f.Name, n)
				}
				if l, ok := v.([]string); ok && len(l) > f.Max {
					rt.Fatalf("%s has %d entries", f.Name, len(l))
				}
			}
		}
		check(s.User("u", states[Entity{UserEntity, "u"}], lookup, now).Env, s.UserFields())
		for _, id := range []string{"a", "b", "c"} {
			check(lookup(id).Env, s.ItemFields())
		}
	})
}

// TestWindowByEitherWay: a window is the same sum whether its buckets are looked up or the counters gone through,
// with names that only look like buckets among them, and with sums that do not fit.
func TestWindowByEitherWay(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		name := rapid.SampledFrom([]string{"n:view@d0", "n:view@d1", "n:view@d01", "n:view@d-1", "n:view@d-0", "n:view@d+1", "n:view@d2x", "n:view@d", "n:view@h1", "n:views@d1", "n:view", "n:view@d3"})
		value := rapid.OneOf(rapid.Int64Range(-5, 5), rapid.SampledFrom([]int64{math.MaxInt64, math.MinInt64, math.MaxInt64 / 2}))
		st := &State{Counters: rapid.MapOf(name, value).Draw(rt, "counters")}
		w := span{unit: daily, first: -3, last: 12}
		var want int64
		for i := w.first; i <= w.last; i++ {
			want = addSaturated(want, st.Counters[bucketName("n:view", daily, i)])
		}
		if got, ok := st.sum("n:view@d", w); ok && got != want {
			rt.Errorf("%d, want %d", got, want)
		}
		now := time.UnixMilli(3 * dayMillis)
		if got := st.total(measureCount, streams.View, "", 12*24*time.Hour, now); got != totalOf(st, spanOf(12*24*time.Hour, now)) {
			rt.Errorf("%d in all", got)
		}
	})
}

func totalOf(st *State, w span) (out int64) {
	for i := w.first; i <= w.last; i++ {
		out = addSaturated(out, st.Counters[bucketName("n:view", w.unit, i)])
	}
	return out
}
