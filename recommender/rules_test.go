package recommender_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sartorhq/sartor/recommender"
	"github.com/sartorhq/sartor/rules"
	"github.com/sartorhq/sartor/rules/rulefile"
)

// ruleSet compiles the rules of a file for all scenarios.
func ruleSet(t testing.TB, s *shop, body string) *rules.Set {
	t.Helper()
	head := "apiVersion: rules/v1\nkind: RuleSet\nname: test\ndescription: of a test\nowner: test@example.com\n"
	file, problems := rulefile.Parse("test.yaml", []byte(head+strings.ReplaceAll(body, "\t", "  ")))
	if len(problems) == 0 {
		var set *rules.Set
		if set, problems = rules.Compile([]rules.File{file}, s.schema, rules.Options{}); set != nil {
			return set
		}
	}
	t.Fatalf("rules with problems: %+v", problems)
	return nil
}

// ruled is the furnished shop with a model and rules.
func ruled(t testing.TB, body string) *recommender.Recommender {
	t.Helper()
	s, m := furnished()
	r := s.open(t, s.options())
	if err := r.SetModel(m); err != nil {
		t.Fatal(err)
	}
	if body == "" {
		r.SetRules(rules.Empty())
	} else {
		r.SetRules(ruleSet(t, s, body))
	}
	return r
}

func TestRulesAct(t *testing.T) {
	u1 := recommender.Request{UserID: "u1", Count: 3}
	for name, tc := range map[string]struct {
		rules    string
		q        recommender.Request
		want     string
		servedBy recommender.ServedBy
	}{
		"exclude-by-item":       {"rules:\n- id: x\n  match: item.id == 'a'\n  then: [exclude: {}]", u1, "b c d", recommender.ServedByModel},
		"exclude-by-user":       {"rules:\n- id: x\n  match: item.id in user.last_viewed\n  then: [exclude: {}]", u1, "b c d", recommender.ServedByModel},
		"boost":                 {"rules:\n- id: x\n  match: item.category == 'shoes'\n  then: [boost: {add: 2}]", u1, "e f a", recommender.ServedByModel},
		"pin-outside-the-model": {"rules:\n- id: x\n  then: [pin: {position: 2, items: [n]}]", u1, "a n b", recommender.ServedByModel},
		"pin-obeys-exclude-list": {"rules:\n- id: x\n  then: [pin: {position: 2, items: [n]}]",
			recommender.Request{UserID: "u1", Count: 3, Exclude: []string{"n"}}, "a b c", recommender.ServedByModel},
		"pin-by-condition-outside-the-model": {"rules:\n- id: x\n  match: item.id == 'n'\n  then: [pin: {position: 1, order_by: item.price desc}]",
			u1, "n a b", recommender.ServedByModel},
		"pin-by-condition-obeys-exclude-list": {"rules:\n- id: x\n  match: item.id == 'n'\n  then: [pin: {position: 1, order_by: item.price desc}]",
			recommender.Request{UserID: "u1", Count: 3, Exclude: []string{"n"}}, "a b c", recommender.ServedByModel},
		"pin-by-condition-obeys-the-filter": {"rules:\n- id: x\n  match: item.id == 'n'\n  then: [pin: {position: 1, order_by: item.price desc}]",
			recommender.Request{UserID: "u1", Count: 3, Filter: "item.id != 'n'"}, "a b c", recommender.ServedByModel},
		"pin-by-condition-of-a-deleted-item": {"rules:\n- id: x\n  match: item.id == 'h'\n  then: [pin: {position: 1, order_by: item.price desc}]",
			u1, "a b c", recommender.ServedByModel},
		"pin-by-condition-when-replaced": {"rules:\n- id: r\n  then: [replace: {strategy: hot}]\n- id: x\n  match: item.id == 'n'\n  then: [pin: {position: 1, order_by: item.price desc}]",
			u1, "n e d", recommender.ServedByRules},
		"pin-of-a-deleted-item":  {"rules:\n- id: x\n  then: [pin: {position: 1, items: [h]}]", u1, "a b c", recommender.ServedByModel},
		"inject-above-the-model": {"rules:\n- id: x\n  then: [inject: {source: new, count: 1, score: 1}]", u1, "a n b", recommender.ServedByModel},
		"replace":                {"rules:\n- id: x\n  then: [replace: {strategy: hot}]", u1, "e d f", recommender.ServedByRules},
		"replace-by-country": {"rules:\n- id: x\n  then: [replace: {strategy: hot, by: context.country}]",
			recommender.Request{UserID: "u1", Count: 3, Context: map[string]any{"country": "DE"}}, "d e f", recommender.ServedByRules},
		"fill-order": {"rules:\n- id: x\n  match: item.id in ['a', 'b', 'c', 'd', 'e']\n  when: user.id == 'u1'\n  then: [exclude: {}]\n- id: y\n  then: [fill: {strategy: [new]}]",
			u1, "f n", recommender.ServedByModel},
		"guard-holds-for-the-unknown": {"rules:\n- id: x\n  hard: true\n  match: item.id == 'e'\n  then: [exclude: {}]",
			recommender.Request{Count: 3}, "d f a", recommender.ServedByPopular},
		"other-scenario": {"scope: {scenarios: [cart]}\nrules:\n- id: x\n  match: item.id == 'a'\n  then: [exclude: {}]", u1, "a b c", recommender.ServedByModel},
	} {
		t.Run(name, func(t *testing.T) {
			got := ask(t, ruled(t, tc.rules), tc.q)
			if ids(got) != tc.want || got.ServedBy != tc.servedBy || len(got.Degraded) > 0 {
				t.Errorf("got %q served by %s, degraded %v; want %q by %s", ids(got), got.ServedBy, got.Degraded, tc.want, tc.servedBy)
			}
		})
	}
}

