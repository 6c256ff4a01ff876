package rules

import (
	"strings"
	"testing"

	"github.com/sartorhq/sartor/features"
)

// together is the default schema with what is bought together.
type together struct{ Schema }

func (s together) ItemFields() []features.Field {
	fields := s.Schema.ItemFields()
	for _, f := range fields {
		if f.Name == BoughtWith {
			return fields
		}
	}
	return append(fields, features.Field{Name: BoughtWith, Type: features.TextList, Max: 20, Default: []string{}})
}

// apart is the default schema without it.
type apart struct{ Schema }

func (s apart) ItemFields() []features.Field {
	var out []features.Field
	for _, f := range s.Schema.ItemFields() {
		if f.Name != BoughtWith {
			out = append(out, f)
		}
	}
	return out
}

// Whatever a rule may name as a source reaches the plan with all that the caller needs to answer it.
func TestSourcesInThePlan(t *testing.T) {
	f := rulesOf(
		mk("list", then(act("inject", "source", "list:gifts", "count", "2"))),
		mk("bought", then(act("inject", "source", "co-bought", "count", "3"))),
		mk("rich", then(act("inject", "source", "segment", "match", "item.margin > 0.4 and item.stock > 0", "order_by", "item.margin desc", "count", "2"))),
		mk("dear", then(act("inject", "source", "segment", "match", "item.category in user.top_categories", "order_by", "item.price asc"))),
		mk("swap", then(act("replace", "strategy", "list:gifts"))),
		mk("fill", then(act("fill", "strategy", "[list:gifts,co-bought,popular]"))),
	)
	f.Lists = []List{{Name: "gifts", Values: []string{"z", "a", "z"}}}
	s, problems := Compile([]File{f}, together{schema()}, Options{})
	if s == nil {
		t.Fatalf("%+v", problems)
	}
	env := at(map[string]any{"top_categories": []string{"hats"}}, nil)
	plan := s.Plan(env)
	if len(plan.Inject) != 4 || strings.Join(plan.Inject[0].Items, "") != "zaz" || plan.Inject[1].Source != SourceBought ||
		strings.Join(plan.Replace.Items, "") != "zaz" || strings.Join(plan.Fill[0].Items, "") != "zaz" || plan.Fill[1].Source != SourceBought {
		t.Fatalf("%+v", plan)
	}
	rich, dear := plan.Inject[2], plan.Inject[3]
	if rich.Seek == nil || rich.Match != nil || dear.Seek == nil || dear.Match == nil || rich.Seek.Key == dear.Seek.Key {
		t.Fatalf("%+v %+v", rich, dear)
	}
	good := thing("g", 0, map[string]any{"margin": 0.5, "stock": 1, "price": 9.0, "category": "hats"}).Item
	poor := thing("p", 0, map[string]any{"margin": 0.1, "stock": 1, "price": 8.0, "category": "coats"}).Item
	if !rich.Seek.Match(good) || rich.Seek.Match(poor) || rich.Seek.Value(good) != 0.5 {
		t.Error("the segment of margins is not what its rule says")
	}
	if !dear.Seek.Match(good) || !dear.Seek.Match(poor) || dear.Seek.Value(poor) <= dear.Seek.Value(good) {
		t.Error("the segment of cheap goods is not what its rule says")
	}
	for it, want := range map[*features.Item]bool{good: true, poor: false} {
		if ok, err := dear.Match.Match(env, it); ok != want || err != nil {
			t.Errorf("%s: %v %v", it.ID, ok, err)
		}
	}
}

func TestSourcesThatCannotBe(t *testing.T) {
	for name, tc := range map[string]struct {
		action     Action
		code, hint string
	}{
		"no bought_with":        {act("inject", "source", "co-bought"), CodeUnknownName, "together: {events: [order]"},
		"segment without order": {act("inject", "source", "segment", "match", "item.stock > 1"), CodeActionField, "order_by: item.sales_7d desc"},
		"order by the user":     {act("inject", "source", "segment", "order_by", "user.spend"), CodeTypeMismatch, "item.margin desc"},
		"order by the score":    {act("inject", "source", "segment", "order_by", "score desc"), CodeUnknownField, ""},
		"segment with a window": {act("inject", "source", "segment", "order_by", "item.price", "window", "7d"), CodeMisplaced, "order_by"},
		"order of hot":          {act("inject", "source", "hot", "order_by", "item.price"), CodeMisplaced, "source: segment"},
		"replace by a segment":  {act("replace", "strategy", "segment"), CodeUnknownName, "only `inject`"},
		"bestsellers":           {act("inject", "source", "bestsellers"), CodeUnknownName, "write `hot`"},
		"also bought":           {act("inject", "source", "also-bought"), CodeUnknownName, "write `co-bought`"},
		"no such thing":         {act("inject", "source", "magic"), CodeUnknownName, "or list:NAME"},
		"score above all":       {act("inject", "source", "hot", "score", "p101"), CodeOutOfBounds, "a percentile such as p90"},
		"score below none":      {act("inject", "source", "hot", "score", "p-1"), CodeOutOfBounds, "a percentile such as p90"},
		"score of words":        {act("inject", "source", "hot", "score", "popular"), CodeOutOfBounds, "a percentile such as p90"},
		"score above one":       {act("inject", "source", "hot", "score", "1.01"), CodeOutOfBounds, "a number from 0 to 1"},
		"no such field":         {act("inject", "source", "hot", "zzzzzzzz", "1"), CodeUnknownKey, "`inject` has source"},
		"count of words":        {act("inject", "source", "hot", "count", "some"), CodeActionField, "write digits, such as `count: 3`"},
		"a slip":                {act("inject", "source", "similer"), CodeUnknownName, "did you mean `similar`?"},
	} {
		s, problems := Compile([]File{rulesOf(mk("r", then(tc.action)))}, apart{schema()}, Options{})
		if s != nil || len(problems) != 1 || problems[0].Code != tc.code || !strings.Contains(problems[0].Hint, tc.hint) {
			t.Errorf("%s: %+v", name, problems)
		}
	}
}
