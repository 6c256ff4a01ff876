package train

import (
	"math"
	"math/rand/v2"
	"slices"
	"sort"
)

// passing is what users were shown and left, as an encoder learns from it: in the softmax of each of their
// targets such an item counts weight times.
type passing struct {
	left   [][]int32         // rows, by user of the sequences
	drawn  map[int32][]int32 // rows of this step, by the first event of the piece
	weight float32           // added to the logit: log of the weight
}

// newPassing returns nil where exposures do not count.
func newPassing(l *Log, s *sequences, o Options) *passing {
	e := o.Encoder
	if e.Exposures == nil || e.ExposureWeight <= 0 {
		return nil
	}
	p := &passing{left: e.Exposures.left(l, s.ids, s.itemNumbers, s.users), weight: float32(math.Log(e.ExposureWeight))}
	if e.Catalog != nil {
		for u, rows := range p.left {
			p.left[u] = slices.DeleteFunc(rows, func(j int32) bool { return !e.Catalog(s.ids[j]) })
		}
	}
	return p
}

// drawLeft takes a random part of what the user of each piece left into the step.
func (a *encoderTraining) drawLeft(rng *rand.Rand, pieces []piece) {
	p := a.passing
	if p == nil {
		return
	}
	p.drawn = make(map[int32][]int32, len(pieces))
	for _, piece := range pieces {
		user := sort.SearchInts(a.data.starts, int(piece.from)+1) - 1
		left := p.left[user]
		for _, k := range rng.Perm(len(left))[:min(len(left), maxIgnored)] {
			p.drawn[piece.from] = append(p.drawn[piece.from], left[k])
		}
	}
}

// takeLeft makes what was left in this step candidates of it, which they are for sure.
func (a *encoderTraining) takeLeft(pieces []piece) {
	if a.passing == nil {
		return
	}
	for _, piece := range pieces {
		for _, row := range a.passing.drawn[piece.from] {
			a.batch.take(row)
		}
	}
}

// leftPlaces returns the places of what the user of a piece left.
func (a *encoderTraining) leftPlaces(p piece) []int32 {
	if a.passing == nil {
		return nil
	}
	var places []int32
	for _, row := range a.passing.drawn[p.from] {
		places = append(places, a.batch.place[row])
	}
	return places
}
