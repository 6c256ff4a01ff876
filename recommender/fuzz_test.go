package recommender_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/sartorhq/sartor/recommender"
)

// FuzzLoadCatalogue: whatever the file holds, it is refused whole or served whole.
func FuzzLoadCatalogue(f *testing.F) {
	s, _ := furnished()
	path := filepath.Join(f.TempDir(), "catalogue")
	if err := s.open(f, s.options()).SaveCatalogue(path); err != nil {
		f.Fatal(err)
	}
	good, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte("{}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		file := filepath.Join(t.TempDir(), "c")
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		r := recommender.New(s.options())
		err := r.LoadCatalogue(file)
		if err != nil && (!errors.Is(err, recommender.ErrCatalogueFile) || r.Status().Items != 0) {
			t.Fatalf("error %v and %d items, want ErrCatalogueFile and none", err, r.Status().Items)
		}
		ask(t, r, recommender.Request{Count: 5})
	})
}

// FuzzRecommend: no request makes the read path fail in any way but an InvalidError, and no answer
// breaks its promises.
func FuzzRecommend(f *testing.F) {
	s, m := furnished()
	r := s.open(f, s.options())
	if err := r.SetModel(m); err != nil {
		f.Fatal(err)
	}
	f.Add("u1", "home", 10, "a", "item.price < 50", "DE", true)
	f.Add("", "", 0, "", "", "", false)
	f.Add("u\x00", "H", -1, "\xff", "item.price <", "", true)
	f.Fuzz(func(t *testing.T, user, scenario string, count int, exclude, filter, country string, explain bool) {
		resp, err := r.Recommend(t.Context(), recommender.Request{
			UserID: user, Scenario: scenario, Count: count, Exclude: []string{exclude}, Filter: filter,
			Context: map[string]any{"country": country}, Explain: explain,
		})
		if err != nil {
			if _, ok := err.(*recommender.InvalidError); !ok {
				t.Fatalf("error %v, want *InvalidError", err)
			}
			return
		}
		seen := map[string]bool{}
		for _, it := range resp.Items {
			if seen[it.ItemID] || it.ItemID == exclude || it.ItemID == "h" {
				t.Fatalf("%q is listed twice, excluded or deleted", it.ItemID)
			}
			seen[it.ItemID] = true
		}
		if len(resp.Items) > recommender.MaxCount || (explain != (resp.Explain != nil)) {
			t.Fatalf("%d items, explained: %v", len(resp.Items), resp.Explain != nil)
		}
	})
}
