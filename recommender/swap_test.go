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
	swaps, items := 60, 500
	if os.Getenv("SARTOR_SOAK") != "" {
		swaps, items = 1000, 20_000
	}
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	s := newShop()
	r := recommender.New(recommender.Options{Schema: s.schema, Users: fixedUsers{&features.State{}}})
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
	for client := range 4 {
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
	early := uint64(0)
	for i := range swaps {
		switch rng.IntN(5) {
		case 0:
			if err := r.SetModel(twins[rng.IntN(2)]); err != nil {
				t.Error(err)
			}
		case 1:
			r.SetRules(ruleSet(t, s, "rules:\n- id: rule-"+[]string{"a", "b"}[rng.IntN(2)]+"\n  match: item.price >= 0\n  then: [boost: {multiply: 1.1}]\n"))
		case 2:
			if err := r.SetScenarioModel("cart", twins[rng.IntN(2)]); err != nil {
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
		if i == swaps/5 {
			early = heap()
		}
	}
	stop.Store(true)
	clients.Wait()
	late := heap()
	runtime.KeepAlive(r)
	t.Logf("%d swaps under %d requests; heap %d KiB after a fifth of them, %d KiB at the end", swaps, asked.Load(), early>>10, late>>10)
	if late > early+early/2+8<<20 {
		t.Errorf("the heap grew from %d to %d bytes", early, late)
	}
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

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
