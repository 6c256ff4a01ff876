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
	time  int64
	item  int32 // row of the problem
	kind  uint8
	ready bool // an example may begin here: something came before, and this item is new and a target
}

// timeline is the events of one user that carry weight or are targets, oldest first.
type timeline []step

// maxShown bounds the events of an ordered example's history, as the schema bounds the served one.
const maxShown = 100

// order builds the timelines of the users of the problem and returns those with a place for an example.
func (a *autoencoder) order(l *Log) {
	weights, aims := make([]float64, len(l.types)), make([]float32, len(l.types))
	for k, t := range l.types {
		weights[k] = a.o.Signal.Weights[string(t)]
		aims[k] = float32(a.o.LAE.Objective[string(t)])
		if a.o.LAE.Objective == nil && weights[k] > 0 {
			aims[k] = 1
		}
	}
	a.kindWeights, a.kindAims = weights, aims
	a.collect(l)
	allowed := make([]bool, len(a.p.ids))
	for _, j := range a.catalog {
		allowed[j] = true
	}
	a.users = a.users[:0]
	had := make([]int32, len(a.p.ids)) // the last user, plus 1, who had the item
	for u, line := range a.timelines {
		slices.SortStableFunc(line, func(x, y step) int { return cmp.Compare(x.time, y.time) })
		any, shown := false, false // something with weight came before
		for i := range line {
			s := &line[i]
			s.ready = shown && allowed[s.item] && aims[s.kind] > 0 && (a.o.LAE.Again || had[s.item] != int32(u+1))
			any = any || s.ready
			had[s.item] = int32(u + 1)
			shown = shown || weights[s.kind] > 0
		}
		if any {
			a.users = append(a.users, int32(u))
		}
	}
}

// collect fills the timelines, in the order of the log, in one piece of memory.
func (a *autoencoder) collect(l *Log) {
	row, user := rowsOf(a.p.itemNumbers, len(l.items.list)), rowsOf(a.p.userNumbers, len(l.users.list))
	a.timelines = make([]timeline, a.p.byUser.rows())
	each := func(do func(u int32, s step)) {
		for _, x := range l.events.all() {
			u, j, k := user[x.user], row[x.item], x.kind()
			if u >= 0 && j >= 0 && (a.kindWeights[k] != 0 || a.kindAims[k] != 0) {
				do(u, step{time: x.time(), item: j, kind: uint8(k)})
			}
		}
	}
	sizes := make([]int, len(a.timelines))
	total := 0
	each(func(u int32, _ step) { sizes[u]++; total++ })
	steps := make([]step, total)
	for u, n := range sizes {
		a.timelines[u], steps = steps[:0:n], steps[n:]
	}
	each(func(u int32, s step) { a.timelines[u] = append(a.timelines[u], s) })
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
