package train

import (
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/models"
	"github.com/sartorhq/sartor/models/kernel"
	"github.com/sartorhq/sartor/streams"
)

// returners is a shop without any taste: everybody looks at four random items and buys the second of them.
func returners(users, items int) *Log {
	rng := rand.New(rand.NewPCG(4, 4))
	l := NewLog()
	for u := range users {
		seen := rng.Perm(items)[:4]
		add := func(kind streams.Type, item int) {
			l.Add(&streams.Event{Type: kind, UserID: fmt.Sprint("u", u), Time: start.Add(time.Duration(u*100+l.Len()) * time.Second),
				Items: []streams.Line{{ItemID: fmt.Sprint("i", item)}}})
		}
		for _, item := range seen {
			add(streams.View, item)
		}
		add(streams.Order, seen[1])
	}
	return l
}

// What people come back to is learned for all items at once: of a history that nobody had, the second item
// is the best of all. Without a recall it is not found.
func TestEncoderComesBack(t *testing.T) {
	const items = 80
	o := wheelOptions()
	o.Epochs, o.Encoder.Objective = 8, map[string]float64{"order": 1}
	share := func(recall int) float64 {
		o.Encoder.Recall = recall
		m, _, err := Encoder(t.Context(), returners(400, items), o)
		if err != nil {
			t.Fatal(err)
		}
		if got := m.Params().Recall; recall == 0 && got != defaultRecall || recall < 0 && got != 0 {
			t.Errorf("recall %d: %d heads", recall, got)
		}
		rng, hits := rand.New(rand.NewPCG(9, 9)), 0
		for range 100 {
			seen := rng.Perm(items)[:4]
			u := &features.User{}
			for i, item := range seen {
				u.History = append([]features.Entry{{Type: "view", ItemID: fmt.Sprint("i", item), Time: start.UnixMilli() + int64(i)*1000}}, u.History...)
			}
			if bestItem(m, u) == fmt.Sprint("i", seen[1]) {
				hits++
			}
		}
		return float64(hits) / 100
	}
	with, without := share(0), share(-1)
	t.Logf("found with a recall: %v, without: %v", with, without)
	if with < 0.8 || without > with-0.2 {
		t.Errorf("found with a recall: %v, without: %v", with, without)
	}
}

// bestItem is the item that scores highest for the user.
func bestItem(m *models.Encoder, u *features.User) string {
	vec, _ := m.Encode(u, start.Add(time.Hour))
	all := m.Items()
	scores := make([]float32, len(all.IDs))
	kernel.Rows(scores, vec, all.Vectors)
	best := 0
	for j := range scores {
		if scores[j] > scores[best] {
			best = j
		}
	}
	return all.IDs[best]
}

func TestRecallIsChosenWherePeopleComeBack(t *testing.T) {
	for _, c := range []struct {
		name   string
		log    *Log
		recall int
		heads  int
		unit   bool
	}{
		{"never twice", wheel(60, 20, 12), 0, 0, false},
		{"asked for", wheel(60, 20, 12), 3, 3, false},
		{"back", returners(100, 30), 0, defaultRecall, true},
		{"not shown again", returners(100, 30), 0, 0, false},
		{"refused", returners(100, 30), -1, 0, false},
	} {
		o := wheelOptions()
		o.Encoder.Recall, o.Encoder.Fresh = c.recall, c.name == "not shown again"
		a, err := newEncoderTraining(c.log, o.encoderDefaults())
		if err != nil {
			t.Fatal(c.name, err)
		}
		if a.p.Recall != c.heads || a.p.Unit != c.unit {
			t.Errorf("%s: %d heads, unit is %v", c.name, a.p.Recall, a.p.Unit)
		}
	}
}

