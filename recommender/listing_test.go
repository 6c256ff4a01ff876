package recommender_test

import (
	"testing"

	"github.com/sartorhq/sartor/recommender"
	"github.com/sartorhq/sartor/rules"
)

// TestList: d, e and f were sold, n is the only item with a date, and u1 has seen a.
func TestList(t *testing.T) {
	s, m := furnished()
	r := s.open(t, s.options())
	if err := r.SetModel(m); err != nil {
		t.Fatal(err)
	}
	r.SetRules(rules.Empty())
	s.happen(view("u2", "e", 0), view("u2", "n", 0))
	for name, tc := range map[string]struct {
		q    recommender.ListRequest
		want string
	}{
		"hot":                  {recommender.ListRequest{Source: rules.SourceHot, Request: recommender.Request{Count: 3}}, "e d f"},
		"new-and-then-popular": {recommender.ListRequest{Source: rules.SourceNew, Request: recommender.Request{Count: 2}}, "n e"},
		"without-what-was-had": {recommender.ListRequest{Source: rules.SourceHot, Request: recommender.Request{UserID: "u2", Count: 2, Exclude: []string{"d"}}}, "f a"},
		"filter":               {recommender.ListRequest{Source: rules.SourceNew, Request: recommender.Request{Count: 1, Filter: `item.category == "shoes"`}}, "e"},
		"nothing":              {recommender.ListRequest{Source: rules.SourceHot, Request: recommender.Request{Filter: "false"}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			resp, err := r.List(t.Context(), tc.q)
			if err != nil {
				t.Fatal(err)
			}
			if got := ids(resp); got != tc.want {
				t.Errorf("listed %q, want %q", got, tc.want)
			}
			if by := resp.ServedBy; (by == recommender.ServedByNone) != (tc.want == "") {
				t.Errorf("served by %s", by)
			}
		})
	}
	if _, err := r.List(t.Context(), recommender.ListRequest{Request: recommender.Request{Count: -1}}); err == nil {
		t.Error("a count of -1 was taken")
	}
}
