package recommender_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/recommender"
	"github.com/sartorhq/sartor/rules"
)

func refresh(t testing.TB, r *recommender.Recommender, s *shop) {
	t.Helper()
	if err := r.Refresh(t.Context(), s); err != nil {
		t.Fatal(err)
	}
}

func TestRefreshBringsChangesIn(t *testing.T) {
	s, m := furnished()
	opts := s.options()
	clock := noon
	opts.Now = func() time.Time { return clock }
	r := s.open(t, opts)
	if err := r.SetModel(m); err != nil {
		t.Fatal(err)
	}
	r.SetRules(ruleSet(t, s, "rules:\n- id: pricey\n  match: item.price > 50\n  then: [exclude: {}]"))
	q := recommender.Request{UserID: "u1", Count: 10, Filter: "item.category == 'coats'"}
	for _, step := range []struct {
		name   string
		change func()
		want   string
	}{
		{"at-first", func() {}, "a b d n"}, // c costs 90, e and f are shoes
		{"deleted", func() { s.happen(deleted("b")) }, "a d n"},
		{"back-again", func() { e := item("b", map[string]any{"category": "coats"}); e.Time = noon; s.happen(e) }, "a b d n"},
		{"cheaper", func() {
			e := item("c", map[string]any{"category": "coats", "price": 1000.0})
			e.Time = noon
			s.happen(e)
		}, "a b c d n"},
		{"new-item", func() { s.happen(item("z", map[string]any{"category": "coats"})) }, "a b c d n z"},
		{"dearer", func() {
			e := item("z", map[string]any{"category": "coats", "price": 9000.0})
			e.Time = noon
			s.happen(e)
		}, "a b c d n"},
		{"other-category", func() { e := item("n", map[string]any{"category": "hats"}); e.Time = noon; s.happen(e) }, "a b c d"},
	} {
		step.change()
		refresh(t, r, s)
		if got := ids(ask(t, r, q)); got != step.want {
			t.Errorf("%s: got %q, want %q", step.name, got, step.want)
		}
	}
}

func TestWindowsAgeWithTheClock(t *testing.T) {
	s := newShop()
	for i := range 50 {
		s.happen(item(fmt.Sprintf("i%02d", i), nil))
	}
	s.happen(order("x", "", "i07", 3, 30*time.Minute))
	opts := s.options()
	clock := noon
	opts.Now, opts.AgeRows = func() time.Time { return clock }, 10
	r := s.open(t, opts)
	r.SetRules(ruleSet(t, s, "rules:\n- id: sold-lately\n  match: item.sales_1h == 0\n  then: [exclude: {}]"))
	q := recommender.Request{Count: 5}
	if got := ids(ask(t, r, q)); got != "i07" {
		t.Fatalf("within the hour: got %q, want i07", got)
	}
	clock = noon.Add(3 * time.Hour)
	refreshes := 0
	for ids(ask(t, r, q)) != "" && refreshes < 10 {
		refresh(t, r, s)
		refreshes++
	}
	// Ten rows a refresh: row 7 is among the first ten.
	if refreshes != 1 {
		t.Errorf("the sale left its window after %d refreshes, want 1", refreshes)
	}
}

// TestListsWaitASecond: while events stream in, what is popular is counted once a second, and at once when
// there is another item.
func TestListsWaitASecond(t *testing.T) {
	s, _ := furnished()
	opts := s.options()
	clock := noon
	opts.Now = func() time.Time { return clock }
	r := s.open(t, opts)
	sold := func(id string) { s.happen(order("x", "", id, 100, time.Minute)) }
	for _, step := range []struct {
		name   string
		after  time.Duration
		change func()
		want   string
	}{
		{"at-first", 0, func() {}, "e"},
		{"too-soon", time.Second - 1, func() { sold("f") }, "e"},
		{"a-second-later", 1, func() {}, "f"},
		{"too-soon-again", time.Millisecond, func() { sold("b"); sold("b") }, "f"},
		{"another-item", time.Millisecond, func() { s.happen(item("z", nil)) }, "b"},
	} {
		clock = clock.Add(step.after)
		step.change()
		refresh(t, r, s)
		if got := ids(ask(t, r, recommender.Request{Count: 1})); got != step.want {
			t.Errorf("%s: %s is the most popular, want %s", step.name, got, step.want)
		}
	}
}

func TestCatalogueTellsItsAge(t *testing.T) {
	s, _ := furnished()
	opts := s.options()
	clock := noon
	opts.Now = func() time.Time { return clock }
	r := s.open(t, opts)
	r.SetRules(rules.Empty())
	degraded := func() string { return strings.Join(ask(t, r, recommender.Request{Count: 1}).Degraded, " ") }
	if got := degraded(); got != "no_model" {
		t.Errorf("fresh: degraded %q, want no_model", got)
	}
	s.down = true
	clock = clock.Add(time.Minute)
	if err := r.Refresh(t.Context(), s); err == nil {
		t.Error("a refresh from a source that is down succeeded")
	}
	if got := degraded(); got != "no_model catalogue_stale" {
		t.Errorf("a minute later: degraded %q, want no_model catalogue_stale", got)
	}
	st := r.Status()
	if st.Catalogue != "live" || st.Items != 7 || !st.RefreshedAt.Equal(noon) || !slices.Contains(st.Degraded, "catalogue_stale") {
		t.Errorf("status %+v, want 7 live items as of noon, stale", st)
	}
}

