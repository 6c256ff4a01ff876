package recommender_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/sartorhq/sartor/recommender"
	"github.com/sartorhq/sartor/recommender/decision"
	"github.com/sartorhq/sartor/rules"
)

func TestRank(t *testing.T) {
	s, m := furnished()
	var decided *decision.Decision
	opts := s.options()
	opts.Decided = func(d *decision.Decision) { decided = d }
	r := s.open(t, opts)
	if err := r.SetModel(m); err != nil {
		t.Fatal(err)
	}
	r.SetRules(ruleSet(t, s, "rules:\n- id: dear\n  match: item.price > 50\n  then: [exclude: {}]\n- id: first\n  then: [pin: {items: [b], position: 1}]\n"))
	given := []string{"n", "e", "f", "zz", "a", "h", "d", "a"} // f is dear, h deleted, zz unknown, n has no vector
	for name, tc := range map[string]struct {
		q        recommender.RankRequest
		want     string
		servedBy recommender.ServedBy
	}{
		"by-model-without-vector-last": {recommender.RankRequest{Request: recommender.Request{UserID: "u1"}, Items: given}, "a d e n", recommender.ServedByModel},
		"cut":                          {recommender.RankRequest{Request: recommender.Request{UserID: "u1", Count: 2}, Items: given}, "a d", recommender.ServedByModel},
		"unknown-user-order-given":     {recommender.RankRequest{Request: recommender.Request{UserID: "new"}, Items: given}, "n e a d", recommender.ServedByGiven},
		"filter":                       {recommender.RankRequest{Request: recommender.Request{Filter: `item.category == "shoes"`}, Items: given}, "e", recommender.ServedByGiven},
		"exclude":                      {recommender.RankRequest{Request: recommender.Request{UserID: "u1", Exclude: []string{"a"}}, Items: given}, "d e n", recommender.ServedByModel},
		"pin-only-among-given":         {recommender.RankRequest{Request: recommender.Request{UserID: "u1"}, Items: []string{"a", "b"}}, "b a", recommender.ServedByModel},
		"nothing-left":                 {recommender.RankRequest{Items: []string{"f", "zz"}}, "", recommender.ServedByNone},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := r.Rank(t.Context(), tc.q)
			if err != nil {
				t.Fatal(err)
			}
			if ids(got) != tc.want || got.ServedBy != tc.servedBy || len(got.Degraded) > 0 {
				t.Errorf("got %q served by %s, degraded %v; want %q by %s", ids(got), got.ServedBy, got.Degraded, tc.want, tc.servedBy)
			}
			if decided == nil || decided.ID != got.RecommendationID || len(decided.Items) != len(got.Items) {
				t.Errorf("the decision is %+v", decided)
			}
		})
	}
}

