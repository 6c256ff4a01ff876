package rules

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"runtime"
	"sort"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// randomSet is a set of a few random rules of all actions.
func randomSet(t *rapid.T) []Rule {
	conditions := []string{`item.stock <= 0`, `item.brand == "x"`, `item.sales_7d > 50`, `"own" in item.tags`, `item.brand in user.top_brands`, `score > 0.5`,
		`any(user.top_brands, # == item.category)`, `item.sales_7d % item.stock == 1`, `position <= 3`, `item.price > user.avg_order_value`,
		`similarity(item, user) > 0.5`, `times("exposure", days(1)) >= 2`}
	actions := []func() Action{
		func() Action { return act("exclude") },
		func() Action { return act("keep") },
		func() Action { return act("dedupe", "by", "item.product_group") },
		func() Action {
			return act("boost", "multiply", rapid.SampledFrom([]string{"1.1", "1 + item.price", "1 + log1p(item.sales_7d)"}).Draw(t, "m"))
		},
		func() Action { return act("boost", "add", rapid.SampledFrom([]string{"0.1", "score"}).Draw(t, "a")) },
		func() Action { return act("bury", "multiply", "0.3") },
		func() Action { return act("bury", "to", "bottom") },
		func() Action { return act("bury", "multiply", `fatigue("exposure", 0.5, days(1))`) },
		func() Action {
			return act("diversify", "by", rapid.SampledFrom([]string{"similarity", "[similarity,item.brand]"}).Draw(t, "alike"), "strength", "50%")
		},
		func() Action {
			return act("inject", "source", "segment", "match", "item.stock > 0", "order_by", "item.price desc")
		},
		func() Action {
			return act("pin", "position", strconv.Itoa(rapid.IntRange(1, 6).Draw(t, "p")), "max", "2", "order_by", "item.sales_7d desc")
		},
		func() Action { return act("pin", "position", "2", "items", "[i3,i7]") },
		func() Action {
			return act("cap", "by", "item.brand", "max", strconv.Itoa(rapid.IntRange(1, 3).Draw(t, "max")), "within", strconv.Itoa(rapid.IntRange(1, 9).Draw(t, "within")))
		},
		func() Action { return act("cap", "by", "item.category", "max", "2", "relax", "true") },
		func() Action { return act("quota", "match", `"own" in item.tags`, "min", "2", "within", "6") },
		func() Action {
			return act("diversify", "by", "item.category", "strength", "50%", "within", strconv.Itoa(rapid.IntRange(1, 9).Draw(t, "near")))
		},
		func() Action { return act("inject", "source", "hot") },
		func() Action { return act("replace", "strategy", "trending", "keep_model", "40%") },
		func() Action { return act("badge", "text", "New") },
		func() Action { return act("note", "text", "x", "key", "k") },
	}
	var rules []Rule
	for i := 0; i < rapid.IntRange(0, 6).Draw(t, "rules"); i++ {
		a := rapid.SampledFrom(actions).Draw(t, "action")()
		r := mk(fmt.Sprintf("r%d", i), priority(rapid.IntRange(-2, 2).Draw(t, "priority")), then(a))
		request := a.Name == "inject" || a.Name == "replace"
		if !request && (rapid.Bool().Draw(t, "matched") || a.Name == "pin") {
			r.Match = text(rapid.SampledFrom(conditions).Draw(t, "match"))
		}
		if rapid.IntRange(0, 3).Draw(t, "conditional") == 0 {
			r.When = text("user.is_new")
		}
		if rapid.IntRange(0, 4).Draw(t, "grouped") == 0 {
			r.Group = "g"
		}
		r.Stop = rapid.IntRange(0, 5).Draw(t, "stop") == 0
		r.Hard = a.Name == "exclude" && rapid.Bool().Draw(t, "hard")
		if !r.Hard && rapid.IntRange(0, 4).Draw(t, "held") == 0 {
			r.Holdout = &Rollout{Percent: 50}
		}
		rules = append(rules, r)
	}
	return rules
}

// past gives a user a taste and something that was shown.
func past(env *Env) *Env {
	env.Taste = []float32{1, 1}
	for range 2 {
		env.Shown = append(env.Shown, ago("exposure", "i3", time.Hour), ago("exposure", "i12", 30*time.Hour))
	}
	return env
}

func randomCandidates(t *rapid.T) []Candidate {
	var in []Candidate
	sources := [][]Source{{SourceModel}, {SourceModel}, {SourceHot}, {SourceTrending}, {SourcePopular}, {SourceModel, SourceHot}}
	for i := 0; i < rapid.IntRange(0, 24).Draw(t, "n"); i++ {
		c := thing(fmt.Sprintf("i%d", rapid.IntRange(0, 19).Draw(t, "id")), float64(rapid.IntRange(0, 4).Draw(t, "base"))/4, map[string]any{})
		n := int(c.Item.ID[len(c.Item.ID)-1]) + len(c.Item.ID) // one item has one set of fields
		for k, v := range map[string]any{"stock": n % 4, "sales_7d": n % 97, "price": float64(n % 9), "brand": []string{"", "x", "y"}[n%3],
			"category": []string{"a", "b", "x"}[n%3], "product_group": []string{"", "g", "h"}[n/3%3], "tags": [][]string{nil, {"own"}}[n/2%2]} {
			c.Item.Env[k] = v
		}
		c.Sources, c.Vector = rapid.SampledFrom(sources).Draw(t, "sources"), [][]float32{nil, {1, 0}, {0.9, 0.1}, {-1, 2}}[n%4]
		in = append(in, c)
	}
	return in
}

