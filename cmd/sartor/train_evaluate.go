package main

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/models"
	"github.com/sartorhq/sartor/models/eval"
	"github.com/sartorhq/sartor/models/index"
	"github.com/sartorhq/sartor/models/train"
)

// holdout is a log cut in two, and how its users are to be judged.
type holdout struct {
	schema *features.Schema
	before *train.Log
	after  *train.Log
	// moment is when the users are encoded: the first moment of the held-out part where the cut is one
	// moment for all, else after everything.
	moment time.Time
	signal models.Signal // which held-out events are wanted goods
	// keepSeen ranks what a user already had, too, and counts it as truth.
	keepSeen bool
	// whole encodes from the user's whole history instead of the part that the schema keeps. Serving
	// cannot do that; it is for comparison with published figures.
	whole bool
	// limit bounds the judged users, taken evenly; 0 = all.
	limit int
}

// judged is what an evaluation found, user by user in a fixed order.
type judged struct {
	k        int
	users    int
	cold     int // held-out users without any history: nothing to encode, not judged
	measures [][]eval.Measures
	lists    [][][]int32 // by model and user, item numbers of the log
	fallback []int       // by model: users whom it could not encode, and who got the first model's list
}

// testUser is one user to judge.
type testUser struct {
	number   int32
	history  []int   // interactions of the log, in its order
	seen     []int32 // item numbers, sorted
	relevant []int32 // item numbers
}

// testUsers collects who can be judged: users with history and with something to find.
func (h *holdout) testUsers() (users []testUser, cold int) {
	n, _ := h.before.Numbers()
	byNumber := make([]testUser, n)
	for i := range h.after.Len() {
		x := h.after.At(i)
		if h.signal.Weights[string(x.Type)] > 0 {
			u := &byNumber[x.User]
			u.relevant = append(u.relevant, x.Item)
		}
	}
	for i := range h.before.Len() {
		x := h.before.At(i)
		if u := &byNumber[x.User]; len(u.relevant) > 0 {
			u.history, u.seen = append(u.history, i), append(u.seen, x.Item)
		}
	}
	for number := range byNumber {
		u := &byNumber[number]
		u.number = int32(number)
		u.seen, u.relevant = unique(u.seen), unique(u.relevant)
		if !h.keepSeen {
			u.relevant = slices.DeleteFunc(u.relevant, func(item int32) bool {
				_, had := slices.BinarySearch(u.seen, item)
				return had
			})
		}
		switch {
		case len(u.relevant) == 0:
		case len(u.history) == 0:
			cold++
		default:
			users = append(users, *u)
		}
	}
	if n := len(users); h.limit > 0 && n > h.limit {
		for i := range h.limit {
			users[i] = users[i*n/h.limit]
		}
		users = users[:h.limit]
	}
	return users, cold
}

func unique(items []int32) []int32 {
	slices.Sort(items)
	return slices.Compact(items)
}

// user returns what serving would know of the user: the events before the cut, folded by the schema
// into stored state, and read from there.
func (h *holdout) user(t testUser) *features.User {
	id := h.before.UserID(t.number)
	if h.whole {
		return h.wholeUser(t)
	}
	st := &features.State{}
	for _, i := range t.history {
		e := h.before.Event(i)
		for _, d := range h.schema.Fold(&e) {
			if d.Entity.Kind == features.UserEntity {
				st.Apply(h.schema, d.Ops)
			}
		}
	}
	return h.schema.User(id, st, nil, h.moment)
}

func (h *holdout) wholeUser(t testUser) *features.User {
	u := &features.User{ID: h.before.UserID(t.number), Seen: true, Now: h.moment}
	for _, i := range t.history {
		x := h.before.At(i)
		u.History = append(u.History, features.Entry{Type: x.Type, ItemID: h.before.ItemID(x.Item), Time: x.Time})
	}
	slices.SortStableFunc(u.History, func(a, b features.Entry) int { return cmp.Compare(b.Time, a.Time) })
	return u
}

// ranker searches one model on behalf of the log's numbers.
type ranker struct {
	model models.Model
	flat  *index.Flat
	item  []int32 // log's item number by row
	row   []int32 // row by the log's item number, -1 = unknown to the model
}

