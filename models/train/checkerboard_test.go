package train

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/models"
	"github.com/sartorhq/sartor/models/kernel"
	"github.com/sartorhq/sartor/streams"
)

var noon = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

func event(kind streams.Type, user, item string, age time.Duration) *streams.Event {
	return &streams.Event{Type: kind, UserID: user, Items: []streams.Line{{ItemID: item}}, Time: noon.Add(-age)}
}

// checkerboard is a world with a known answer: even users want even items, odd users odd ones. Each
// user has left out one item of his colour.
func checkerboard(users, items int) *Log {
	l := NewLog()
	for u := range users {
		for i := range items {
			if u%2 == i%2 && i != missing(u, items) {
				l.Add(event(streams.View, fmt.Sprint("u", u), fmt.Sprint("i", i), 0))
			}
		}
	}
	return l
}

func missing(u, items int) int { return (u/2*2 + u%2) % items }

// random is a log without structure.
func random(seed uint64, users, items, events int) *Log {
	rng, l := rand.New(rand.NewPCG(seed, 1)), NewLog()
	kinds := []streams.Type{streams.View, streams.Order, streams.CartAdd, streams.CartRemove, streams.Search}
	for range events {
		l.Add(event(kinds[rng.IntN(len(kinds))], fmt.Sprint("u", rng.IntN(users)), fmt.Sprint("i", rng.IntN(items)),
			time.Duration(rng.IntN(1000))*time.Hour))
	}
	return l
}

func small() Options {
	return Options{Dim: 8, Epochs: 8, Lambda: 0.01, Unobserved: 0.1, Seed: 3, Now: func() time.Time { return noon },
		Signal: models.Signal{Weights: map[string]float64{"view": 1, "order": 4, "cart-add": 2, "cart-remove": -2}, HalfLife: 100 * time.Hour}}
}

func mustTrain(t *testing.T, l *Log, o Options) (*models.ALS, Report) {
	t.Helper()
	m, r, err := ALS(context.Background(), l, o)
	if err != nil {
		t.Fatal(err)
	}
	return m, r
}

// checkColours wants, for each user of a checkerboard, the scores of the item left out and of the best of the
// other colour to be good.
func checkColours(t *testing.T, m models.Model, l *Log, users, items int, good func(wanted, other float32) bool) {
	t.Helper()
	it := m.Items()
	for u := range users {
		vec, ok := m.Encode(history(l, fmt.Sprint("u", u)), noon)
		if !ok {
			t.Fatalf("u%d is not encoded", u)
		}
		wanted, other := float32(0), float32(math.Inf(-1))
		for j, id := range it.IDs {
			score := kernel.Dot(vec, it.Vectors[j*it.Dim:(j+1)*it.Dim])
			switch i := int(id[1] - '0'); {
			case i == missing(u, items):
				wanted = score
			case u%2 != i%2:
				other = max(other, score)
			}
		}
		if !good(wanted, other) {
			t.Errorf("u%d: the item left out scores %.3f, the best of the other colour %.3f", u, wanted, other)
		}
	}
}

// history is the user as features would hand him over, newest first.
func history(l *Log, user string) *features.User {
	u := &features.User{ID: user}
	for i := range l.Len() {
		if x := l.At(i); l.UserID(x.User) == user {
			u.History = append(u.History, features.Entry{Type: x.Type, ItemID: l.ItemID(x.Item), Time: x.Time})
		}
	}
	slices.SortStableFunc(u.History, func(a, b features.Entry) int { return int(b.Time - a.Time) })
	return u
}
