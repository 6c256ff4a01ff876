package recommender

import (
	"fmt"
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/models"
)

// TestAlignedCatalogues puts random catalogues into the order of random models, one after the other, and wants each
// item in one row, found by its id, with lists that are those built anew.
func TestAlignedCatalogues(t *testing.T) {
	schema, now := features.Default(), time.Date(2026, 10, 23, 12, 30, 0, 0, time.UTC)
	id := rapid.StringMatching(`[a-e][a-d]`)
	rapid.Check(t, func(t *rapid.T) {
		c, known := &catalog{order: new(order)}, map[string]bool{}
		for range 3 {
			var items []features.ItemState // an item may come twice
			for _, name := range rapid.SliceOf(id).Draw(t, "items") {
				sold := rapid.Int64Range(0, 3).Draw(t, "sold")
				doc := fmt.Sprintf(`{"created_at":"2026-10-%02d"}`, 1+sold)
				items = append(items, features.ItemState{ID: name, State: &features.State{Doc: doc, DocTime: 1, Counters: map[string]int64{"u:order": sold, "n:view": 3 - sold}}})
				known[name] = true
			}
			c, _ = c.update(items, schema, now, math.MaxInt)
			checkCatalog(t, c, known, nil)
			var m models.Model
			var ids []string
			if ids = rapid.SliceOfNDistinct(id, 0, 20, rapid.ID[string]).Draw(t, "model"); len(ids) > 0 {
				m = modelOf(t, ids)
			}
			before := buildLists(c)
			next, from := c.align(m, schema, now)
			for i, r := range next.rows {
				if from[i] >= 0 && c.rows[from[i]] != r || from[i] < 0 && r.state != nil {
					t.Fatalf("row %d, %s, is said to come from %d", i, r.id, from[i])
				}
			}
			if got, want := fmt.Sprintf("%+v", before.renumbered(c, next)), fmt.Sprintf("%+v", buildLists(next)); got != want {
				t.Fatalf("lists %s, want %s", got, want)
			}
			c = next
			checkCatalog(t, c, known, ids)
		}
	})
}

// checkCatalog wants the items of a model first and the known ones all there, each in one row.
func checkCatalog(t *rapid.T, c *catalog, known map[string]bool, first []string) {
	seen, states := map[string]bool{}, 0
	for i, r := range c.rows {
		if at, ok := c.find(r.id); !ok || int(at) != i || seen[r.id] {
			t.Fatalf("%s of row %d is found in row %d", r.id, i, at)
		}
		if seen[r.id] = true; r.state != nil {
			states++
		}
		if i < len(first) && r.id != first[i] {
			t.Fatalf("row %d is %s, want %s", i, r.id, first[i])
		}
	}
	for name := range known {
		if !seen[name] {
			t.Fatalf("%s is not there", name)
		}
	}
	if states != len(known) || c.known != states || c.live != len(c.rows) {
		t.Fatalf("%d known and %d live of %d rows, want %d known", c.known, c.live, len(c.rows), len(known))
	}
	if _, ok := c.find("none"); ok {
		t.Fatal("an unknown item is found")
	}
}

func modelOf(t *rapid.T, ids []string) models.Model {
	if rapid.Bool().Draw(t, "numbers its items") {
		m, err := models.NewALS(models.Meta{}, models.ALSParams{Factors: 8, Unobserved: 1, Lambda: 1, Nu: 1, Signal: models.DefaultSignal()},
			models.ItemTable{IDs: ids, Factors: make([]float32, 8*len(ids)), Popularity: make([]float32, len(ids))})
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	m, err := models.NewPopularity(models.Meta{}, ids, make([]float32, len(ids)))
	if err != nil {
		t.Fatal(err)
	}
	return m
}