// What a user was shown and left scores lower for him, with a full softmax and with a sampled one.
func TestEncoderLearnsFromExposuresInVain(t *testing.T) {
	l, x := wheel(60, 20, 12), NewExposures()
	for u := range 60 {
		x.Add(&streams.Event{Type: streams.Exposure, UserID: fmt.Sprint("u", u), Time: start, Items: []streams.Line{{ItemID: "i3"}, {ItemID: "i7"}, {ItemID: "nowhere"}}})
	}
	for _, full := range []int{0, -1} {
		o := wheelOptions()
		o.Epochs, o.Encoder.Full, o.Encoder.Negatives, o.Encoder.Recall = 3, full, 4, -1
		score := func(o Options) float32 {
			m, _, err := Encoder(t.Context(), l, o)
			if err != nil {
				t.Fatal(err)
			}
			rows, vec, sum := m.Items(), []float32(nil), float32(0)
			for i := range 20 {
				vec, _ = m.Encode(&features.User{History: []features.Entry{{Type: "view", ItemID: fmt.Sprint("i", i), Time: 1}}}, start)
				for j, id := range rows.IDs {
					if s := kernel.Dot(vec, rows.Vectors[j*rows.Dim:(j+1)*rows.Dim]); id == "i3" {
						sum += s
					} else {
						sum -= s / 19
					}
				}
			}
			return sum
		}
		without := score(o)
		o.Encoder.Exposures, o.Encoder.ExposureWeight = x, 50
		if with := score(o); with >= without-1 {
			t.Errorf("full %d: shown in vain an item is %v above the others, else %v", full, with, without)
		}
	}
}

// recall adds to every z_T the items from the beginning of the piece, each with the sum over the heads of
// q_(T,s) k_(t,s) and all that faded since.
func (f *definition) recall(sh *shard, rows []int32, input, z [][]float64) [][]float64 {
	if f.p.Recall == 0 {
		return z
	}
	out := make([][]float64, len(z))
	for last := range z {
		ask := times(z[last], f.values["recall.ask"], f.values["recall.ask_bias"])
		out[last] = slices.Clone(z[last])
		for t := last; ; t-- {
			note, weight := times(input[t], f.values["recall.note"], f.values["recall.note_bias"]), 0.0
			for s := range ask {
				weight += ask[s] * note[s]
				ask[s] *= math.Exp(-math.Exp(f.values["recall.decay"][s]))
				if sh.ticks != nil {
					ask[s] *= math.Exp(-math.Exp(f.values["recall.fade"][s]) * float64(sh.ticks[t]))
				}
			}
			for i, v := range f.item(int(rows[sh.items[t]])) {
				out[last][i] += weight * v
			}
			if sh.first[t] {
				break
			}
		}
	}
	return out
}

// tinyExposures shows three items to everybody of tinyLog.
func tinyExposures() *Exposures {
	x := NewExposures()
	for u := range 6 {
		x.Add(&streams.Event{Type: streams.Exposure, UserID: fmt.Sprint("u", u), Time: start, Items: []streams.Line{{ItemID: "i1"}, {ItemID: "i4"}, {ItemID: "i6"}}})
	}
	return x
}

// With a recall, exposures and vectors of length 1 the model is the same for any number of workers, and
// after a training that was cut off.
func TestRecallIsTheSameForAnyWorkersAndAfterResuming(t *testing.T) {
	l := returners(120, 40)
	o := wheelOptions()
	o.Epochs, o.Workers, o.Encoder.Full, o.Encoder.Negatives = 3, 1, -1, 8
	o.Encoder.Exposures, o.Encoder.ExposureWeight = tinyExposures(), 4
	want, _, err := Encoder(t.Context(), l, o)
	if err != nil {
		t.Fatal(err)
	}
	var state *EncoderState
	o.Workers = 3
	o.Encoder.Checkpoint = func(s *EncoderState) error {
		if s.Epoch == 1 {
			c := *s
			c.Values, c.Mean, c.Square = slices.Clone(s.Values), slices.Clone(s.Mean), slices.Clone(s.Square)
			state = &c
		}
		return nil
	}
	got, _, err := Encoder(t.Context(), l, o)
	if err != nil || !reflect.DeepEqual(bytesOf(got), bytesOf(want)) {
		t.Errorf("another model with three workers, %v", err)
	}
	o.Encoder.Checkpoint, o.Encoder.Resume = nil, state
	if got, _, err = Encoder(t.Context(), l, o); err != nil || !reflect.DeepEqual(bytesOf(got), bytesOf(want)) {
		t.Errorf("another model after resuming, %v", err)
	}
	if want.Params().Recall != defaultRecall {
		t.Errorf("%d heads", want.Params().Recall)
	}
}
