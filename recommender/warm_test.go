package recommender

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/rules"
	"github.com/sartorhq/sartor/rules/rulefile"
)

// many is an item source of n items.
type many int

func (n many) ChangedItems(context.Context, []int64) ([]features.ItemState, []int64, error) {
	out := make([]features.ItemState, n)
	for i := range out {
		out[i] = features.ItemState{ID: fmt.Sprint("i", i), State: &features.State{Doc: fmt.Sprintf(`{"stock":%d,"price":%d}`, i%5, i), DocTime: 1}}
	}
	return out, []int64{1}, nil
}

// compiled compiles files of rules: what follows the head of each.
func compiled(t *testing.T, texts ...string) *rules.Set {
	t.Helper()
	var files []rules.File
	for i, text := range texts {
		name := fmt.Sprint("t", i)
		file, problems := rulefile.Parse(name+".yaml", []byte("apiVersion: rules/v1\nkind: RuleSet\nname: "+name+"\ndescription: d\nowner: o@example.com\n"+text))
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		files = append(files, file)
	}
	set, problems := rules.Compile(files, features.Default(), rules.Options{})
	if set == nil {
		t.Fatal(problems)
	}
	return set
}

// TestSwapsLeaveNothingToRequests swaps rules and catalogue and looks at what the next request finds: the
// masks of the scenarios are there, one for all that have the same static rules, and so is what the new
// rules know of the items that are being shown; nothing else was made.
func TestSwapsLeaveNothingToRequests(t *testing.T) {
	r := New(Options{Schema: features.Default(), Budget: time.Hour})
	if err := r.Refresh(t.Context(), many(5000)); err != nil {
		t.Fatal(err)
	}
	for _, scenario := range []string{"home", "cart", "search"} {
		if _, err := r.Recommend(t.Context(), Request{Scenario: scenario, Count: 10}); err != nil {
			t.Fatal(err)
		}
	}
	made := func() (n int) {
		for _, row := range r.current.Load().cat.rows {
			if row.made.Load() != nil {
				n++
			}
		}
		return n
	}
	shown := made()
	if shown == 0 || shown > 1500 {
		t.Errorf("%d of 5000 items were made for three lists of ten", shown)
	}
	set := compiled(t, "rules:\n- id: a\n  description: d\n  match: item.stock <= 0\n  then: [exclude: {}]\n",
		"scope: {scenarios: [cart]}\nrules:\n- id: b\n  description: d\n  match: item.price > 10\n  then: [exclude: {}]\n")
	r.SetRules(set)
	s := r.current.Load()
	masks := map[*mask]bool{}
	for _, scenario := range []string{DefaultScenario, "home", "search", "cart"} {
		m, ok := s.masks.get(scenario)
		if !ok || m.bits == nil {
			t.Fatalf("%s: no mask is ready", scenario)
		}
		masks[m] = true
	}
	if len(masks) != 2 {
		t.Errorf("%d masks, want one for cart and one for the others", len(masks))
	}
	if home, cart := s.allowed("home").bits.Count(), s.allowed("cart").bits.Count(); home != 4000 || cart >= home {
		t.Errorf("%d rows in home and %d in cart, want 4000 and fewer", home, cart)
	}
	for _, row := range s.cat.rows {
		if it := row.made.Load(); it != nil && !row.facts.Load().Of(set, it) {
			t.Fatalf("the new rules know nothing of %s, which is being shown", row.id)
		}
	}
	if made() != shown {
		t.Errorf("the swap made %d items more", made()-shown)
	}
}

// TestItemsAreForgottenAnHourAfterTheyWereShown turns the hours of a catalogue whose items were shown once.
func TestItemsAreForgottenAnHourAfterTheyWereShown(t *testing.T) {
	now := time.Date(2026, 10, 23, 12, 30, 0, 0, time.UTC)
	r := New(Options{Schema: features.Default(), Now: func() time.Time { return now }})
	if err := r.Refresh(t.Context(), many(300)); err != nil {
		t.Fatal(err)
	}
	r.current.Load().cat.rows[7].item()
	kept := func() bool {
		now = now.Add(time.Hour)
		if err := r.Refresh(t.Context(), many(0)); err != nil {
			t.Fatal(err)
		}
		return r.current.Load().cat.rows[7].made.Load() != nil
	}
	if !kept() {
		t.Error("an item that was shown in the last hour was forgotten")
	}
	if kept() {
		t.Error("an item that was not shown for an hour is kept")
	}
	if r.current.Load().cat.rows[7].item().ID != "i7" {
		t.Error("it cannot be made again")
	}
}
