package features

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

// parseWith parses the default schema with one text replaced.
func parseWith(t *testing.T, old, replacement string) (*Schema, error) {
	t.Helper()
	text := string(defaultSchema)
	if !strings.Contains(text, old) {
		t.Fatalf("the default schema does not contain %q", old)
	}
	return Parse("s.yaml", []byte(strings.Replace(text, old, replacement, 1)))
}

func TestDefaultHasAgreedFields(t *testing.T) {
	s := Default()
	want := map[string]struct {
		fields []Field
		names  string
	}{
		"user": {s.UserFields(), `is_new tier segments country orders orders_7d orders_30d orders_90d spend spend_7d spend_30d spend_90d
			avg_order_value units returns_90d views_1h views_24h views_7d carts_7d last_order_at first_seen_at last_seen_at
			last_items last_viewed last_carted last_wishlisted cart_items top_categories top_brands attrs`},
		"item": {s.ItemFields(), `title category category_path brand product_group price cost margin currency stock tags created_at rating
			country attrs sales_1h sales_24h sales_7d sales_30d revenue_7d orders_7d views_1h views_24h views_7d ctr_7d conversion_7d
			trend sales_total views_total`},
		"context": {s.ContextFields(), `country language device app_version referrer is_bot attrs`},
	}
	for section, w := range want {
		have := map[string]bool{}
		for _, f := range w.fields {
			have[f.Name] = true
		}
		for _, name := range strings.Fields(w.names) {
			if !have[name] {
				t.Errorf("%s.%s is missing", section, name)
			}
		}
	}
}

// goType returns the Go type that an Env holds for a value type.
func goType(v ValueType) reflect.Type {
	return map[ValueType]reflect.Type{
		Text: reflect.TypeFor[string](), Int: reflect.TypeFor[int](), Number: reflect.TypeFor[float64](),
		Money: reflect.TypeFor[float64](), Bool: reflect.TypeFor[bool](), Time: reflect.TypeFor[time.Time](),
		TextList: reflect.TypeFor[[]string](), TextMap: reflect.TypeFor[map[string]string](),
	}[v]
}

func TestDefaultsHaveTheFieldsType(t *testing.T) {
	s := Default()
	for _, f := range append(append(s.UserFields(), s.ItemFields()...), s.ContextFields()...) {
		if reflect.TypeOf(f.Default) != goType(f.Type) {
			t.Errorf("%s: the default is a %T, the type %s", f.Name, f.Default, f.Type)
		}
		if f.Doc == "" || f.Example == "" {
			t.Errorf("%s: doc or example is missing", f.Name)
		}
	}
}

func TestVersionFollowsMeaning(t *testing.T) {
	same, err := Parse("s.yaml", []byte("# a comment\n"+strings.Replace(string(defaultSchema), "{type: text, default: \"\"", "{default: \"\", type: text", 1)))
	if err != nil {
		t.Fatal(err)
	}
	if same.Version() != Default().Version() {
		t.Error("layout and comments must not change the version")
	}
	for _, edit := range [][2]string{
		{"window: 7d", "window: 8d"}, {"max: 100", "max: 101"}, {`currency: ""`, "currency: EUR"},
		{"default: 1000", "default: 1"}, {"age: 14d", "age: 15d"}, {"window: 14d", "window: 15d"}, {"shown: {max: 200", "shown: {max: 199"}, {"order: 5", "order: 6"}, {"weight: 100", "weight: 101"},
	} {
		s, err := parseWith(t, edit[0], edit[1])
		if err != nil {
			t.Fatal(err)
		}
		if s.Version() == Default().Version() {
			t.Errorf("%q instead of %q must change the version", edit[1], edit[0])
		}
	}
}

func TestParseReportsEverything(t *testing.T) {
	_, err := Parse("shop.yaml", []byte(`apiVersion: features/v1
currency: euro
history: {max: 100, events: [view]}
user:
  orders: {type: int, default: 0, count: {evnts: [order]}, doc: d, example: 1}
  Bad-Name: {type: int}
item:
  price: {type: cash, default: 0, doc: d, example: 1}
  sales: {type: int, default: zero, doc: d, example: 1, sum: {of: units, events: [orders], window: 50h}}
`))
	var se *SchemaError
	if !errors.As(err, &se) {
		t.Fatalf("got %v", err)
	}
	want := `shop.yaml: line 2: currency: must be an ISO 4217 code such as EUR, or empty
shop.yaml: line 5: user.orders.count.evnts: unknown key; did you mean "events"? Allowed here: events, where, window
shop.yaml: line 5: user.orders.count: events is missing
shop.yaml: line 6: user.Bad-Name: a name starts with a letter and holds a-z, 0-9 and _
shop.yaml: line 8: item.price.type: unknown type "cash"; use one of text, int, number, money, bool, time, []text, map
shop.yaml: line 9: item.sales.sum.events: "orders" is not an event that is counted; use view, click, cart-add, cart-remove, search, wishlist, rating, order, return, exposure
shop.yaml: line 9: item.sales.sum.window: must be whole hours up to 48h or whole days up to 90d`
	if err.Error() != want {
		t.Errorf("got\n%s\nwant\n%s", err, want)
	}
}