// TestRefreshedEqualsFresh changes a shop at random and compares, after every refresh, with a
// recommender that reads everything anew: the carried masks and maps must not drift.
func TestRefreshedEqualsFresh(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 1))
	s := newShop()
	degrees := map[string]float64{}
	for i := range 60 {
		degrees[fmt.Sprint("m", i)] = float64(i)
	}
	const body = "rules:\n- id: dear\n  match: item.price > 50\n  then: [exclude: {}]"
	clock := noon
	follow := func() *recommender.Recommender {
		opts := s.options()
		opts.Now = func() time.Time { return clock }
		r := recommender.New(opts)
		if err := r.SetModel(newCircle("m", degrees)); err != nil {
			t.Fatal(err)
		}
		r.SetRules(ruleSet(t, s, body))
		return r
	}
	at := noon.Add(-time.Hour)
	carried := follow()
	questions := []recommender.Request{
		{UserID: "u", Count: 20}, {Count: 40}, {UserID: "u", Count: 100, Filter: "item.stock > 5"},
		{Count: 30, Context: map[string]any{"country": "DE"}, Filter: "item.price < 30"},
	}
	for range 60 {
		for range rng.IntN(6) {
			at = at.Add(time.Second)
			id := fmt.Sprint([]string{"m", "x"}[rng.IntN(2)], rng.IntN(70))
			e := item(id, map[string]any{"price": float64(rng.IntN(8000)), "stock": float64(rng.IntN(12))})
			switch rng.IntN(4) {
			case 0:
				e = deleted(id)
			case 1:
				e = order("u", []string{"DE", "FR"}[rng.IntN(2)], id, int64(1+rng.IntN(4)), 0)
			}
			e.Time = at
			s.happen(e)
		}
		clock = clock.Add(3 * time.Minute) // lists are at most a second old, and hours turn
		refresh(t, carried, s)
		fresh := follow()
		refresh(t, fresh, s)
		for _, q := range questions {
			if got, want := ids(ask(t, carried, q)), ids(ask(t, fresh, q)); got != want {
				t.Fatalf("%+v:\ncarried %s\nfresh   %s", q, got, want)
			}
		}
	}
}

// TestSwapUnderLoad swaps model, rules and catalogue while requests run: none fails and none mixes
// versions. Model vN points users to item vN-first, and rule set N marks items with a badge N.
func TestSwapUnderLoad(t *testing.T) {
	s, _ := furnished()
	r := s.open(t, s.options())
	const kinds = 4
	var models []*circle
	var sets []*rules.Set
	best := map[string]string{}
	badge := map[string]string{}
	for i := range kinds {
		first := string(rune('a' + i))
		degrees := map[string]float64{}
		for j, id := range []string{"a", "b", "c", "d"} {
			degrees[id] = float64(40 * ((j - i + kinds) % kinds))
		}
		m := newCircle(fmt.Sprint("v", i), degrees)
		models = append(models, m)
		best[m.version] = first
		set := ruleSet(t, s, fmt.Sprintf("rules:\n- id: r%d\n  then: [badge: {text: b%d}]", i, i))
		sets = append(sets, set)
		badge[set.Version()] = fmt.Sprint("b", i)
	}
	swap := func(i int) {
		if err := r.SetModel(&fixed{models[i%kinds], best[models[i%kinds].version]}); err != nil {
			t.Error(err)
		}
		r.SetRules(sets[i%kinds])
	}
	swap(0)
	var answered atomic.Int64
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				resp, err := r.Recommend(t.Context(), recommender.Request{UserID: "u1", Count: 2, Filter: "item.price >= 0"})
				if err != nil || len(resp.Items) != 2 {
					t.Errorf("answer %+v, error %v", resp, err)
					return
				}
				if got := resp.Items[0]; got.ItemID != best[resp.Versions.Model] || !slices.Equal(got.Badges, []string{badge[resp.Versions.Rules]}) {
					t.Errorf("mixed: %+v under %+v", got, resp.Versions)
					return
				}
				answered.Add(1)
			}
		})
	}
	for i := range 300 {
		swap(i)
		s.happen(view("u2", "e", time.Duration(i)*time.Second))
		refresh(t, r, s)
	}
	for answered.Load() == 0 && !t.Failed() { // a loaded machine may not have come to it yet
		swap(0)
	}
	close(stop)
	wg.Wait()
}

// fixed is a circle that points every user to one item.
type fixed struct {
	*circle
	first string
}

func (m *fixed) Encode(*features.User, time.Time) ([]float32, bool) {
	i := slices.Index(m.ids, m.first)
	return m.vectors[2*i : 2*i+2], true
}