func TestKeepModelShare(t *testing.T) {
	r := ruled(t, "rules:\n- id: x\n  then: [replace: {strategy: hot, keep_model: 50%}]")
	got := ask(t, r, recommender.Request{UserID: "u1", Count: 4})
	// a and e are hot as well as the model's; b and c are the model's alone and take every second place.
	if want := "a b e c"; ids(got) != want || got.ServedBy != recommender.ServedByRules {
		t.Errorf("got %q served by %s, want %q by rules", ids(got), got.ServedBy, want)
	}
}

func TestFilterNeverStarves(t *testing.T) {
	const items = 3000
	s := newShop()
	degrees := map[string]float64{}
	for i := range items {
		id := fmt.Sprintf("i%04d", i)
		degrees[id] = float64(i) * 90 / items
		// The rare category is far from the user: outside the best 200 candidates.
		category := "common"
		if i >= items-12 {
			category = "rare"
		}
		s.happen(item(id, map[string]any{"category": category, "price": 1000.0}))
	}
	s.happen(view("u1", "i0000", time.Minute))
	opts := s.options()
	opts.Budget = time.Minute // the mixed filter is asked row by row, on whatever machine
	r := s.open(t, opts)
	if err := r.SetModel(newCircle("m", degrees)); err != nil {
		t.Fatal(err)
	}
	for name, filter := range map[string]string{
		"item-only": "item.category == 'rare'",
		"mixed":     "item.category == 'rare' and user.views_24h > 0",
	} {
		for _, user := range []string{"u1", "stranger"} {
			if user == "stranger" && name == "mixed" {
				continue // no views: nothing passes
			}
			t.Run(name+"-"+user, func(t *testing.T) {
				got := ask(t, r, recommender.Request{UserID: user, Count: 10, Filter: filter})
				if len(got.Items) != 10 || slices.Contains(got.Degraded, recommender.DegradedFilterBudget) {
					t.Fatalf("%d items, degraded %v; want 10", len(got.Items), got.Degraded)
				}
				if user == "u1" && (got.Items[0].ItemID != "i2988" || got.ServedBy != recommender.ServedByModel) {
					t.Errorf("first is %s served by %s, want the nearest of the rare ones, i2988, by the model", got.Items[0].ItemID, got.ServedBy)
				}
			})
		}
	}
	t.Run("nothing-passes", func(t *testing.T) {
		got := ask(t, r, recommender.Request{UserID: "u1", Filter: "item.category == 'none'"})
		if len(got.Items) != 0 || got.ServedBy != recommender.ServedByNone {
			t.Errorf("%d items served by %s, want none", len(got.Items), got.ServedBy)
		}
	})
}

func TestBadFilterNamesTheProblem(t *testing.T) {
	r := ruled(t, "")
	for _, filter := range []string{"item.prise < 50", "item.price <", "item.title"} {
		for range 2 { // the second comes from the cache
			_, err := r.Recommend(t.Context(), recommender.Request{Filter: filter})
			bad, ok := err.(*recommender.InvalidError)
			if !ok || len(bad.Problems) == 0 || bad.Problems[0].Field != "filter" {
				t.Errorf("filter %q: error %v, want a problem of the field filter", filter, err)
			}
		}
	}
}

