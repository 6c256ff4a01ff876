package train

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sartorhq/sartor/streams"
)

// Lines of one order come in another order in every step, and nothing else moves; hidden items are foreseen
// all the same.
func TestBasketsAreReordered(t *testing.T) {
	l := NewLog()
	for u := range 4 {
		id := fmt.Sprint("u", u)
		add := func(kind streams.Type, minute int, items ...string) {
			e := streams.Event{Type: kind, UserID: id, Time: start.Add(time.Duration(minute) * time.Minute)}
			for _, item := range items {
				e.Items = append(e.Items, streams.Line{ItemID: item})
			}
			l.Add(&e)
		}
		add(streams.View, 0, "a")
		add(streams.View, 1, "b")
		add(streams.Order, 1, "c", "d", "e", "f")
		add(streams.View, 2, "g")
	}
	o := wheelOptions()
	o.Encoder.Augment = AugmentOptions{Mask: 0.5}
	a, err := newEncoderTraining(l, o.encoderDefaults())
	if err != nil {
		t.Fatal(err)
	}
	seen, hidden := map[string]int{}, 0
	for step := range 60 {
		a.gather(rand.New(rand.NewPCG(1, uint64(step))), a.pieces)
		for i := range a.batch.shards {
			sh := &a.batch.shards[i]
			text := ""
			for k, item := range sh.items {
				if sh.first[k] {
					text += " "
				}
				text += a.data.ids[a.batch.rows[item]]
				if sh.hidden(k) {
					hidden++
				}
				if want := a.batch.rows[sh.goals[k].item]; k+1 < len(sh.items) && !sh.first[k+1] && want != a.batch.rows[sh.items[k+1]] {
					t.Fatalf("after %s foresees another than the next", text)
				}
			}
			for _, history := range strings.Fields(text) {
				seen[history]++
				// The events that have an order keep it: the oldest, and of one minute orders and views by type.
				sorted := []byte(history)
				slices.Sort(sorted)
				if string(sorted) != "abcdef" || history[0] != 'a' || !strings.Contains("bf", history[1:2]) && history[5] != 'b' {
					t.Fatalf("history %s", history)
				}
			}
		}
	}
	if len(seen) < 15 || hidden < 400 || hidden > 1040 {
		t.Errorf("%d orders of 24, %d of 1440 items hidden: %v", len(seen), hidden, seen)
	}
	o.Encoder.Augment.Mask = 1
	if _, _, err := Encoder(t.Context(), l, o); err == nil || !strings.Contains(err.Error(), "1 of the items is hidden") {
		t.Errorf("all hidden: %v", err)
	}
}

// Cropped histories begin later and end as they did, no step is without a target, and the model is the same
// for any number of workers.
func TestHistoriesAreCropped(t *testing.T) {
	l := wheel(10, 12, 9)
	o := wheelOptions()
	o.Encoder.Augment.Crop = 0.5
	a, err := newEncoderTraining(l, o.encoderDefaults())
	if err != nil {
		t.Fatal(err)
	}
	whole, lengths := 0, map[int]int{}
	for step := range 50 {
		pieces := a.crop(rand.New(rand.NewPCG(2, uint64(step))), a.pieces)
		for i, p := range pieces {
			full := a.pieces[i]
			if p.to != full.to || p.from < full.from || p.from > full.from+(full.to-full.from)/2 {
				t.Fatalf("%v became %v", full, p)
			}
			if p == full {
				whole++
			}
			lengths[int(p.to-p.from)]++
		}
	}
	if all := 50 * len(a.pieces); whole < all*2/5 || whole > all*4/5 || len(lengths) < 4 {
		t.Errorf("%d of %d are whole; lengths %v", whole, all, lengths)
	}
	var first []float32
	for _, workers := range []int{1, 3} {
		o.Workers = workers
		m, _, err := Encoder(t.Context(), l, o)
		if err != nil {
			t.Fatal(err)
		}
		vectors := m.Items().Vectors
		if first != nil && !slices.Equal(first, vectors) {
			t.Error("another model with 3 workers")
		}
		first = vectors
	}
	o.Encoder.Augment.Crop = 1.5
	if _, _, err := Encoder(t.Context(), l, o); err == nil || !strings.Contains(err.Error(), "1.5 of the histories is cropped") {
		t.Errorf("more than all: %v", err)
	}
}
