package rules

import (
	"testing"
	"time"

	"github.com/sartorhq/sartor/features"
)

// The language by example: every operator, builtin and helper, as closure and in the machine.
func TestLanguage(t *testing.T) {
	env := at(map[string]any{"id": "u1", "tier": "gold", "orders_90d": 3, "segments": []string{"vip"}, "last_items": []string{"a", "bb", "ccc"}, "top_brands": []string{"x"}},
		map[string]any{"country": "DE", "attrs": map[string]string{"channel": "app"}})
	env.Request.Query, env.Request.SourceItem, env.Request.Channel = "rain coat", "sku-1", "web"
	c := thing("i1", 0.5, map[string]any{"price": 19.9, "brand": "x", "title": " Rain Coat ", "created_at": friday.Add(-36 * time.Hour), "attrs": map[string]string{"color": "red"}, "tags": []string{"eco", "sale"}, "stock": 7})
	c.Rank = 4
	for src, want := range map[string]bool{
		`item.price == 19.9`:                                                                                       true,
		`item.stock == 7.0 and item.stock != 8`:                                                                    true,
		`between(item.price, 10, 20) and not between(item.stock, 8, 9)`:                                            true,
		`between(item.created_at, now - days(2), now)`:                                                             true,
		`between(age(item.created_at), hours(36), minutes(2160))`:                                                  true,
		`between(age(item.created_at), hours(37), days(9))`:                                                        false,
		`age(item.created_at) == days(1.5)`:                                                                        true,
		`item.created_at + days(1.5) == now`:                                                                       true,
		`days(1.5) + item.created_at <= now`:                                                                       true,
		`now - item.created_at >= days(1) + hours(12)`:                                                             true,
		`days(1e300) > days(2) and days(-1e300) < days(0)`:                                                         true,
		`item.title contains "Coat" and trim(item.title) startsWith "Rain" and item.title endsWith " "`:            true,
		`lower(trim(item.title)) == "rain coat" and upper(item.brand) == "X"`:                                      true,
		`item.title matches "R.*t"`:                                                                                true,
		`item.brand not in ["y", "z"]`:                                                                             true,
		`item.stock in [7, 8] and item.price in [19.9]`:                                                            true,
		`"vip" in user.segments and segment("vip") and not segment("b")`:                                           true,
		`any(user.last_items, # == "bb")`:                                                                          true,
		`any(user.last_items, {# == "bb"})`:                                                                        true,
		`all(user.last_items, len(#) > 0)`:                                                                         true,
		`none(user.last_items, # == "zz")`:                                                                         true,
		`one(user.last_items, len(#) == 2)`:                                                                        true,
		`count(user.last_items, len(#) >= 2) == 2`:                                                                 true,
		`len(filter(user.last_items, len(#) >= 2)) == 2`:                                                           true,
		`"bb" in filter(user.last_items, len(#) >= 2)`:                                                             true,
		`sum(user.last_items, len(#)) == 6`:                                                                        true,
		`sum([1, 2, 3]) == 6`:                                                                                      true,
		`any([1, 2.5], # > 2)`:                                                                                     true,
		`any(user.top_brands, # == item.brand)`:                                                                    true,
		`len(item.tags) == 2 and len(item.brand) == 1 and len(item.attrs) == 1`:                                    true,
		`min(item.stock, 9) == 7 and max(item.price, 1, 2) == 19.9`:                                                true,
		`abs(-item.stock) == 7 and abs(0 - item.price) == 19.9`:                                                    true,
		`round(item.price) == 20 and floor(item.price) == 19 and ceil(item.price) == 20`:                           true,
		`log1p(0) == 0 and clamp(item.stock, 1, 5) == 5 and ratio(1, 0, 9) == 9 and ratio(6, 3, 9) == 2`:           true,
		`item.attrs.color == "red" and item.attrs["color"] == "red" and item.attrs.size == ""`:                     true,
		`has("item.attrs.color") and not has("item.attrs.size")`:                                                   true,
		`has("user.tier") and not has("user.country") and has("item.price") and not has("item.rating")`:            true,
		`has("context.country") and not has("context.device") and has("context.attrs.channel") and has("user.id")`: true,
		`context.country == "DE" and context.attrs.channel == "app"`:                                               true,
		`request.query contains "rain" and request.source_item == "sku-1" and request.channel == "web" and request.count == 10`: true,
		`user?.tier == "gold" and (user.tier ?? "none") == "gold"`:                                                              true,
		`(user.is_new ? 1 : 2.5) > 2`:                               false,
		`(user.tier == "gold" ? item.brand : item.category) == "x"`: true,
		`1 < item.stock < 9`:                                        true,
		`1 < item.stock < 7`:                                        false,
		`7 / 2 == 3.5 and 7 % 4 == 3 and -item.stock + 10 == 3 and 2 * 3.5 == 7`: true,
		`"a" < "b" and item.brand >= "x"`:                                        true,
		`user.is_new != false`:                                                   true,
		`bucket("s", 1) == 0 and bucket("s", 10000) == bucket("s", 10000)`:       true,
		`local.hour == 17 and local.weekday == "fri"`:                            true,
		`not (item.stock > 7 or item.stock < 7)`:                                 true,
		`item.stock > 7 || item.price < 20 && !(item.brand == "y")`:              true,
		`user.last_order_at < now and not has("user.last_order_at")`:             true, // unknown: long ago
		`item.id == "i1" and user.id == "u1"`:                                    true,
		`+item.stock == 7`:                                                       true,
	} {
		ty := &typer{symbols: newSymbols(schema()), layout: newLayout(), place: placeMatch, zone: time.UTC}
		p, faults := ty.compile(src, kindBool)
		if p == nil || hasFaultErrors(faults) {
			t.Errorf("%s: %+v", src, faults)
			continue
		}
		f := newFrame(ty.layout)
		f.begin(env)
		f.row, f.cand = f.layout.load(c.Item, nil), &c
		slow := *p
		slow.yes = nil
		for engine, q := range map[string]*program{"closure": p, "machine": &slow} {
			if got, err := q.test(f); got != want || err != nil {
				t.Errorf("%s in the %s: %v %v", src, engine, got, err)
			}
		}
	}
}

