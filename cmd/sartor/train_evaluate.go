package main

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/models"
	"github.com/sartorhq/sartor/models/eval"
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
	// only limits the ranked items and the truth to those for which it is true; nil = all.
	only func(item string) bool
	// sampled ranks the truth among so many items that the user never had, drawn with seed; 0 = among all.
	sampled int
	seed    uint64
	// half judges only users with even (1) or odd (2) places among those who can be judged; 0 = all.
	half int
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
	first    int     // held-out interaction with which the user came back
	seen     []int32 // item numbers, sorted
	relevant []int32 // item numbers
}

// testUsers collects who can be judged: users with history and with something to find.
func (h *holdout) testUsers() (users []testUser, cold int) {
	n, _ := h.before.Numbers()
	byNumber := make([]testUser, n)
	for i := range byNumber {
		byNumber[i].first = -1
	}
	for i := range h.after.Len() {
		x := h.after.At(i)
		if first := &byNumber[x.User].first; *first < 0 || x.Time < h.after.At(*first).Time {
			*first = i
		}
		if h.signal.Weights[string(x.Type)] > 0 && (h.only == nil || h.only(h.before.ItemID(x.Item))) {
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
	if h.half > 0 {
		n := 0
		for i := h.half - 1; i < len(users); i += 2 {
			users[n] = users[i]
			n++
		}
		users = users[:n]
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

// visit is a user who comes to be judged.
type visit struct {
	*features.User
	context map[string]any
	now     time.Time
}

// visit returns the user as he came back. Where the log tells, he is known as he was just before his first
// held-out event, in its context and at its moment; else as the events before the cut show him, at the cut.
func (h *holdout) visit(t testUser) visit {
	v := visit{User: h.user(t), now: h.moment}
	if context, now, ok := h.after.Visit(t.first, v.User); ok {
		v.context, v.now = context, now
	}
	return v
}

func (h *holdout) wholeUser(t testUser) *features.User {
	u := &features.User{ID: h.before.UserID(t.number), Seen: true, Now: h.moment}
	for _, i := range t.history {
		x := h.before.At(i)
		u.History = append(u.History, features.Entry{Type: x.Type, ItemID: h.before.ItemID(x.Item), Time: x.Time})
	}
	slices.SortFunc(u.History, features.CompareEntries)
	return u
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
	out := j.metricsOf(1, items)
	for name, v := range j.metricsOf(0, items) {
		if name != usersMetric {
			out["popularity."+name] = v
		}
	}
	return out
}

// usersMetric is how many users were judged.
const usersMetric = "eval.users"

// metricsOf is the evaluation of one model.
func (j *judged) metricsOf(m, items int) map[string]float64 {
	out := map[string]float64{usersMetric: float64(j.users)}
	mean := eval.Mean(j.measures[m])
	for name, v := range map[string]float64{"recall": mean.Recall, "ndcg": mean.NDCG, "mrr": mean.MRR,
		"coverage": eval.Coverage(j.lists[m], items)} {
		out[fmt.Sprintf("%s@%d", name, j.k)] = round6(v)
	}
	return out
}

func round6(v float64) float64 { return math.Round(v*1e6) / 1e6 }