func TestRankNamesEveryProblem(t *testing.T) {
	s, _ := furnished()
	r := s.open(t, s.options())
	for want, q := range map[string]recommender.RankRequest{
		"items: must not be empty; scenario: must be":     {Request: recommender.Request{Scenario: "No"}},
		"items: more than 1000 ids":                       {Items: make([]string, 1001)},
		"items[1]: longer than 128 bytes; count: must be": {Request: recommender.Request{Count: 1001}, Items: []string{"a", strings.Repeat("x", 129)}},
		"include_fields[0]: is not an item field":         {Request: recommender.Request{Fields: []string{"colour"}}, Items: []string{"a"}},
		"filter: ": {Request: recommender.Request{Filter: "item.nope"}, Items: []string{"a"}},
	} {
		_, err := r.Rank(t.Context(), q)
		if invalid := new(recommender.InvalidError); !errors.As(err, &invalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestFields(t *testing.T) {
	s, m := furnished()
	r := s.open(t, s.options())
	if err := r.SetModel(m); err != nil {
		t.Fatal(err)
	}
	r.SetRules(rules.Empty())
	got := ask(t, r, recommender.Request{UserID: "u1", Count: 1, Fields: []string{"price", "category"}})
	if f := got.Items[0].Fields; len(f) != 2 || f["price"] != 10.0 || f["category"] != "coats" {
		t.Errorf("fields are %v", f)
	}
	if got := ask(t, r, recommender.Request{UserID: "u1", Count: 1}); got.Items[0].Fields != nil {
		t.Errorf("nobody asked for %v", got.Items[0].Fields)
	}
}

func TestPagesDoNotRepeat(t *testing.T) {
	s, m := furnished()
	r := s.open(t, s.options())
	if err := r.SetModel(m); err != nil {
		t.Fatal(err)
	}
	r.SetRules(ruleSet(t, s, "rules:\n- id: first\n  then: [pin: {items: [d], position: 1}]\n"))
	q := recommender.Request{UserID: "u1", Count: 3, Paging: true}
	first := ask(t, r, q)
	if ids(first) != "d a b" || first.NextCursor == "" {
		t.Fatalf("the first page is %q, cursor %q", ids(first), first.NextCursor)
	}
	q.Cursor = first.NextCursor
	second := ask(t, r, q)
	if ids(second) != "c e f" || second.RecommendationID != first.RecommendationID+".2" {
		t.Fatalf("the second page is %q with id %s", ids(second), second.RecommendationID)
	}
	if again := ask(t, r, q); ids(again) != ids(second) || again.RecommendationID != second.RecommendationID || again.NextCursor != second.NextCursor {
		t.Error("the second page, asked for again, is another one")
	}
	q.Cursor = second.NextCursor
	third := ask(t, r, q)
	if ids(third) != "n" || third.NextCursor != "" || third.RecommendationID != first.RecommendationID+".3" {
		t.Errorf("the last page is %q with cursor %q", ids(third), third.NextCursor)
	}
	if plain := ask(t, r, recommender.Request{UserID: "u1", Count: 3}); plain.NextCursor != "" {
		t.Error("nobody asked for pages")
	}
	for name, bad := range map[string]recommender.Request{
		"other-user": {UserID: "u2", Count: 3, Cursor: first.NextCursor},
		"rubbish":    {UserID: "u1", Cursor: "!!"},
		"cut":        {UserID: "u1", Cursor: first.NextCursor[:20]},
	} {
		if _, err := r.Recommend(t.Context(), bad); err == nil || !strings.Contains(err.Error(), "cursor: ") || strings.Contains(err.Error(), "u2") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestPagesToTheEnd walks a catalogue to its end, past what one search returns.
func TestPagesToTheEnd(t *testing.T) {
	r := benchmarked(t, 700, "", nil)
	seen := map[string]bool{}
	q := recommender.Request{UserID: "u1", Count: 90, Paging: true}
	for pages := 0; ; pages++ {
		got := ask(t, r, q)
		for _, it := range got.Items {
			if seen[it.ItemID] {
				t.Fatalf("%s is on two pages", it.ItemID)
			}
			seen[it.ItemID] = true
		}
		if q.Cursor = got.NextCursor; q.Cursor == "" {
			break
		}
		if pages > 10 {
			t.Fatal("the pages do not end")
		}
	}
	if len(seen) != 700 {
		t.Errorf("%d of 700 items were shown", len(seen))
	}
}

// FuzzCursor: whatever is taken for a cursor is refused or means the same when written again.
func FuzzCursor(f *testing.F) {
	r := benchmarked(f, 50, "", nil)
	first, err := r.Recommend(f.Context(), recommender.Request{UserID: "u1", Paging: true})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(first.NextCursor)
	f.Add("AQ")
	f.Fuzz(func(t *testing.T, cursor string) {
		got, err := r.Recommend(t.Context(), recommender.Request{UserID: "u1", Cursor: cursor})
		if invalid := new(recommender.InvalidError); err != nil && !errors.As(err, &invalid) {
			t.Fatal(err)
		}
		if err == nil && cursor != "" && len(got.Items) > 10 {
			t.Fatal("too many items")
		}
	})
}
