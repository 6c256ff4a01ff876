package train

import (
	"fmt"
	"math/rand/v2"
	"slices"
)

// AugmentOptions change the histories of a step at random, so that what is learned does not hang on what
// is arbitrary in them. The zero value shuffles what has no order, and changes nothing else.
type AugmentOptions struct {
	// Mask is the share of the events whose item is hidden from the encoder's blocks; their type and time
	// are read, and they are foreseen like others.
	Mask float64
	// Ordered keeps events of one type and moment, such as the lines of an order, in the order of their ids.
	// Else they are shuffled in every step: they have no order of their own, and whoever learns one foresees
	// the next line, not the next order.
	Ordered bool
	// Crop is the share of the histories of a step that begin later than they did, at one of the events of
	// their first half, as if what came before were not known.
	Crop float64
}

func (o AugmentOptions) validate() error {
	if !(o.Mask >= 0 && o.Mask < 1) {
		return fmt.Errorf("train: a share of %v of the items is hidden: need at least 0 and less than 1", o.Mask)
	}
	if !(o.Crop >= 0 && o.Crop <= 1) {
		return fmt.Errorf("train: a share of %v of the histories is cropped: need 0 to 1", o.Crop)
	}
	return nil
}

// crop returns the pieces of a step, some without their beginning. One that would lose its last target
// stays whole.
func (a *encoderTraining) crop(rng *rand.Rand, pieces []piece) []piece {
	share := a.o.Encoder.Augment.Crop
	if share == 0 {
		return pieces
	}
	a.cropped = append(a.cropped[:0], pieces...)
	for i, p := range a.cropped {
		if rng.Float64() >= share {
			continue
		}
		p.from += rng.Int32N((p.to-p.from)/2 + 1)
		if slices.ContainsFunc(a.data.goals[p.from+1:p.to+1], func(w float32) bool { return w > 0 }) {
			a.cropped[i] = p
		}
	}
	return a.cropped
}

// shuffle returns the places of the events of a piece, from p.from to p.to: as they are, but those of one
// basket in random order. The first, which is no target, stays.
func (a *encoderTraining) shuffle(rng *rand.Rand, p piece) []int32 {
	s := a.data
	a.places = a.places[:0]
	for t := p.from; t <= p.to; t++ {
		a.places = append(a.places, t)
	}
	if s.same == nil {
		return a.places
	}
	for from := p.from + 1; from <= p.to; {
		to := from + 1
		for to <= p.to && s.same[to] {
			to++
		}
		basket := a.places[from-p.from : to-p.from]
		rng.Shuffle(len(basket), func(i, j int) { basket[i], basket[j] = basket[j], basket[i] })
		from = to
	}
	return a.places
}

// mask notes in the shard whether the item of its next event is hidden.
func (a *encoderTraining) mask(rng *rand.Rand, sh *shard) {
	if share := a.o.Encoder.Augment.Mask; share > 0 {
		sh.masked = append(sh.masked, rng.Float64() < share)
	}
}

// hidden tells whether the item of event i is hidden from the blocks.
func (sh *shard) hidden(i int) bool { return len(sh.masked) > 0 && sh.masked[i] }