func TestParseRefuses(t *testing.T) {
	const order = "orders:     {type: int, default: 0, count: {events: [order]}"
	for _, tc := range []struct{ name, old, text, want string }{
		{"version", "features/v1", "features/v2", `apiVersion: must be "features/v1"`},
		{"unknown-section", "context:", "contxt:", `contxt: unknown key; did you mean "context"?`},
		{"duplicate-key", "context:\n", "item: {}\ncontext:\n", "item: is written twice; the first is on line"},
		{"duplicate-field", "user:\n", "user:\n  tier: {type: text, default: x, doc: d, example: e}\n", "user.tier: is written twice"},
		{"alias", order, "o2: &a {type: int}\n  " + order, "anchors, aliases and merge keys"},
		{"declared-id", order, "id: {type: text}\n  " + order, "every user and item has an id"},
		{"two-aggregates", order, "orders: {type: int, default: 0, count: {events: [order]}, last: {}", "a field has one aggregate; count is already given"},
		{"wrong-type", order, "orders: {type: text, default: 0, count: {events: [order]}", "a count has the type int, not text"},
		{"missing-default", order, "orders: {type: int, count: {events: [order]}", "default is missing"},
		{"missing-doc", `, doc: "Orders placed, ever"`, "", "doc is missing"},
		{"missing-example", `doc: "Orders placed, ever", example: 12`, `doc: "Orders placed, ever"`, "example is missing"},
		{"missing-type", order, "orders: {default: 0", "type is missing"},
		{"missing-max", `top_brands:      {type: "[]text", max: 10,`, `top_brands:      {type: "[]text",`, "max is missing"},
		{"max-on-scalar", order, "orders: {type: int, max: 4, default: 0, count: {events: [order]}", "max is for lists and maps only"},
		{"values-on-int", order, "orders: {type: int, values: [a], default: 0, count: {events: [order]}", "values is for the type text only"},
		{"default-not-in-values", `tier:     {type: text, default: ""`, `tier:     {type: text, values: [gold], default: silver`, `the default "silver" is not among the values`},
		{"rest-on-text", `tier:     {type: text,`, `tier:     {type: text, rest: true,`, "rest is for the type map only"},
		{"event-twice", order, "orders: {type: int, default: 0, count: {events: [order, order]}", `"order" is listed twice`},
		{"exposure-of-user", order, "orders: {type: int, default: 0, session: {of: events, gap: 30m, events: [exposure]}", "exposures are not part of a user's history"},
		{"unless-exposed", "unless: [cart-remove, order]", "unless: [exposure]", "exposures are not part of a user's history"},
		{"distinct-of-what-is-not-kept", "shown: {max: 200, window: 14d}\n\nuser:", "user:\n  x: {type: int, default: 0, distinct: {of: item, events: [exposure]}, doc: d, example: 1}", "what was shown is not kept"},
		{"shown-without-window", "shown: {max: 200, window: 14d}", "shown: {max: 200}", "needs max and window"},
		{"shown-for-ever", "shown: {max: 200, window: 14d}", "shown: {max: 200, window: 91d}", "must be at most 90d"},
		{"shown-length", "shown: {max: 200, window: 14d}", "shown: {max: 2000, window: 9d}", "must be a whole number from 1 to 1000"},
		{"shown-key", "shown: {max: 200, window: 14d}", "shown: {max: 200, widow: 9d}", "unknown key; did you mean \"window\"?"},
		{"shown-is-taken", "last_items:      {", "shown:      {", "is taken by the predefined list"},
		{"exposure-in-history", "cart-remove, wishlist, rating, order, return]", "exposure]", "not part of a user's history"},
		{"history-missing", "history:\n  max: 100\n  events: [view, click, cart-add, cart-remove, wishlist, rating, order, return]", "history: {max: 3}", "history.events: is missing"},
		{"unknown-measure", "sum: {of: units, events: [order], minus: [return]}", "sum: {of: pounds, events: [order]}", "must be one of [units amount]"},
		{"ratio-of-nothing", "ratio: {of: spend, by: orders}", "ratio: {of: spent, by: orders}", `names the field "spent", which user does not have`},
		{"ratio-of-text", "ratio: {of: spend, by: orders}", "ratio: {of: tier, by: orders}", "and tier is text"},
		{"ratio-of-ratio", "of: orders_7d, by: views_7d", "of: ctr_7d, by: views_7d", "cannot be made of ctr_7d, which is derived itself"},
		{"top-of-number", "top: {of: brand", "top: {of: price", `of must name a text field of items, and "price" is none`},
		{"trend-backwards", "recent: 24h, past: 7d", "recent: 7d, past: 24h", "past must be longer than recent"},
		{"list-of-items", "rating:   {type: number, default: 0, avg: {of: rating, events: [rating]}, attribute: rating", `rating:   {type: "[]text", max: 3, default: [], list: {events: [rating]}`, "items keep no history"},
		{"list-of-nothing", "list: {from: last_carted, unless: [cart-remove, order]}", "list: {}", "a list has either events or from"},
		{"list-from-nothing", "from: last_carted", "from: top_brands", "from must name a list that is made of events"},
		{"context-aggregate", `device:      {type: text, default: ""`, `device:      {type: int, default: 0, count: {events: [view]}`, "context fields come with the request"},
		{"attribute-of-count", order, "orders: {type: int, default: 0, attribute: x, count: {events: [order]}", "a count takes no attribute"},
		{"bad-bool", "default: true, age_below", "default: maybe, age_below", "must be true or false"},
		{"bad-time", `last_seen_at:  {type: time, default: ""`, `last_seen_at:  {type: time, default: soon`, "must be empty or a time"},
		{"bad-duration", "age: 14d", "age: soon", "must be a duration such as 24h or 7d"},
		{"bad-number", "prior: 0.02, weight: 100", "prior: -1, weight: 100", "must be a number from 0 to 1e+09"},
		{"bad-weight", "weights: {view: 1, ", "weights: {sleep: 1, ", `"sleep" is not an event of the history`},
		{"together-without-gap", "  trend:      {", "  x: {type: \"[]text\", max: 3, default: [], together: {events: [view], within: session, remember: 9}, doc: d, example: e}\n  trend:      {", "within: session and gap go together"},
		{"together-within-a-day", "  trend:      {", "  x: {type: \"[]text\", max: 3, default: [], together: {events: [view], within: day, remember: 9}, doc: d, example: e}\n  trend:      {", "must be session"},
		{"together-of-orders", "  trend:      {", "  x: {type: \"[]text\", max: 3, default: [], together: {events: [order], within: session, gap: 30m, remember: 9}, doc: d, example: e}\n  trend:      {", "a visit is made of what users do with items, and order is not"},
		{"together-where", "  trend:      {", "  x: {type: \"[]text\", max: 3, default: [], together: {events: [view], where: {country: DE}, within: session, gap: 30m, remember: 9}, doc: d, example: e}\n  trend:      {", "where does not go with within: session"},
		{"two-gaps", "  trend:      {", "  x: {type: \"[]text\", max: 3, default: [], together: {events: [view], within: session, gap: 30m, remember: 9}, doc: d, example: e}\n  y: {type: \"[]text\", max: 3, default: [], together: {events: [view], within: session, gap: 20m, remember: 9}, doc: d, example: e}\n  trend:      {", "is 30m in another field"},
		{"tally-of-a-number", "  carts_7d:  {", "  x: {type: map, max: 3, default: {}, tally: {of: price, events: [view]}, doc: d, example: e}\n  carts_7d:  {", "of must be item or a text field of items"},
		{"tally-of-exposures", "  carts_7d:  {", "  x: {type: map, max: 3, default: {}, tally: {of: brand, events: [exposure]}, doc: d, example: e}\n  carts_7d:  {", "the history does not hold exposure events"},
		{"tally-of-items", "  trend:      {", "  x: {type: map, max: 3, default: {}, tally: {of: brand, events: [view]}, doc: d, example: e}\n  trend:      {", "items keep no history"},
		{"not-a-mapping", order, "orders: [1]\n  o2: {type: int, default: 0, count: {events: [order]}", "must be a mapping"},
		{"syntax", "apiVersion:", "\tapiVersion:", "found character that cannot start any token"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := parseWith(t, tc.old, tc.text)
			var se *SchemaError
			if !errors.As(err, &se) || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("got %v\nwant %s", err, tc.want)
			}
			for _, p := range se.Problems {
				if p.Line == 0 {
					t.Errorf("without a line: %s", p)
				}
			}
		})
	}
	for name, text := range map[string]string{"empty": "", "list": "[a]", "two": "a: 1\n---\nb: 2\n", "huge": strings.Repeat("#", maxSchemaBytes+1)} {
		if _, err := Parse(name, []byte(text)); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(string(defaultSchema))
	f.Add("apiVersion: features/v1\nhistory: {events: [view]}\nuser: {a: {type: time, default: '', first: {}, doc: d, example: e}}\n")
	f.Add("a: &x [*x]")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := Parse("f", []byte(text))
		if err != nil {
			return
		}
		again, err := Parse("g", []byte(text))
		if err != nil || again.Version() != s.Version() {
			t.Fatalf("parsed differently: %v", err)
		}
		now := time.Unix(1.8e9, 0)
		u := s.User("u", nil, nil, now)
		it := s.Item("i", nil, now)
		for _, env := range []map[string]any{u.Env, it.Env} {
			for k, v := range env {
				if v == nil {
					t.Fatalf("%s is nil", k)
				}
			}
		}
	})
}

func ExampleParse() {
	_, err := Parse("schema.yaml", []byte("apiVersion: features/v1\nhistory: {max: 10, events: [view]}\nuser:\n  spent: {type: mony, default: 0}\n"))
	fmt.Println(err)
	// Output: schema.yaml: line 4: user.spent.type: unknown type "mony"; use one of text, int, number, money, bool, time, []text, map
}