func TestHotWindowFallsBack(t *testing.T) {
	// d sold within 24 h, e within 7 days, f 60 days ago; the rest never.
	for window, want := range map[string]string{"1h": "d e f", "24h": "d e f", "7d": "e d f", "30d": "e d f"} {
		r := ruled(t, "rules:\n- id: x\n  then: [replace: {strategy: hot, window: "+window+"}]")
		got := ask(t, r, recommender.Request{UserID: "u1", Count: 3, Explain: true})
		if ids(got) != want {
			t.Errorf("window %s: got %q, want %q", window, ids(got), want)
		}
		story := strings.Join(got.Explain.Summary, "\n")
		if window == "1h" && !strings.Contains(story, "units sold in 24h, then units sold in 7d") {
			t.Errorf("the story does not say which windows were used:\n%s", story)
		}
	}
}

func TestExplain(t *testing.T) {
	r := ruled(t, `rules:
- id: no-f
  match: item.id == 'f'
  then: [exclude: {}]
- id: seen-before
  match: item.id in user.last_viewed
  then: [exclude: {}]
- id: like-shoes
  match: item.category == 'shoes'
  then: [boost: {add: 2}]
`)
	q := recommender.Request{UserID: "u1", Count: 3, Explain: true}
	got := ask(t, r, q)
	if plain := ask(t, r, recommender.Request{UserID: "u1", Count: 3}); ids(plain) != ids(got) || plain.Explain != nil {
		t.Errorf("explaining changes the answer: %q, %q", ids(got), ids(plain))
	}
	e := got.Explain
	if e.Static["no-f"] != 1 || e.Static["deleted"] != 1 {
		t.Errorf("static = %v, want no-f 1 and deleted 1", e.Static)
	}
	var stages []string
	for _, s := range e.Stages {
		stages = append(stages, s.Name)
	}
	if want := "user plan candidates rules"; strings.Join(stages, " ") != want {
		t.Errorf("stages %v, want %s", stages, want)
	}
	story := strings.Join(e.Summary, "\n")
	for _, want := range []string{"1 remembered interactions", "Rule no-f keeps 1 items out of the search.", "The model offered 5 candidates", "Rules removed 1 candidates."} {
		if !strings.Contains(story, want) {
			t.Errorf("the summary lacks %q:\n%s", want, story)
		}
	}
	told := map[string]string{}
	for _, it := range e.Items {
		told[it.ItemID] = strings.Join(it.Story, " ")
	}
	if !strings.Contains(told["a"], "Rule seen-before: exclude (removed: item.id a). Removed by seen-before.") {
		t.Errorf("story of a: %s", told["a"])
	}
	stranger := strings.Join(ask(t, r, recommender.Request{UserID: "stranger", Count: 3, Explain: true}).Explain.Summary, "\n")
	for _, want := range []string{"Nothing is stored about this user", "The model has nothing to go by for this user", "3 candidates from hot 7d: by units sold in 7d, then views ever."} {
		if !strings.Contains(stranger, want) {
			t.Errorf("the summary of a stranger lacks %q:\n%s", want, stranger)
		}
	}
	if !strings.Contains(told["e"], "Rule like-shoes: boost, score +2") || !strings.Contains(told["e"], "Moved from 5 to 1") {
		t.Errorf("story of e: %s", told["e"])
	}
}

func TestEveryRuleSetIsAllowedToFail(t *testing.T) {
	// A rule that removes everything leaves an empty list, not an error.
	got := ask(t, ruled(t, "rules:\n- id: x\n  match: item.price >= 0\n  then: [exclude: {}]"), recommender.Request{UserID: "u1"})
	if len(got.Items) != 0 || got.ServedBy != recommender.ServedByNone {
		t.Errorf("got %q by %s, want nothing by none", ids(got), got.ServedBy)
	}
	// So does one that depends on the user: fillers pass the same rules.
	got = ask(t, ruled(t, "rules:\n- id: x\n  match: item.price >= 0 and user.id == 'u1'\n  then: [exclude: {}]"), recommender.Request{UserID: "u1"})
	if len(got.Items) != 0 {
		t.Errorf("got %q, want nothing", ids(got))
	}
}
