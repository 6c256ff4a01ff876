package synth

import (
	"container/heap"
	"math/rand/v2"
	"sort"
	"strings"
	"time"

	"github.com/sartorhq/sartor/streams"
)

// longestMemory is the longest time from the start of a session to its last consequence: a rating or
// a return. Live looks back that far.
const longestMemory = 12 * 24 * time.Hour

// walker produces the stream hour by hour. Each session has random numbers of its own, derived from
// the hour and its number in the hour, and may schedule events for later (a return after days): the
// heap holds them until their time comes.
type walker struct {
	shop    *Shop
	hour    time.Time // the next hour to generate
	boosted time.Time // from this hour on LiveFactor applies
	pending eventHeap

	users      []user
	userCum    []int64 // cumulative weights of users
	items      []item
	byCat      [][]int   // items of a category, ascending
	catCum     [][]int64 // their cumulative popularity
	hits       []int     // best sellers of the whole shop
	pcg        *rand.PCG
	rng        *rand.Rand
	visitors   int
	perHundred int64 // sessions in a hundred average hours
}

// walkFrom returns a walker that stands at the hour of begin; LiveFactor applies from live on.
func (s *Shop) walkFrom(begin, live time.Time) *walker {
	pcg := rand.NewPCG(0, 0)
	w := &walker{shop: s, hour: begin.UTC().Truncate(time.Hour), boosted: live.UTC().Truncate(time.Hour),
		byCat: make([][]int, len(categories)), catCum: make([][]int64, len(categories)),
		pcg: pcg, rng: rand.New(pcg), visitors: max(4, s.opts.Users/2)}
	w.perHundred = max(1, int64(s.opts.Users)*100/(4*24))
	return w
}

// next returns the next event of the stream. It never ends.
func (w *walker) next() streams.Event {
	for len(w.pending) == 0 || !w.pending[0].Time.Before(w.hour) {
		w.generate()
	}
	return heap.Pop(&w.pending).(streams.Event)
}

func (w *walker) push(e streams.Event) { heap.Push(&w.pending, e) }

// generate adds the events that begin in the current hour and moves on to the next one.
func (w *walker) generate() {
	start, end := w.hour, w.hour.Add(time.Hour)
	w.grow(w.shop.usersAt(end), w.shop.itemsAt(end))
	w.documents(start, end)
	n := w.sessions(start)
	hour := uint64(start.Unix() / 3600)
	for k := range n {
		w.pcg.Seed(w.shop.derive(forSession, hour, uint64(k)), 3)
		w.session(start, hour, k)
	}
	w.hour = end
}

// documents adds the user-upserts and item-upserts that become valid in [start, end).
func (w *walker) documents(start, end time.Time) {
	for i := len(w.users) - 1; i >= w.shop.oldUsers && !w.users[i].joined.Before(start); i-- {
		if w.users[i].joined.Before(end) {
			w.push(w.shop.userUpsert(i))
		}
	}
	for i := range w.items {
		it := &w.items[i]
		if !it.created.Before(end) {
			continue
		}
		v := it.version(end.Add(-time.Millisecond))
		if valid := it.created.Add(time.Duration(v) * versionEvery); !valid.Before(start) && valid.Before(end) {
			w.push(w.shop.itemUpsert(it, v))
		}
	}
}

// sessions is the number of sessions that start in the hour: the mean follows the hour of the day,
// the weekday and the month, and noise of a quarter goes on top.
func (w *walker) sessions(start time.Time) int {
	mean := w.perHundred * int64(hourWeight[start.Hour()]) * int64(dayWeight[start.Weekday()]) *
		int64(monthWeight[start.Month()-1]) // in 1/100 sessions x 51 (mean of hourWeight) x 100 x 100
	mean /= 51 * 100 * 100 // 1/100 sessions
	r := w.shop.derive(forHour, uint64(start.Unix()/3600), 0)
	mean = mean * int64(75+r%51) / 100
	if !start.Before(w.boosted) {
		mean *= int64(w.shop.opts.LiveFactor)
	}
	n := mean / 100
	if int64(r>>32%100) < mean%100 {
		n++
	}
	return int(n)
}

// grow extends the tables to so many users and items. They only ever grow, in order of arrival, so
// that what exists at a moment is a prefix.
func (w *walker) grow(users, items int) {
	for i := len(w.users); i < users; i++ {
		u := w.shop.user(i)
		w.users = append(w.users, u)
		w.userCum = append(w.userCum, last(w.userCum)+u.weight)
	}
	for i := len(w.items); i < items; i++ {
		it := w.shop.item(i)
		w.items = append(w.items, it)
		w.byCat[it.cat] = append(w.byCat[it.cat], i)
		w.catCum[it.cat] = append(w.catCum[it.cat], last(w.catCum[it.cat])+it.weight)
		if i < w.shop.oldItems && it.weight == heaviest && len(w.hits) < 12 {
			w.hits = append(w.hits, i)
		}
	}
}

func last(cum []int64) int64 {
	if len(cum) == 0 {
		return 0
	}
	return cum[len(cum)-1]
}

// draw returns an index below n with probability proportional to its weight; n > 0.
func draw(r *rand.Rand, cum []int64, n int) int {
	x := r.Int64N(cum[n-1])
	return sort.Search(n, func(i int) bool { return cum[i] > x })
}

// eventHeap orders events by time, then id, so that the order does not depend on how they came in.
type eventHeap []streams.Event

func (h eventHeap) Len() int { return len(h) }
func (h eventHeap) Less(i, j int) bool {
	if c := h[i].Time.Compare(h[j].Time); c != 0 {
		return c < 0
	}
	return strings.Compare(h[i].ID, h[j].ID) < 0
}
func (h eventHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

// Push and Pop implement heap.Interface.
func (h *eventHeap) Push(x any) { *h = append(*h, x.(streams.Event)) }

// Pop removes the last element.
func (h *eventHeap) Pop() any {
	old := *h
	e := old[len(old)-1]
	old[len(old)-1] = streams.Event{}
	*h = old[:len(old)-1]
	return e
}