func TestItemOnly(t *testing.T) {
	for src, want := range map[string]bool{
		`item.price < 50 and any(item.tags, # == "eco")`: true,
		`has("item.price")`:                      true,
		`item.price < user.spend`:                false,
		`age(item.created_at) < days(3)`:         false,
		`item.country == context.country`:        false,
		`item.id != request.source_item`:         false,
		`segment("vip")`:                         false,
		`user.is_new`:                            false,
		`item.price < 5 and bucket("s", 2) == 0`: false,
		`true`:                                   true,
	} {
		c, problems := CompileFilter(src, schema())
		if c == nil {
			t.Errorf("%s: %+v", src, problems)
			continue
		}
		if c.ItemOnly() != want || c.String() != src {
			t.Errorf("%s: item only is %v", src, c.ItemOnly())
		}
	}
	c, _ := CompileFilter(`item.price < 50`, schema())
	if ok, err := c.Match(nil, thing("a", 1, map[string]any{"price": 9.0}).Item); !ok || err != nil {
		t.Errorf("without a request: %v %v", ok, err)
	}
	for _, src := range []string{"score > 0.5", "position < 3"} {
		if c, problems := CompileFilter(src, schema()); c != nil || problems[0].Line != 1 || problems[0].Column != 1 || problems[0].Code != CodeUnknownField {
			t.Errorf("%s: %+v", src, problems)
		}
	}
}

// A guard whose `when` fails is on: nothing that must not be shown is shown because of an error.
func TestGuardsFailClosed(t *testing.T) {
	failing := `1 % user.orders == 0`
	s := compiled(t, rulesOf(mk("guard", hard(), when(failing), match("item.stock <= 0"), then(act("exclude"))), mk("soft", when(failing), match(`item.id == "a"`), then(act("exclude")))))
	r := s.Apply(at(map[string]any{"orders": 0}, nil), nil, four(), 10, true)
	if ids(r) != "a b c" || len(r.Trace.Errors) != 2 {
		t.Errorf("list %s, errors %+v", ids(r), r.Trace.Errors)
	}
}

