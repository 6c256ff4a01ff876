package recommender_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/recommender"
)

func TestDegradationOfTheUser(t *testing.T) {
	s, m := furnished()
	opts := s.options()
	clock := noon
	opts.Now = func() time.Time { return clock }
	opts.StaleAfter = time.Hour
	r := s.open(t, opts)
	if err := r.SetModel(m); err != nil {
		t.Fatal(err)
	}
	q := recommender.Request{UserID: "u1", Count: 1}
	check := func(when, want string, by recommender.ServedBy, degraded string) {
		t.Helper()
		got := ask(t, r, q)
		if ids(got) != want || got.ServedBy != by || strings.Join(got.Degraded, " ") != degraded {
			t.Errorf("%s: %q by %s, degraded %v; want %q by %s, degraded %q", when, ids(got), got.ServedBy, got.Degraded, want, by, degraded)
		}
	}
	check("well", "a", recommender.ServedByModel, "no_rules")
	s.down = true
	clock = noon.Add(4 * time.Minute)
	check("down for four minutes", "a", recommender.ServedByModel, "user_features_cached no_rules")
	clock = noon.Add(6 * time.Minute)
	check("down for six minutes", "e", recommender.ServedByPopular, "user_features_unavailable no_rules")
	s.down, clock = false, noon
	r.Forget("u1")
	s.down = true
	check("forgotten", "e", recommender.ServedByPopular, "user_features_unavailable no_rules")
}

// slowReader answers when its context ends, as a store behind a black hole does.
type slowReader struct{ calls int }

func (s *slowReader) User(ctx context.Context, _ string) (*features.State, error) {
	s.calls++
	<-ctx.Done()
	return nil, ctx.Err()
}

// healed is a reader that starts to work.
type healing struct {
	slowReader
	well bool
}

func (h *healing) User(ctx context.Context, subject string) (*features.State, error) {
	if !h.well {
		return h.slowReader.User(ctx, subject)
	}
	h.calls++
	return nil, nil
}

func TestBlackHoleCostsNothingAfterASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reader := &healing{}
		r := recommender.New(recommender.Options{Schema: features.Default(), Users: reader})
		spent := func() time.Duration {
			start := time.Now()
			ask(t, r, recommender.Request{UserID: "u"})
			return time.Since(start)
		}
		for i := range 5 {
			if took := spent(); took != 25*time.Millisecond {
				t.Errorf("request %d took %v, want the user timeout of 25ms", i, took)
			}
		}
		if took := spent(); took != 0 || r.Status().UsersReachable {
			t.Errorf("the sixth took %v and users are reachable: %v; want 0 and an open breaker", took, r.Status().UsersReachable)
		}
		// One probe after each pause, which doubles: 250 ms, 500 ms, ... 4 s.
		before := reader.calls
		for range 1000 { // ten seconds
			time.Sleep(10 * time.Millisecond) // in the bubble's own time
			spent()
		}
		if probes := reader.calls - before; probes < 4 || probes > 6 {
			t.Errorf("%d probes in ten seconds, want about five", probes)
		}
		reader.well = true
		time.Sleep(4 * time.Second)
		spent()
		if !r.Status().UsersReachable {
			t.Error("the breaker is still open four seconds after the store is well again")
		}
	})
}

func TestAbandonedRequestsDoNotOpenTheBreaker(t *testing.T) {
	r := recommender.New(recommender.Options{Schema: features.Default(), Users: &slowReader{}})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 20 {
		if _, err := r.Recommend(ctx, recommender.Request{UserID: "u"}); err != nil {
			t.Fatal(err)
		}
	}
	if !r.Status().UsersReachable {
		t.Error("requests that their clients gave up opened the breaker")
	}
}

func TestAnonymousVisitorsHaveTheirOwnHistory(t *testing.T) {
	s, m := furnished()
	visit := view("", "f", time.Minute)
	visit.AnonymousID = "u1" // the same text as a user id
	s.happen(visit)
	r := s.open(t, s.options())
	if err := r.SetModel(m); err != nil {
		t.Fatal(err)
	}
	for q, want := range map[*recommender.Request]string{
		{UserID: "u1", Count: 1}:                    "a",
		{AnonymousID: "u1", Count: 1}:               "f",
		{UserID: "u1", AnonymousID: "u1", Count: 1}: "a",
	} {
		if got := ids(ask(t, r, *q)); got != want {
			t.Errorf("%+v: got %q, want %q", *q, got, want)
		}
	}
}

func TestOneReadPerRequest(t *testing.T) {
	s, m := furnished()
	r := s.open(t, s.options())
	if err := r.SetModel(m); err != nil {
		t.Fatal(err)
	}
	before := s.reads
	ask(t, r, recommender.Request{UserID: "u1", Count: 50, Filter: "item.price > 0", Explain: true})
	if got := s.reads - before; got != 1 {
		t.Errorf("%d reads for one request, want 1", got)
	}
	before = s.reads
	ask(t, r, recommender.Request{Count: 50})
	if got := s.reads - before; got != 0 {
		t.Errorf("%d reads for a request without a user, want 0", got)
	}
}

// TestUserTime: the shortest of the last reads is shown, and forgotten when they all take longer.
func TestUserTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := furnished()
		users := &sleepy{shop: s}
		opts := s.options()
		opts.Users, opts.UserTimeout, opts.Budget = users, time.Second, time.Minute
		r := s.open(t, opts)
		for _, step := range []struct {
			usual, once, want time.Duration
		}{
			{3 * time.Millisecond, 2 * time.Millisecond, 2 * time.Millisecond},
			{25 * time.Millisecond, 25 * time.Millisecond, 25 * time.Millisecond},
			{time.Millisecond, 25 * time.Millisecond, time.Millisecond},
		} {
			for i := range 64 {
				if users.takes = step.usual; i == 40 {
					users.takes = step.once
				}
				if _, err := r.Recommend(t.Context(), recommender.Request{UserID: "u1"}); err != nil {
					t.Fatal(err)
				}
			}
			if got := r.UserTime(); got != step.want {
				t.Errorf("%v, want %v", got, step.want)
			}
		}
	})
}

// sleepy reads users slowly.
type sleepy struct {
	*shop
	takes time.Duration
}

func (s *sleepy) User(ctx context.Context, subject string) (*features.State, error) {
	<-time.After(s.takes) // by the bubble's clock
	return s.shop.User(ctx, subject)
}
