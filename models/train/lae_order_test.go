package train

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/sartorhq/sartor/models"
	"github.com/sartorhq/sartor/models/kernel"
	"github.com/sartorhq/sartor/streams"
)

func TestOrderedExamplesShowThePast(t *testing.T) {
	l, o := NewLog(), smallLAE()
	for u := range 20 {
		for i := range 6 { // i0, i1, ... in time, bought from i3 on
			kind := streams.View
			if i >= 3 {
				kind = streams.Order
			}
			l.Add(event(kind, fmt.Sprint("u", u), fmt.Sprint("i", i), -time.Duration(i)*time.Hour))
		}
		l.Add(event(streams.Order, fmt.Sprint("u", u), "i0", -10*time.Hour)) // again: not new
	}
	o.LAE.Order, o.LAE.Ahead, o.LAE.Objective = 1, 2, map[string]float64{"order": 5}
	o = o.laeDefaults()
	p, err := weigh(l, o)
	if err != nil {
		t.Fatal(err)
	}
	a, err := newAutoencoder(p, l, o)
	if err != nil {
		t.Fatal(err)
	}
	if len(a.users) != 20 {
		t.Fatalf("%d users", len(a.users))
	}
	rng, starts := rand.New(rand.NewPCG(1, 1)), map[string]int{}
	for range 20 {
		b := a.batch
		a.draw(b, rng, a.users)
		for u := range b.users {
			var shown, goals []string
			newest := 0
			for _, k := range b.kept[b.keptAt[u]:b.keptAt[u+1]] {
				shown = append(shown, p.ids[k.row])
				newest = max(newest, int(p.ids[k.row][1]-'0'))
			}
			for _, g := range b.goal[b.goalAt[u]:b.goalAt[u+1]] {
				goals = append(goals, p.ids[b.items[g.row]])
				if g.weight != 5 {
					t.Fatalf("weight %v", g.weight)
				}
			}
			// What is shown is all that came before the first goal, the goals are what came next.
			first := int(goals[0][1] - '0')
			if first < 3 || len(shown) != first || newest != first-1 || len(goals) != min(2, 6-first) {
				t.Fatalf("shown %v, to be foreseen %v", shown, goals)
			}
			starts[goals[0]]++
		}
	}
	if len(starts) != 3 {
		t.Errorf("examples begin at %v", starts)
	}
	o.LAE.Again = true
	if a, err = newAutoencoder(p, l, o); err != nil || !a.timelines[0][6].ready {
		t.Errorf("buying again is no example: %v", err)
	}
	if a.timelines[0][0].ready || a.timelines[0][2].ready {
		t.Error("a view is an example")
	}
}

func TestExposuresInVainPushItemsDown(t *testing.T) {
	l, x := checkerboard(40, 10), NewExposures()
	for u := 0; u < 40; u += 2 {
		x.Add(&streams.Event{Type: streams.Exposure, UserID: fmt.Sprint("u", u), Time: noon, Items: []streams.Line{{ItemID: "i1"}, {ItemID: "i2"}, {ItemID: "nowhere"}}})
	}
	x.Add(&streams.Event{Type: streams.Exposure, Time: noon, Items: []streams.Line{{ItemID: "i1"}}})
	x.Add(event(streams.View, "u0", "i1", 0))
	if x.Len() != 60 {
		t.Errorf("%d exposures", x.Len())
	}
	o := smallLAE()
	o.Signal, o.Epochs = models.Signal{Weights: map[string]float64{"view": 1}}, 20
	score := func(o Options) float32 {
		m, _ := mustLAE(t, l, o)
		vec, _ := m.Encode(history(l, "u4"), noon)
		at := slices.Index(m.Items().IDs, "i1")
		return kernel.Dot(vec, m.Items().Vectors[at*m.Items().Dim:(at+1)*m.Items().Dim])
	}
	without := score(o)
	o.LAE.Exposures, o.LAE.ExposureWeight = x, 50
	if with := score(o); with >= without {
		t.Errorf("shown in vain an item scores %v, else %v", with, without)
	}
	// What the user has an event on is no negative.
	o = o.laeDefaults()
	p, err := weigh(l, o)
	if err != nil {
		t.Fatal(err)
	}
	left := x.unclicked(l, p)
	if len(left[0]) != 2 && len(left[0]) != 1 || slices.Contains(left[1], 1) {
		t.Errorf("left: %v", left[:2])
	}
}

func TestRatesOfGroups(t *testing.T) {
	l := random(1, 200, 60, 4000)
	base, _ := mustLAE(t, l, smallLAE())
	o := smallLAE()
	o.LAE.From, o.Epochs = base, 1
	moved := func(o Options) (in, out float64) {
		m, _ := mustLAE(t, l, o)
		for i := range m.Table().In {
			in += math.Abs(float64(m.Table().In[i] - base.Table().In[i]))
			out += math.Abs(float64(m.Table().Out[i] - base.Table().Out[i]))
		}
		return in, out
	}
	in, out := moved(o)
	o.LAE.RateIn = 0.1
	slow, same := moved(o)
	if slow > 0.3*in || same < 0.7*out {
		t.Errorf("moved %v and %v, with a tenth of the rate for the input %v and %v", in, out, slow, same)
	}
}
