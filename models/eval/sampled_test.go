package eval

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestRandomOfEachMarksOneEventOfEachUser(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		users := rapid.SliceOf(rapid.Int32Range(0, 9)).Draw(t, "users")
		hold := RandomOfEach(users, rapid.Uint64().Draw(t, "seed"))
		if len(hold) != len(users) {
			t.Fatalf("%d marks for %d events", len(hold), len(users))
		}
		count, held := map[int32]int{}, map[int32]int{}
		for i, u := range users {
			count[u]++
			if hold[i] {
				held[u]++
			}
		}
		for u, n := range count {
			if want := min(n-1, 1); held[u] != want {
				t.Fatalf("user %d has %d events, of which %d are held out, want %d", u, n, held[u], want)
			}
		}
	})
}

// Over many seeds each of a user's events must be drawn about equally often.
func TestRandomOfEachIsUniform(t *testing.T) {
	users := []int32{4, 4, 7, 4, 4, 7, 4}
	drawn := make([]int, len(users))
	const rounds = 5000
	for seed := range uint64(rounds) {
		hold := RandomOfEach(users, seed)
		if !slices.Equal(hold, RandomOfEach(users, seed)) {
			t.Fatal("the same seed gives other marks")
		}
		for i, h := range hold {
			if h {
				drawn[i]++
			}
		}
	}
	for i, n := range drawn {
		p := 1.0 / 5
		if users[i] == 7 {
			p = 1.0 / 2
		}
		if sd := math.Sqrt(rounds * p * (1 - p)); math.Abs(float64(n)-rounds*p) > 5*sd {
			t.Errorf("event %d was drawn %d times in %d, want about %.0f", i, n, rounds, rounds*p)
		}
	}
}

func TestSampleUnseenDrawsWhatIsLeft(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		items := rapid.IntRange(0, 60).Draw(t, "items")
		list := func(name string) []int32 {
			all := rapid.SliceOf(rapid.Int32Range(0, 70)).Draw(t, name)
			slices.Sort(all)
			return slices.Compact(all)
		}
		seen, held := list("seen"), list("held")
		n, seed, user := rapid.IntRange(0, 70).Draw(t, "n"), rapid.Uint64().Draw(t, "seed"), rapid.Int32().Draw(t, "user")
		got := SampleUnseen(seed, user, n, items, seen, held)
		if !slices.Equal(got, SampleUnseen(seed, user, n, items, seen, held)) {
			t.Fatal("the same arguments give other items")
		}
		left := 0
		for item := range int32(items) {
			if !slices.Contains(seen, item) && !slices.Contains(held, item) {
				left++
			}
		}
		if len(got) != min(n, left) {
			t.Fatalf("%d items, want the lesser of %d and the %d that are left", len(got), n, left)
		}
		sorted := slices.Clone(got)
		slices.Sort(sorted)
		for i, item := range sorted {
			if item < 0 || int(item) >= items || slices.Contains(seen, item) || slices.Contains(held, item) || i > 0 && sorted[i-1] == item {
				t.Fatalf("%d must not be among %v", item, sorted)
			}
		}
	})
}

func TestSampleUnseenIsUniformAndDiffersByUser(t *testing.T) {
	drawn, same := make([]int, 10), 0
	const rounds = 6000
	for user := range int32(rounds) {
		got := SampleUnseen(3, user, 2, 10, []int32{0, 5}, []int32{9})
		if slices.Equal(got, SampleUnseen(4, user, 2, 10, []int32{0, 5}, []int32{9})) {
			same++
		}
		for _, item := range got {
			drawn[item]++
		}
	}
	want := rounds * 2.0 / 7
	for item, n := range drawn {
		if slices.Contains([]int{0, 5, 9}, item) {
			if n > 0 {
				t.Errorf("item %d is to be left out and was drawn %d times", item, n)
			}
		} else if sd := math.Sqrt(want * 5 / 7); math.Abs(float64(n)-want) > 5*sd {
			t.Errorf("item %d was drawn %d times, want about %.0f", item, n, want)
		}
	}
	if same > rounds/10 { // 1 in 42 by chance
		t.Errorf("another seed drew the same items for %d of %d users", same, rounds)
	}
}
