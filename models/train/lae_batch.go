package train

import (
	"math/rand/v2"
	"slices"
)

// batch is the users of one step: what is shown of each, what is to be foreseen, and the items among
// which it is to be found.
type batch struct {
	users int
	kept  []link // shown, by user
	goal  []link // to be foreseen, by user; row is a place in items
	// keptAt and goalAt are where each user's begin, with one more for the end.
	keptAt, goalAt []int
	items          []int32 // rows of the output table in this step
	position       []int32 // of an item among items, else -1
	// touched are the rows of the input table in this step; those of touched[k] are
	// uses[usesAt[k]:usesAt[k+1]], whose rows are users of the batch.
	touched []int32
	uses    []link
	usesAt  []int
	slot    []int32 // of an item among touched, else -1
	// ignored are the places among items of what each user was shown in vain.
	ignored [][]int32
}

// link is a row with a weight.
type link struct {
	row    int32
	weight float32
}

// newBatch returns an empty batch of so many items.
func newBatch(items int) *batch {
	b := &batch{position: slices.Repeat([]int32{-1}, items)}
	b.slot = slices.Clone(b.position)
	return b
}

// draw fills the batch: a random part of each user's items is shown, the rest is to be foreseen.
func (a *autoencoder) draw(b *batch, rng *rand.Rand, users []int32) {
	for _, j := range b.items {
		b.position[j] = -1
	}
	b.users, b.kept, b.goal, b.items = len(users), b.kept[:0], b.goal[:0], b.items[:0]
	b.keptAt, b.goalAt = append(b.keptAt[:0], 0), append(b.goalAt[:0], 0)
	for _, u := range users {
		a.drawUser(b, rng, int(u))
		b.keptAt, b.goalAt = append(b.keptAt, len(b.kept)), append(b.goalAt, len(b.goal))
	}
	for k, g := range b.goal {
		b.goal[k].row = b.place(g.row)
	}
	b.ignored = append(b.ignored[:0], make([][]int32, len(users))...)
	if a.ignored != nil {
		a.drawIgnored(b, rng, users)
	}
	want := min(len(b.items)+a.o.LAE.Negatives, len(b.items)+len(a.catalog))
	for tries := 4 * a.o.LAE.Negatives; len(b.items) < want && tries > 0; tries-- {
		b.place(a.catalog[rng.IntN(len(a.catalog))])
	}
	b.invert()
	if a.tower != nil {
		a.tower.draw(inSide, rng, b.touched, a.o.LAE.Tower)
		a.tower.draw(outSide, rng, b.items, a.o.LAE.Tower)
	}
}

// place returns where the item stands among the items of the batch, adding it if need be.
func (b *batch) place(item int32) int32 {
	if b.position[item] < 0 {
		b.position[item] = int32(len(b.items))
		b.items = append(b.items, item)
	}
	return b.position[item]
}

// drawUser appends one user's shown items and targets: at least one of each, whatever chance says.
func (a *autoencoder) drawUser(b *batch, rng *rand.Rand, u int) {
	cols, values := a.p.byUser.row(u)
	if a.timelines != nil && (a.o.LAE.Order == 1 || !a.maskable(u) || rng.Float64() < a.o.LAE.Order) {
		a.drawOrdered(b, rng, u)
		return
	}
	first := a.p.byUser.starts[u]
	shown, goals := len(b.kept), len(b.goal)
	forced := a.force(rng, first, len(cols))
	for k, j := range cols {
		w := a.weightOf(first + k)
		if hide := rng.Float64() >= a.o.LAE.Keep; hide && w > 0 {
			b.goal = append(b.goal, link{row: j, weight: w})
			continue
		}
		b.kept = append(b.kept, link{row: j, weight: values[k] * a.gain[j]})
	}
	switch {
	case len(b.kept) == shown:
		b.goal = b.goal[:len(b.goal)-1]
		last := len(cols) - 1
		b.kept = append(b.kept, link{row: cols[last], weight: values[last] * a.gain[cols[last]]})
	case len(b.goal) == goals:
		j := cols[forced]
		at := shown + slices.IndexFunc(b.kept[shown:], func(l link) bool { return l.row == j })
		b.kept = slices.Delete(b.kept, at, at+1)
		b.goal = append(b.goal, link{row: j, weight: a.weightOf(first + forced)})
	}
}

// maskable tells whether a random part of the user's items can be shown and another foreseen.
func (a *autoencoder) maskable(u int) bool {
	lo, hi := a.p.byUser.starts[u], a.p.byUser.starts[u+1]
	return hi-lo >= 2 && (a.target == nil || slices.ContainsFunc(a.target[lo:hi], func(w float32) bool { return w > 0 }))
}

// force draws one of n pairs that may be foreseen.
func (a *autoencoder) force(rng *rand.Rand, first, n int) int {
	at := rng.IntN(n)
	for a.weightOf(first+at) <= 0 {
		at = (at + 1) % n
	}
	return at
}

func (a *autoencoder) weightOf(pair int) float32 {
	if a.target == nil {
		return 1
	}
	return a.target[pair]
}

// weighTargets gives every pair its weight as a target, where the options make a difference.
func (a *autoencoder) weighTargets(l *Log) {
	o := a.o.LAE
	if o.Objective == nil && o.Catalog == nil {
		return
	}
	a.target = make([]float32, len(a.p.byUser.cols))
	allowed := make([]bool, len(a.p.ids))
	for _, j := range a.catalog {
		allowed[j] = true
	}
	if o.Objective == nil {
		for k, j := range a.p.byUser.cols {
			if allowed[j] {
				a.target[k] = 1
			}
		}
		return
	}
	user, item := rowsOf(a.p.userNumbers, len(l.users.list)), rowsOf(a.p.itemNumbers, len(l.items.list))
	weights := make([]float32, len(l.types))
	for k, t := range l.types {
		weights[k] = float32(o.Objective[string(t)])
	}
	for _, x := range l.events.all() {
		u, j, w := user[x.user], item[x.item], weights[x.kind()]
		if w <= 0 || u < 0 || j < 0 || !allowed[j] {
			continue
		}
		cols, _ := a.p.byUser.row(int(u))
		if k, ok := slices.BinarySearch(cols, j); ok {
			k += a.p.byUser.starts[u]
			a.target[k] = max(a.target[k], w)
		}
	}
}

// rowsOf returns where each of n numbers stands in the list, -1 for those that do not.
func rowsOf(list []int32, n int) []int32 {
	at := slices.Repeat([]int32{-1}, n)
	for i, number := range list {
		if number >= 0 {
			at[number] = int32(i)
		}
	}
	return at
}

// invert lists for every shown item the users to whom it was shown, in their order.
func (b *batch) invert() {
	for _, j := range b.touched {
		b.slot[j] = -1
	}
	b.touched, b.usesAt = b.touched[:0], append(b.usesAt[:0], 0)
	for _, k := range b.kept {
		if b.slot[k.row] < 0 {
			b.slot[k.row] = int32(len(b.touched))
			b.touched, b.usesAt = append(b.touched, k.row), append(b.usesAt, 0)
		}
		b.usesAt[b.slot[k.row]+1]++
	}
	for i := range b.touched {
		b.usesAt[i+1] += b.usesAt[i]
	}
	b.uses = slices.Grow(b.uses[:0], len(b.kept))[:len(b.kept)]
	next := slices.Clone(b.usesAt)
	for u := range b.users {
		for _, k := range b.kept[b.keptAt[u]:b.keptAt[u+1]] {
			s := b.slot[k.row]
			b.uses[next[s]] = link{row: int32(u), weight: k.weight}
			next[s]++
		}
	}
}
