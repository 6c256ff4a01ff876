package main

import (
	"context"
	"math"
	"runtime"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/models"
	"github.com/sartorhq/sartor/models/eval"
	"github.com/sartorhq/sartor/models/kernel"
	"github.com/sartorhq/sartor/models/train"
)

// ranker scores all items of one model on behalf of the log's numbers, many users at a time.
type ranker struct {
	model models.Model
	items models.Items
	bare  scorer  // set for a model without vectors
	never []int32 // rows that are out of question
	right kernel.Packed
	item  []int32 // log's item number by row
	row   []int32 // row by the log's item number, -1 = unknown to the model
}

// scorer is a model that scores all items by itself, for lack of vectors.
type scorer interface {
	Score(u *features.User, now time.Time, scores []float32) (ok bool)
}

func newRanker(m models.Model, l *train.Log) *ranker {
	_, n := l.Numbers()
	r := &ranker{model: m, items: m.Items(), row: slices.Repeat([]int32{-1}, n)}
	r.item = make([]int32, len(r.items.IDs))
	if s, ok := m.(scorer); ok && r.items.Dim == 0 {
		r.bare = s
	}
	r.right.Reset(r.items.Dim, len(r.items.IDs))
	r.right.Fill(0, r.right.Panels(), kernel.Matrix{Data: r.items.Vectors, Dim: r.items.Dim, Stride: r.items.Dim}, true)
	for j, id := range r.items.IDs {
		if number, ok := l.ItemNumber(id); ok {
			r.item[j], r.row[number] = number, int32(j)
		}
	}
	return r
}

// visitEncoder is a model that makes use of the context of a request.
type visitEncoder interface {
	EncodeIn(u *features.User, context map[string]any, now time.Time) (vec []float32, ok bool)
}

// judging is one worker's work space.
type judging struct {
	queries, scores []float32
	work            kernel.Work
	best            []int32
	repeats         []models.Repeated
}

// score fills w.scores with one row per user and tells which users the model cannot encode.
func (r *ranker) score(w *judging, users []visit, h *holdout) (encoded []bool) {
	dim, n := r.items.Dim, len(r.items.IDs)
	w.queries = slices.Grow(w.queries[:0], len(users)*dim)[:len(users)*dim]
	w.scores = slices.Grow(w.scores[:0], len(users)*n)[:len(users)*n]
	clear(w.queries)
	encoded = make([]bool, len(users))
	visitor, inContext := r.model.(visitEncoder)
	if r.bare != nil {
		for i, u := range users {
			encoded[i] = r.bare.Score(u.User, h.moment, w.scores[i*n:(i+1)*n])
		}
		return encoded
	}
	for i, u := range users {
		var vec []float32
		if inContext {
			vec, encoded[i] = visitor.EncodeIn(u.User, u.context, u.now)
		} else {
			vec, encoded[i] = r.model.Encode(u.User, h.moment)
		}
		if encoded[i] {
			copy(w.queries[i*dim:], vec)
		}
	}
	kernel.Multiply(kernel.Matrix{Data: w.scores, Dim: n, Stride: n}, 0, len(users),
		kernel.Matrix{Data: w.queries, Dim: dim, Stride: dim}, false, &r.right, &w.work)
	for i, u := range users {
		if encoded[i] {
			r.addRepeats(w, w.scores[i*n:(i+1)*n], u.User, h.moment)
		}
	}
	return encoded
}

// exclude leaves the items for which only is false out of all rankings.
func (r *ranker) exclude(only func(string) bool) {
	if only == nil {
		return
	}
	for j, id := range r.items.IDs {
		if !only(id) {
			r.never = append(r.never, int32(j))
		}
	}
}

// top returns the log's numbers of the k best rows by score, ties by row; hidden items are left out.
func (r *ranker) top(w *judging, scores []float32, k int, hidden []int32) []int32 {
	lowest := float32(math.Inf(-1))
	for _, item := range hidden {
		if row := r.row[item]; row >= 0 {
			scores[row] = lowest
		}
	}
	for _, row := range r.never {
		scores[row] = lowest
	}
	w.best = w.best[:0]
	floor := lowest
	for j := kernel.NextAbove(scores, 0, floor); j < len(scores); j = kernel.NextAbove(scores, j+1, floor) {
		if len(w.best) < k {
			w.best = append(w.best, 0)
		}
		at := len(w.best) - 1
		for ; at > 0 && scores[w.best[at-1]] < scores[j]; at-- {
			w.best[at] = w.best[at-1]
		}
		w.best[at] = int32(j)
		if len(w.best) == k {
			floor = scores[w.best[k-1]]
		}
	}
	list := make([]int32, len(w.best))
	for i, j := range w.best {
		list[i] = r.item[j]
	}
	return list
}

// judge ranks all items for every test user with every model. The first model must be able to encode
// everybody: users whom another model cannot encode get its list, as in serving. The result does not
// depend on the number of processors.
func (h *holdout) judge(ctx context.Context, k int, candidates ...models.Model) (*judged, error) {
	users, cold := h.testUsers()
	j := &judged{k: k, users: len(users), cold: cold, fallback: make([]int, len(candidates))}
	rankers, most := make([]*ranker, len(candidates)), 1
	for m, model := range candidates {
		rankers[m] = newRanker(model, h.before)
		rankers[m].exclude(h.only)
		j.measures = append(j.measures, make([]eval.Measures, len(users)))
		j.lists = append(j.lists, make([][]int32, len(users)))
		most = max(most, len(rankers[m].items.IDs))
	}
	missed := make([][]bool, len(users))
	block := min(max(1<<22/most, 1), 60) // bounds the scores that are held
	var next atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	for range runtime.GOMAXPROCS(0) {
		g.Go(func() error {
			w := &judging{}
			for {
				hi := int(next.Add(int64(block)))
				lo := hi - block
				if lo >= len(users) || ctx.Err() != nil {
					return ctx.Err()
				}
				hi = min(hi, len(users))
				j.judge(h, w, lo, users[lo:hi], rankers, missed[lo:hi])
			}
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

// judge judges some users, of whom the first has the given number, and notes which models could not
// encode whom.
func (j *judged) judge(h *holdout, w *judging, first int, tests []testUser, rankers []*ranker, missed [][]bool) {
	users := make([]visit, len(tests))
	for i, t := range tests {
		users[i], missed[i] = h.visit(t), make([]bool, len(rankers))
	}
	for m, r := range rankers {
		encoded, n := r.score(w, users, h), len(r.items.IDs)
		for i, t := range tests {
			hidden := t.seen
			if h.keepSeen {
				hidden = nil
			}
			var list []int32
			switch {
			case encoded[i] && h.sampled > 0:
				list = r.among(w, w.scores[i*n:(i+1)*n], j.k, h.candidates(t))
			case encoded[i]:
				list = r.top(w, w.scores[i*n:(i+1)*n], j.k, hidden)
			case m > 0:
				list, missed[i][m] = j.lists[0][first+i], true
			}
			j.lists[m][first+i], j.measures[m][first+i] = list, eval.Measure(list, t.relevant, j.k)
		}
	}
}
