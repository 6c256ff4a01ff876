package train

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sartorhq/sartor/models/kernel"
	"github.com/sartorhq/sartor/streams"
)

// The gradient of the sampled softmax comes nearer to that of the full one by the correction with logQ.
func TestSampledSoftmaxAimsAtTheFullOne(t *testing.T) {
	l := NewLog()
	rng := rand.New(rand.NewPCG(6, 6))
	for u := range 40 {
		for v := range 12 {
			item := int(math.Floor(math.Pow(rng.Float64(), 3) * 60)) // a few items are popular
			l.Add(&streams.Event{Type: streams.View, UserID: fmt.Sprint("u", u), Time: start.Add(time.Duration(v) * time.Minute), Items: []streams.Line{{ItemID: fmt.Sprint("i", item)}}})
		}
	}
	gradient := func(full int, corrected bool, seed uint64) []float32 {
		o := Options{Dim: 8, Seed: 1, Workers: 1, Encoder: EncoderOptions{Hidden: 8, Inner: 8, Dropout: -1, Full: full, Negatives: 8}}.encoderDefaults()
		a, err := newEncoderTraining(l, o)
		if err != nil {
			t.Fatal(err)
		}
		weights := rand.New(rand.NewPCG(8, 8))
		for i := range a.state.Values {
			a.state.Values[i] += float32(weights.NormFloat64() * 0.2)
		}
		a.gather(rand.New(rand.NewPCG(seed, 1)), a.pieces[:6])
		if !corrected {
			clear(a.batch.shift)
		}
		a.prepare()
		for i := range shards {
			a.learn(a.nets[0], i, 1)
		}
		a.add()
		return slices.Clone(a.parts[0].rest)
	}
	want := gradient(0, true, 0)
	mean := func(corrected bool) []float32 {
		sum := make([]float32, len(want))
		const rounds = 60
		for seed := range uint64(rounds) {
			kernel.Axpy(1.0/rounds, gradient(-1, corrected, seed), sum)
		}
		return sum
	}
	distance := func(x []float32) float64 {
		kernel.Axpy(-1, want, x)
		return math.Sqrt(kernel.SquareSum(x) / kernel.SquareSum(want))
	}
	with, without := distance(mean(true)), distance(mean(false))
	t.Logf("relative error of the mean gradient: %.3f with the correction, %.3f without", with, without)
	if with > 0.75*without {
		t.Errorf("the correction brings the gradient from %v to %v of the full one: need clearly less", without, with)
	}
}

// Events of one moment come in the order of the stored history, whatever the log's, and once.
func TestSequencesAreWhatIsStored(t *testing.T) {
	l := NewLog()
	add := func(kind streams.Type, item string, second int) {
		for _, user := range []string{"a", "b"} {
			l.Add(&streams.Event{Type: kind, UserID: user, Time: start.Add(time.Duration(second) * time.Second), Items: []streams.Line{{ItemID: item}}})
		}
	}
	add(streams.View, "z", 5)
	add(streams.View, "c", 0)
	add(streams.View, "a", 0)
	add(streams.Search, "y", 1)
	add(streams.Order, "b", 0)
	add(streams.View, "a", 0)
	add(streams.Return, "r", 6)
	o := Options{}.encoderDefaults()
	s, err := sequence(l, o.encoderParams(), o)
	if err != nil {
		t.Fatal(err)
	}
	for u := range 2 {
		var got []string
		for i := s.starts[u]; i < s.starts[u+1]; i++ {
			got = append(got, fmt.Sprint(o.encoderParams().Types()[s.kinds[i]], " ", s.ids[s.items[i]], " ", s.gaps[i], " ", s.goals[i]))
		}
		want := []string{"order b 1 1", "view a 1 1", "view c 1 1", "view z 4 1"} // r was only given back: no item to learn
		if !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestPiecesCoverEveryTargetOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := &sequences{starts: []int{0}}
		for range rapid.IntRange(1, 6).Draw(t, "users") {
			n := rapid.IntRange(1, 40).Draw(t, "events")
			for range n {
				s.goals = append(s.goals, float32(rapid.IntRange(0, 1).Draw(t, "goal")))
			}
			s.starts = append(s.starts, len(s.goals))
		}
		longest, tokens := rapid.IntRange(1, 20).Draw(t, "longest"), rapid.IntRange(1, 50).Draw(t, "tokens")
		pieces := s.pieces(longest)
		foresees := make([]int, len(s.goals))
		for _, p := range pieces {
			if n := int(p.to - p.from); n < 1 || n > longest {
				t.Fatalf("piece of %d events", n)
			}
			for i := p.from; i < p.to; i++ {
				foresees[i+1]++
			}
		}
		for u := range len(s.starts) - 1 {
			for i := s.starts[u]; i < s.starts[u+1]; i++ {
				if first := i == s.starts[u]; foresees[i] > 1 || first && foresees[i] != 0 || !first && s.goals[i] > 0 && foresees[i] != 1 {
					t.Fatalf("event %d of user %d is foreseen %d times", i, u, foresees[i])
				}
			}
		}
		if len(pieces) == 0 {
			return
		}
		from := 0
		for _, end := range plan(pieces, tokens) {
			size := 0
			for _, p := range pieces[from:end] {
				size += int(p.to - p.from)
			}
			if end <= from || size > tokens && end-from > 1 {
				t.Fatalf("a step of %d pieces and %d events, at most %d", end-from, size, tokens)
			}
			var g gathering
			g.deal(pieces[from:end])
			dealt := 0
			for i := range g.shards {
				dealt += len(g.shards[i].pieces)
			}
			if dealt != end-from || g.events != size {
				t.Fatalf("%d of %d pieces dealt", dealt, end-from)
			}
			from = end
		}
		if from != len(pieces) {
			t.Fatalf("%d of %d pieces planned", from, len(pieces))
		}
	})
}

func TestScheduleWarmsUpAndFalls(t *testing.T) {
	s := Schedule{Rate: 1, Warmup: 4, Floor: 0.1}.withDefaults()
	for _, c := range []struct {
		shape string
		step  int
		done  float64
		worse int
		want  float64
	}{{Cosine, 0, 0, 0, 0.25}, {Cosine, 3, 0, 0, 1}, {Cosine, 9, 0.5, 0, 0.55}, {Cosine, 9, 1, 0, 0.1}, {Cosine, 9, 2, 3, 0.1},
		{Constant, 9, 0.9, 5, 1}, {Plateau, 9, 0.9, 2, 0.25}, {Plateau, 1, 0, 0, 0.5}} {
		s.Shape = c.shape
		if got := s.at(c.step, c.done, c.worse); math.Abs(got-c.want) > 1e-12 {
			t.Errorf("%+v: %v", c, got)
		}
	}
}