// Wrong Go types in an Env, or none at all, become defaults and not panics.
func TestMissingAndWrongData(t *testing.T) {
	s := compiled(t, rulesOf(mk("r", when("user.orders_90d == 0 and user.tier == \"\" and not context.is_bot and not has(\"user.tier\")"), match(`item.stock > 5 and item.price == 0 and not (item.brand in user.top_brands)`), then(act("boost", "multiply", "2")))))
	for name, env := range map[string]*Env{
		"nothing": {Now: friday},
		"wrong":   {Now: friday, User: &features.User{Env: map[string]any{"orders_90d": "many", "tier": 7, "top_brands": "x"}}, Context: map[string]any{"is_bot": "no"}},
		"int64":   {Now: friday, User: &features.User{Env: map[string]any{"orders_90d": int64(0)}}},
	} {
		r := s.Apply(env, nil, []Candidate{{Item: &features.Item{ID: "a", Env: map[string]any{"stock": int64(9), "price": 0}}, Base: 0.5}}, 1, true)
		if len(r.Items) != 1 || r.Items[0].Score != 1 || len(r.Trace.Errors) != 0 {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

func TestBadgesAndNotes(t *testing.T) {
	s := compiled(t, rulesOf(
		mk("b", priority(1), match("item.price < 15"), then(act("badge", "text", "Cheap"), act("note", "key", "why", "text", "first"))),
		mk("c", match("item.price < 25"), then(act("badge", "key", "badge.nice"), act("note", "key", "why", "text", "second"), act("note", "text", "own")))))
	r := s.Apply(at(nil, nil), nil, four(), 10, true)
	if got := r.Items[0]; len(got.Badges) != 2 || got.Badges[0] != "Cheap" || got.Badges[1] != "badge.nice" || got.Notes["why"] != "first" || got.Notes["c"] != "own" {
		t.Errorf("first item: %+v", got)
	}
	if got := r.Items[1]; len(got.Badges) != 1 || got.Notes["why"] != "second" {
		t.Errorf("second item: %+v", got)
	}
	if got := r.Items[2]; len(got.Badges) != 0 || got.Notes != nil || len(got.Reasons) != 0 {
		t.Errorf("third item: %+v", got)
	}
}

// enumSchema has a field with fixed values.
type enumSchema struct{ Schema }

func (enumSchema) UserFields() []features.Field {
	return []features.Field{{Name: "tier", Type: features.Text, Default: "", Values: []string{"gold", "silver"}}}
}

func TestFixedValues(t *testing.T) {
	for src, hint := range map[string]string{`user.tier == "glod"`: "did you mean `\"gold\"`?", `"platinum" == user.tier`: "it is one of gold, silver", `user.tier == "gold"`: ""} {
		c, problems := CompileFilter(src, enumSchema{schema()})
		if c == nil || hint == "" && len(problems) > 0 || hint != "" && (len(problems) != 1 || problems[0].Code != CodeConstant || problems[0].Hint != hint) {
			t.Errorf("%s: %+v", src, problems)
		}
	}
	if _, problems := CompileFilter(`segment("vip")`, enumSchema{schema()}); len(problems) != 1 {
		t.Errorf("segment without the field: %+v", problems)
	}
}

// Nothing is allocated per candidate when no one asks for an explanation.
func TestAllocations(t *testing.T) {
	s := compiled(t, shopRules(20))
	env := at(map[string]any{"top_categories": []string{"hats"}}, nil)
	few, many := shopCandidates(50), shopCandidates(400)
	plan := s.Plan(env)
	count := func(in []Candidate) float64 {
		return testing.AllocsPerRun(20, func() { s.Apply(env, plan, in, 10, false) })
	}
	if a, b := count(few), count(many); b > a+40 {
		t.Errorf("%v allocations for 50 candidates, %v for 400", a, b)
	}
}