func newRanker(m models.Model, l *train.Log) *ranker {
	items := m.Items()
	_, n := l.Numbers()
	r := &ranker{model: m, flat: index.NewFlat(items.Dim, items.Vectors), item: make([]int32, len(items.IDs)), row: make([]int32, n)}
	for i := range r.row {
		r.row[i] = -1
	}
	for j, id := range items.IDs {
		if number, ok := l.ItemNumber(id); ok {
			r.item[j], r.row[number] = number, int32(j)
		}
	}
	return r
}

// rank returns the k best items of the user; ok is false when the model cannot encode him. All items
// are ranked; hidden ones are left out.
func (r *ranker) rank(u *features.User, now time.Time, k int, hidden []int32, allowed index.Bitmap) (list []int32, ok bool) {
	vec, ok := r.model.Encode(u, now)
	if !ok {
		return nil, false
	}
	for _, item := range hidden {
		if row := r.row[item]; row >= 0 {
			allowed.Clear(int(row))
		}
	}
	for _, hit := range r.flat.Search(vec, k, allowed) {
		list = append(list, r.item[hit.Row])
	}
	for _, item := range hidden {
		if row := r.row[item]; row >= 0 {
			allowed.Set(int(row))
		}
	}
	return list, true
}

// judge ranks all items for every test user with every model. The first model must be able to encode
// everybody: users whom another model cannot encode get its list, as in serving. The result does not
// depend on the number of processors.
func (h *holdout) judge(ctx context.Context, k int, candidates ...models.Model) (*judged, error) {
	users, cold := h.testUsers()
	j := &judged{k: k, users: len(users), cold: cold, fallback: make([]int, len(candidates))}
	rankers := make([]*ranker, len(candidates))
	for m, model := range candidates {
		rankers[m] = newRanker(model, h.before)
		j.measures = append(j.measures, make([]eval.Measures, len(users)))
		j.lists = append(j.lists, make([][]int32, len(users)))
	}
	missed := make([][]bool, len(users))
	workers := runtime.GOMAXPROCS(0)
	g, ctx := errgroup.WithContext(ctx)
	for w := range workers {
		g.Go(func() error {
			allowed := make([]index.Bitmap, len(rankers))
			for m, r := range rankers {
				allowed[m] = index.Fill(r.flat.Len())
			}
			for i := w; i < len(users); i += workers {
				if err := ctx.Err(); err != nil {
					return err
				}
				missed[i] = j.user(h, i, users[i], rankers, allowed)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	for _, m := range missed {
		for model, yes := range m {
			if yes {
				j.fallback[model]++
			}
		}
	}
	return j, nil
}

// user judges user number i and tells which models could not encode him.
func (j *judged) user(h *holdout, i int, t testUser, rankers []*ranker, allowed []index.Bitmap) (missed []bool) {
	u := h.user(t)
	hidden := t.seen
	if h.keepSeen {
		hidden = nil
	}
	missed = make([]bool, len(rankers))
	for m, r := range rankers {
		list, ok := r.rank(u, h.moment, j.k, hidden, allowed[m])
		if !ok && m > 0 {
			list, missed[m] = j.lists[0][i], true
		}
		j.lists[m][i], j.measures[m][i] = list, eval.Measure(list, t.relevant, j.k)
	}
	return missed
}

// values returns one measure of one model, by user.
func (j *judged) values(model int, of func(eval.Measures) float64) []float64 {
	out := make([]float64, len(j.measures[model]))
	for i, m := range j.measures[model] {
		out[i] = of(m)
	}
	return out
}

func recallOf(m eval.Measures) float64 { return m.Recall }
func ndcgOf(m eval.Measures) float64   { return m.NDCG }

// metrics is the evaluation as a manifest keeps it; model 0 is the baseline, model 1 the one to
// publish.
func (j *judged) metrics(items int) map[string]float64 {
	out := map[string]float64{"eval.users": float64(j.users)}
	for m, prefix := range []string{"popularity.", ""} {
		mean := eval.Mean(j.measures[m])
		for name, v := range map[string]float64{"recall": mean.Recall, "ndcg": mean.NDCG, "mrr": mean.MRR,
			"coverage": eval.Coverage(j.lists[m], items)} {
			out[fmt.Sprintf("%s%s@%d", prefix, name, j.k)] = round6(v)
		}
	}
	return out
}

func round6(v float64) float64 { return math.Round(v*1e6) / 1e6 }
