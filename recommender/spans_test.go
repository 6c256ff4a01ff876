package recommender_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/sartorhq/sartor/recommender"
	"github.com/sartorhq/sartor/recommender/decision"
)

// TestSpans hears of the parts of each answer in the order of their ends, and of nothing else.
func TestSpans(t *testing.T) {
	var heard [][]string
	s := newShop()
	s.happen(item("a", nil), item("b", nil))
	opts := s.options()
	opts.Spans = func(_ context.Context, spans []recommender.Span) {
		var names []string
		for _, s := range spans {
			if s.Start.IsZero() || s.Took < 0 || s.Took > time.Minute {
				t.Errorf("%s began at %v and took %v", s.Name, s.Start, s.Took)
			}
			names = append(names, s.Name)
		}
		heard = append(heard, names)
	}
	r := s.open(t, opts)
	if _, err := r.Recommend(t.Context(), recommender.Request{UserID: "u1"}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Similar(t.Context(), recommender.SimilarRequest{ItemID: "a"}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Rank(t.Context(), recommender.RankRequest{Items: []string{"a"}}); err != nil {
		t.Fatal(err)
	}
	if len(heard) != 3 {
		t.Fatalf("%d answers were told", len(heard))
	}
	for i, names := range heard {
		for _, want := range []string{"user", "plan", "candidates", "rules", "respond"} {
			if !slices.Contains(names, want) {
				t.Errorf("answer %d has the parts %v, without %s", i, names, want)
			}
		}
	}
}

// TestQuiet leaves no decision behind.
func TestQuiet(t *testing.T) {
	n := 0
	s := newShop()
	s.happen(item("a", nil))
	opts := s.options()
	opts.Decided = func(*decision.Decision) { n++ }
	r := s.open(t, opts)
	for _, quiet := range []bool{true, false, true} {
		if _, err := r.Recommend(t.Context(), recommender.Request{UserID: "u1", Quiet: quiet}); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Rank(t.Context(), recommender.RankRequest{Request: recommender.Request{UserID: "u1", Quiet: quiet}, Items: []string{"a"}}); err != nil {
			t.Fatal(err)
		}
	}
	if n != 2 {
		t.Errorf("%d decisions of two answers that were not quiet", n)
	}
}
