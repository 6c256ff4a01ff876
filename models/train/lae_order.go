package train

import (
	"cmp"
	"math/rand/v2"
	"slices"

	"github.com/sartorhq/sartor/models"
)

// An ordered example is what serving meets: the history up to a moment is shown, what the user wanted next
// is to be foreseen. It teaches what follows what, which random parts of a user's items cannot.

// step is one event of a user's timeline.
type step struct {
	item  int32 // row of the problem
	kind  uint8
	time  int64
	ready bool // an example may begin here: something came before, and this item is new and a target
}

// timeline is the events of one user that carry weight or are targets, oldest first.
type timeline []step

// maxShown bounds the events of an ordered example's history, as the schema bounds the served one.
const maxShown = 100

// order builds the timelines of the users of the problem and returns those with a place for an example.
func (a *autoencoder) order(l *Log) {
	row := make([]int32, len(l.items.list))
	for i := range row {
		row[i] = -1
	}
	for j, number := range a.p.itemNumbers {
		if number >= 0 {
			row[number] = int32(j)
		}
	}
	user := make([]int32, len(l.users.list))
	for i := range user {
		user[i] = -1
	}
	for u, number := range a.p.userNumbers {
		user[number] = int32(u)
	}
	a.timelines = make([]timeline, a.p.byUser.rows())
	weights, aims := make([]float64, len(l.types)), make([]float32, len(l.types))
	for k, t := range l.types {
		weights[k] = a.o.Signal.Weights[string(t)]
		aims[k] = float32(a.o.LAE.Objective[string(t)])
		if a.o.LAE.Objective == nil && weights[k] > 0 {
			aims[k] = 1
		}
	}
	a.kindWeights, a.kindAims = weights, aims
	for _, x := range l.events.all() {
		u, j := user[x.user], row[x.item]
		if u < 0 || j < 0 || weights[x.kind()] == 0 && aims[x.kind()] == 0 {
			continue
		}
		a.timelines[u] = append(a.timelines[u], step{item: j, kind: uint8(x.kind()), time: x.time()})
	}
	allowed := make([]bool, len(a.p.ids))
	for _, j := range a.catalog {
		allowed[j] = true
	}
	a.users = a.users[:0]
	for u, line := range a.timelines {
		slices.SortStableFunc(line, func(x, y step) int { return cmp.Compare(x.time, y.time) })
		seen, any := map[int32]bool{}, false
		shown := false // something with weight came before
		for i := range line {
			s := &line[i]
			s.ready = shown && allowed[s.item] && aims[s.kind] > 0 && (a.o.LAE.Again || !seen[s.item])
			any = any || s.ready
			seen[s.item] = true
			shown = shown || weights[s.kind] > 0
		}
		if any {
			a.users = append(a.users, int32(u))
		}
	}
}

// drawOrdered appends one user's example at a random place of the timeline.
func (a *autoencoder) drawOrdered(b *batch, rng *rand.Rand, u int) {
	line := a.timelines[u]
	places := 0
	for _, s := range line {
		if s.ready {
			places++
		}
	}
	at, nth := 0, rng.IntN(places)
	for ; ; at++ {
		if line[at].ready {
			if nth == 0 {
				break
			}
			nth--
		}
	}
	a.shown = a.shown[:0]
	past := line[max(0, at-maxShown):at]
	newest := past[len(past)-1].time
	for _, s := range past {
		if w := a.kindWeights[s.kind]; w != 0 {
			a.shown = append(a.shown, trace{row: s.item, sum: w * a.o.Signal.Fade(newest-s.time)})
		}
	}
	had := len(b.kept)
	b.kept = a.sumShown(b.kept, a.o.Signal)
	if len(b.kept) == had { // all that was shown was taken back: any one thing will do
		b.kept = append(b.kept, link{row: past[len(past)-1].item, weight: a.gain[past[len(past)-1].item]})
	}
	first := len(b.goal)
	for _, s := range line[at:] {
		if len(b.goal)-first == a.o.LAE.Ahead {
			break
		}
		if s.ready && !slices.ContainsFunc(b.goal[first:], func(g link) bool { return g.row == s.item }) {
			b.goal = append(b.goal, link{row: s.item, weight: a.kindAims[s.kind]})
		}
	}
}

// trace is what one event says about one row.
type trace struct {
	row int32
	sum float64
}

// sumShown adds up what the traces say about each row, as Encode does.
func (a *autoencoder) sumShown(kept []link, s models.Signal) []link {
	slices.SortStableFunc(a.shown, func(x, y trace) int { return int(x.row) - int(y.row) })
	for i := 0; i < len(a.shown); {
		row, sum := a.shown[i].row, 0.0
		for ; i < len(a.shown) && a.shown[i].row == row; i++ {
			sum += a.shown[i].sum
		}
		if c := s.Confidence(sum); c > 0 {
			kept = append(kept, link{row: row, weight: c * a.gain[row]})
		}
	}
	return kept
}
