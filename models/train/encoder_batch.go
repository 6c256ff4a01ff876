package train

import (
	"math"
	"math/rand/v2"
	"slices"
)

// shards is in how many parts the events of a step are divided. It does not depend on the number of
// workers, and the parts are added up in their order: so the model does not, either.
const shards = 8

// shard is a part of a step: whole pieces, one after another.
type shard struct {
	items  []int32 // places in the step's item table
	kinds  []uint8
	gaps   []uint8
	ticks  []float32 // nil without a clock
	first  []bool    // begins a piece
	masked []bool    // its item is hidden; empty = none is
	goals  []goal
	pieces []piece
}

// goal is what one event is to foresee.
type goal struct {
	at     int32 // event of the shard
	item   int32 // place in the step's item table
	row    int32 // of the profile: what was known just before it
	weight float32
	left   []int32 // places of what the user was shown and left
}

// gathering is the events of one step and the items that it touches.
type gathering struct {
	shards [shards]shard
	// rows are the items of the step by place; the first candidates of them are those among which the
	// next is to be found.
	rows       []int32
	candidates int
	place      []int32   // of an item, else -1
	shift      []float32 // -log of the chance by which a candidate is one, by place; nil = all are
	weight     float64   // of all goals
	events     int
}

// plan divides the pieces, in the given order, into steps of about so many events: at least one piece,
// and no more pieces once another would not fit.
func plan(pieces []piece, tokens int) []int {
	var ends []int
	size := 0
	for i, p := range pieces {
		n := int(p.to - p.from)
		if size > 0 && size+n > tokens {
			ends, size = append(ends, i), 0
		}
		size += n
	}
	return append(ends, len(pieces))
}

// deal spreads the pieces over the shards, the longest first, each to the shard with the fewest events.
func (g *gathering) deal(pieces []piece) {
	sorted := slices.Clone(pieces)
	slices.SortStableFunc(sorted, func(a, b piece) int { return int(b.to-b.from) - int(a.to-a.from) })
	var sizes [shards]int
	for i := range g.shards {
		g.shards[i].pieces = g.shards[i].pieces[:0]
	}
	g.events = 0
	for _, p := range sorted {
		least := 0
		for i, n := range sizes {
			if n < sizes[least] {
				least = i
			}
		}
		sizes[least] += int(p.to - p.from)
		g.shards[least].pieces = append(g.shards[least].pieces, p)
		g.events += int(p.to - p.from)
	}
}

// gather fills the step with the pieces. all is every candidate with their places, when the softmax is
// full; else candidates are the targets of the step and so many others drawn from the catalogue.
func (a *encoderTraining) gather(rng *rand.Rand, pieces []piece) {
	g, s := &a.batch, a.data
	pieces = a.crop(rng, pieces)
	g.deal(pieces)
	a.drawLeft(rng, pieces)
	if !a.full {
		a.draw(rng, pieces)
	}
	g.weight = 0
	for i := range g.shards {
		sh := &g.shards[i]
		sh.items, sh.kinds, sh.gaps, sh.ticks = sh.items[:0], sh.kinds[:0], sh.gaps[:0], sh.ticks[:0]
		sh.first, sh.goals, sh.masked = sh.first[:0], sh.goals[:0], sh.masked[:0]
		for _, p := range sh.pieces {
			left, places := a.leftPlaces(p), a.shuffle(rng, p)
			for t := p.from; t < p.to; t++ {
				first, gap := t == p.from, s.gaps[t]
				if first {
					gap = 0
				}
				now, next := places[t-p.from], places[t-p.from+1]
				if w := s.goals[next]; w > 0 {
					sh.goals = append(sh.goals, goal{at: int32(len(sh.items)), item: g.place[s.items[next]], row: s.row(next), weight: w, left: left})
					g.weight += float64(w)
				}
				a.mask(rng, sh)
				sh.items, sh.kinds = append(sh.items, g.place[s.items[now]]), append(sh.kinds, s.kinds[now])
				sh.gaps, sh.first = append(sh.gaps, gap), append(sh.first, first)
				if s.ticks != nil {
					sh.ticks = append(sh.ticks, s.ticks[t])
				}
			}
		}
	}
}

// draw chooses the items of a step with a sampled softmax: the targets, then Negatives draws from the
// catalogue, then what else is read. A candidate's logit is corrected by the log of the chance that it
// is one, so that the sampled softmax aims at the full one:
//
//	q_j = 1 - (1 - f_j)^G (1 - 1/C)^S
//
// with f_j the item's share of all targets, G the targets of the step, C the catalogue, S the draws.
func (a *encoderTraining) draw(rng *rand.Rand, pieces []piece) {
	g, s := &a.batch, a.data
	for _, row := range g.rows {
		g.place[row] = -1
	}
	g.rows, g.shift = g.rows[:0], g.shift[:0]
	targets := 0
	for _, p := range pieces {
		for t := p.from + 1; t <= p.to; t++ {
			if s.goals[t] > 0 {
				g.take(s.items[t])
				targets++
			}
		}
	}
	for range a.o.Encoder.Negatives {
		g.take(a.catalog[rng.IntN(len(a.catalog))])
	}
	drawn := len(g.rows)
	a.takeLeft(pieces)
	g.candidates = len(g.rows)
	missed := float64(a.o.Encoder.Negatives) * math.Log1p(-1/float64(len(a.catalog)))
	for i, row := range g.rows {
		if i >= drawn {
			g.shift = append(g.shift, 0)
			continue
		}
		share := float64(s.count[row]) / float64(a.targets)
		chance := -math.Expm1(float64(targets)*math.Log1p(-min(share, 1-1e-9)) + missed)
		g.shift = append(g.shift, float32(-math.Log(chance)))
	}
	for _, p := range pieces {
		for t := p.from; t < p.to; t++ {
			g.take(s.items[t])
		}
	}
}

// take gives the item a place.
func (g *gathering) take(row int32) {
	if g.place[row] < 0 {
		g.place[row] = int32(len(g.rows))
		g.rows = append(g.rows, row)
	}
}

// whole gives every item a place, the catalogue first: the step's table with a full softmax.
func (g *gathering) whole(n int, catalog []int32) {
	g.place = slices.Repeat([]int32{-1}, n)
	for _, row := range catalog {
		g.take(row)
	}
	g.candidates = len(g.rows)
	for row := range n {
		g.take(int32(row))
	}
}
