package recommender_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"weak"

	"go.uber.org/goleak"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/models"
	"github.com/sartorhq/sartor/recommender"
	"github.com/sartorhq/sartor/rules"
)

// twin is a model of items that begin with its letter; its users are random.
func twin(letter string, n int) *random {
	m := newRandom(n, 16)
	for i := range m.ids {
		m.ids[i] = letter + m.ids[i]
	}
	return m
}

// named gives a model a version.
type named struct {
	*random
	version string
}

func (m named) Meta() models.Meta { return models.Meta{Version: m.version, Kind: "random", Dim: m.dim} }

// TestHotSwaps swaps models, also of a single scenario, rules, blends and catalogues while requests come in. Every answer must be made
// of one snapshot: items of the model that it names, reasons of the rule set that it names. The long
// form, with SARTOR_SOAK set, swaps 1,000 times among 20,000 items.
func TestHotSwaps(t *testing.T) {
	const readers = 4
	swaps, items := 60, 500
	if os.Getenv("SARTOR_SOAK") != "" {
		swaps, items = 1000, 20_000
	}
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	s := newShop()
	r := recommender.New(recommender.Options{Schema: s.schema, Users: fixedUsers{&features.State{}}, Budget: patient, UserTimeout: patient})
	twins := []named{{twin("a", items), "a"}, {twin("b", items), "b"}}
	sets := map[string]string{} // version of a set -> id of its rule
	swapRules := func(letter string) {
		set := ruleSet(t, s, "rules:\n- id: rule-"+letter+"\n  match: item.price >= 0\n  then: [boost: {multiply: 1.1}]\n")
		sets[set.Version()] = "rule-" + letter
		r.SetRules(set)
	}
	swapRules("b")
	swapRules("a") // both versions are known before the requests begin
	if err := r.SetModel(twins[0]); err != nil {
		t.Fatal(err)
	}
	if err := r.Refresh(t.Context(), stocked(100)); err != nil {
		t.Fatal(err)
	}
	var stop atomic.Bool
	var asked atomic.Int64
	var clients sync.WaitGroup
	for client := range readers {
		clients.Go(func() {
			for i := 0; !stop.Load(); i++ {
				got, err := r.Recommend(t.Context(), recommender.Request{UserID: fmt.Sprint("u", client, i), Scenario: []string{"home", "cart"}[i%2], Count: 20})
				if err != nil {
					t.Errorf("a request failed: %v", err)
					return
				}
				asked.Add(1)
				mixed(t, got, sets)
			}
		})
	}
	rng := rand.New(rand.NewPCG(1, 1))
	var given []func() bool // one for each thing given away: is it still in memory?
	for range swaps {
		switch rng.IntN(5) {
		case 0:
			if err := r.SetModel(tracked(&given, twins[rng.IntN(2)])); err != nil {
				t.Error(err)
			}
		case 1:
			set := ruleSet(t, s, "rules:\n- id: rule-"+[]string{"a", "b"}[rng.IntN(2)]+"\n  match: item.price >= 0\n  then: [boost: {multiply: 1.1}]\n")
			p := weak.Make(set)
			given = append(given, func() bool { return p.Value() != nil })
			r.SetRules(set)
		case 2:
			if err := r.SetScenarioModel("cart", tracked(&given, twins[rng.IntN(2)])); err != nil {
				t.Error(err)
			}
		case 3:
			blend := map[string][]recommender.Portion{"home": {{Source: rules.SourceModel, Share: 1}, {Source: rules.SourceNew, Share: rng.Float64() + 0.1}}}
			if err := r.SetBlends(blend); err != nil {
				t.Error(err)
			}
		case 4:
			if err := r.Refresh(t.Context(), stocked(rng.IntN(200))); err != nil {
				t.Error(err)
			}
		}
	}
	stop.Store(true)
	clients.Wait()
	kept := kept(given)
	runtime.KeepAlive(r)
	t.Logf("%d swaps under %d requests; %d of %d models and rule sets still in memory", swaps, asked.Load(), kept, len(given))
	// Two models and one rule set are in use; workers and pools may still hold those of a last answer, a
	// number that does not depend on how many were swapped.
	if kept > 24 {
		t.Errorf("%d of %d replaced models and rule sets are still in memory", kept, len(given))
	}
}

// tracked is a copy of the model m, noted in given.
func tracked(given *[]func() bool, m named) named {
	twin := *m.random
	m.random = &twin
	p := weak.Make(m.random)
	*given = append(*given, func() bool { return p.Value() != nil })
	return m
}

// kept counts what is still in memory.
func kept(given []func() bool) int {
	// What a pool holds outlives one collection.
	for range 4 {
		runtime.GC()
	}
	n := 0
	for _, alive := range given {
		if alive() {
			n++
		}
	}
	return n
}

// mixed finds an answer that was made of two snapshots.
func mixed(t *testing.T, got *recommender.Response, sets map[string]string) {
	rule, ok := sets[got.Versions.Rules]
	if !ok {
		t.Errorf("rules of version %s were never given", got.Versions.Rules)
	}
	if len(got.Items) == 0 {
		t.Error("an empty answer")
	}
	for _, it := range got.Items {
		if it.Source == "model" && !strings.HasPrefix(it.ItemID, got.Versions.Model+"sku") {
			t.Errorf("the model %s offers %s", got.Versions.Model, it.ItemID)
		}
		for _, reason := range it.Reasons {
			if reason != rule {
				t.Errorf("rules %s gave the reason %s", rule, reason)
			}
		}
	}
}