// The same request has the same answer in whatever order candidates come, on any number of
// processors, in parallel, and whether or not it is explained.
func TestDeterminism(t *testing.T) {
	processors := runtime.GOMAXPROCS(0)
	defer runtime.GOMAXPROCS(processors)
	rapid.Check(t, func(t *rapid.T) {
		s, problems := Compile([]File{rulesOf(randomSet(t)...)}, schema(), Options{})
		if s == nil {
			t.Fatalf("%+v", problems)
		}
		env := past(at(map[string]any{"is_new": true, "top_brands": []string{"x"}}, nil))
		in := rank(randomCandidates(t)...)
		count := rapid.IntRange(0, 12).Draw(t, "count")
		want := s.Apply(env, nil, in, count, true)
		checkList(t, in, count, want)
		seed := rapid.Uint64().Draw(t, "seed")
		rng := rand.New(rand.NewPCG(seed, 2))
		var wait sync.WaitGroup
		for round := 0; round < 8; round++ {
			runtime.GOMAXPROCS(1 + round)
			shuffled := append([]Candidate(nil), in...)
			rng.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
			wait.Add(1)
			go func() {
				defer wait.Done()
				if got := s.Apply(env, s.Plan(env), shuffled, count, true); !reflect.DeepEqual(got, want) {
					t.Errorf("round %d: %+v\nwant %+v", round, got, want)
				}
				if got := s.Apply(env, nil, shuffled, count, false); ids(got) != ids(want) {
					t.Errorf("unexplained: %s, want %s", ids(got), ids(want))
				}
			}()
		}
		wait.Wait()
	})
}

// The story of a request is complete: from it alone the list can be made again.
func TestExplainReplays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, problems := Compile([]File{rulesOf(randomSet(t)...)}, schema(), Options{})
		if s == nil {
			t.Fatalf("%+v", problems)
		}
		env := past(at(map[string]any{"id": rapid.SampledFrom([]string{"u1", "u2", "u3"}).Draw(t, "user"), "is_new": rapid.Bool().Draw(t, "new"), "top_brands": []string{"x"}, "avg_order_value": 4.0}, nil))
		in := rank(randomCandidates(t)...)
		count := rapid.IntRange(0, 12).Draw(t, "count")
		checkList(t, in, count, s.Apply(env, s.Plan(env), in, count, true))
	})
}

// checkList holds a list against what every list must obey.
func checkList(t *rapid.T, in []Candidate, count int, r Result) {
	seen := map[string]bool{}
	for i, it := range r.Items {
		if seen[it.Item.ID] || it.Position != i+1 {
			t.Fatalf("twice or misplaced: %+v", it)
		}
		seen[it.Item.ID] = true
	}
	if len(r.Items) > count {
		t.Fatalf("%d items for %d", len(r.Items), count)
	}
	checkStory(t, in, r)
}

// checkStory replays the explanation: scores follow from base and effects, every candidate is
// there, who is not in the list was removed or outranked, and the list can be made again.
func checkStory(t *rapid.T, in []Candidate, r Result) {
	distinct := map[string]bool{}
	for _, c := range in {
		distinct[c.Item.ID] = true
	}
	if len(r.Trace.Items) != len(distinct) {
		t.Fatalf("%d stories of %d items", len(r.Trace.Items), len(distinct))
	}
	fired := map[string]bool{}
	for _, f := range r.Trace.Fired {
		fired[f.Rule] = true
	}
	for _, it := range r.Trace.Items {
		product, sum := 1.0, 0.0
		for _, e := range it.Effects {
			if e.Error == "" && !fired[e.Rule] {
				t.Fatalf("%s acted on %s and did not fire: %+v", e.Rule, it.ItemID, r.Trace)
			}
			if e.Multiply != 0 {
				product *= e.Multiply
			}
			sum += e.Add
		}
		if it.Removed == "" || it.Position > 0 {
			want := it.Base*min(max(product, minProduct), maxProduct) + sum
			if d := want - it.Score; d > 1e-9 || d < -1e-9 {
				t.Fatalf("%s: effects give %v, score %v", it.ItemID, want, it.Score)
			}
		}
		if it.Position > 0 && it.Removed != "" || it.Removed != r.Trace.Removed[it.ItemID] {
			t.Fatalf("removed %q, in the map %q: %+v", it.Removed, r.Trace.Removed[it.ItemID], it)
		}
	}
	if got := replay(r.Trace.Items, len(r.Items)); got != ids(r) {
		t.Fatalf("the story gives %s, the list is %s: %+v", got, ids(r), r.Trace.Items)
	}
}

// replay makes the list from the story alone: scores order the items, save those of which the story
// says that a rule gave them their place.
func replay(items []ItemTrace, count int) string {
	list := make([]string, count)
	var byScore []ItemTrace
	for _, it := range items {
		switch {
		case placedByRule(it):
			if it.Position > 0 {
				list[it.Position-1] = it.ItemID
			}
		case it.Removed == "":
			byScore = append(byScore, it)
		}
	}
	sort.Slice(byScore, func(i, j int) bool {
		a, b := byScore[i], byScore[j]
		switch {
		case a.Fill != b.Fill:
			return a.Fill < b.Fill
		case a.Bottom != b.Bottom:
			return b.Bottom
		case a.Score != b.Score:
			return a.Score > b.Score
		case a.Base != b.Base:
			return a.Base > b.Base
		}
		return a.ItemID < b.ItemID
	})
	for i := range list {
		if list[i] == "" && len(byScore) > 0 {
			list[i], byScore = byScore[0].ItemID, byScore[1:]
		}
	}
	return strings.Join(list, " ")
}

func placedByRule(it ItemTrace) bool {
	for _, e := range it.Effects {
		switch e.Action {
		case "pin", "quota", "cap", "diversify", "replace":
			return true
		}
	}
	return false
}
