package train

import (
	"math/rand/v2"
	"slices"

	"github.com/sartorhq/sartor/streams"
)

// Exposures keeps what users were shown: the items that a user was shown, saw and left. Memory grows with
// the number of different pairs of user and item. Adding is for one goroutine.
type Exposures struct {
	users, items *names
	pairs        [][2]int32
}

// NewExposures returns an empty collection.
func NewExposures() *Exposures {
	return &Exposures{users: &names{rows: map[string]int32{}}, items: &names{rows: map[string]int32{}}}
}

// Add keeps the items of an exposure; other events are passed over.
func (x *Exposures) Add(e *streams.Event) {
	if e.Type != streams.Exposure || e.Subject() == "" {
		return
	}
	user := x.users.row(e.Subject())
	for _, line := range e.Items {
		if line.ItemID != "" {
			x.pairs = append(x.pairs, [2]int32{user, x.items.row(line.ItemID)})
		}
	}
}

// Len returns how many items were shown.
func (x *Exposures) Len() int { return len(x.pairs) }

// unclicked returns left for the users and items of the problem.
func (x *Exposures) unclicked(l *Log, p *problem) [][]int32 {
	return x.left(l, p.ids, p.itemNumbers, p.userNumbers)
}

// left returns, for users by their numbers in the log, the rows of items that each was shown and has no
// event on in the log, ascending; itemNumbers are those of the log by row, -1 = none.
func (x *Exposures) left(l *Log, ids []string, itemNumbers, userNumbers []int32) [][]int32 {
	row := map[string]int32{}
	for j, id := range ids {
		row[id] = int32(j)
	}
	user := map[int32]int{}
	for u, number := range userNumbers {
		user[number] = u
	}
	took := map[[2]int32]bool{}
	for _, pair := range x.pairs { // no more than there are pairs, however long the log is
		number, ok := l.UserNumber(x.users.list[pair[0]])
		item, known := l.ItemNumber(x.items.list[pair[1]])
		if ok && known {
			took[[2]int32{number, item}] = false
		}
	}
	for _, e := range l.events.all() {
		if _, shown := took[[2]int32{e.user, e.item}]; shown {
			took[[2]int32{e.user, e.item}] = true
		}
	}
	out := make([][]int32, len(userNumbers))
	for _, pair := range x.pairs {
		number, ok := l.UserNumber(x.users.list[pair[0]])
		u, in := user[number]
		j, known := row[x.items.list[pair[1]]]
		if !ok || !in || !known {
			continue
		}
		if item := itemNumbers[j]; item >= 0 && took[[2]int32{number, item}] {
			continue
		}
		out[u] = append(out[u], j)
	}
	for u := range out {
		slices.Sort(out[u])
		out[u] = slices.Compact(out[u])
	}
	return out
}

// maxIgnored bounds the exposures of one user in a step.
const maxIgnored = 20

// drawIgnored takes a random part of what each user left into the items of the step.
func (a *autoencoder) drawIgnored(b *batch, rng *rand.Rand, users []int32) {
	for i, u := range users {
		left := a.ignored[u]
		for _, k := range rng.Perm(len(left))[:min(len(left), maxIgnored)] {
			at := b.place(left[k])
			if !slices.ContainsFunc(b.goal[b.goalAt[i]:b.goalAt[i+1]], func(g link) bool { return g.row == at }) {
				b.ignored[i] = append(b.ignored[i], at)
			}
		}
	}
}
