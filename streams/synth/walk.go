package synth

import (
	"math/rand/v2"
	"sort"
	"time"

	"github.com/sartorhq/sartor/streams"
)

// longestMemory is the longest time from the start of a session to its last consequence: a rating or
// a return. Live looks back that far.
const longestMemory = 12 * 24 * time.Hour

// walker produces the stream hour by hour. Each session has random numbers of its own, derived from
// the hour and its number in the hour, and may schedule events for later (a return after days): the
// agenda holds them until their time comes.
type walker struct {
	shop    *Shop
	hour    time.Time // the next hour to generate
	boosted time.Time // from this hour on LiveFactor applies
	pending agenda

	users      []user
	userCum    []int64 // cumulative weights of users
	items      []item
	renewed    [versionHours][]int // items whose documents change in an hour of the week
	byCat      [][]int             // items of a category, ascending
	catCum     [][]int64           // their cumulative popularity
	hits       []int               // best sellers of the whole shop
	pcg        *rand.PCG
	rng        *rand.Rand
	visitors   []user // drawn when they first come; id "" = not yet
	seasons    [12]seasonal
	perHundred int64 // sessions in a hundred average hours
}

// walkFrom returns a walker that stands at the hour of begin; LiveFactor applies from live on.
func (s *Shop) walkFrom(begin, live time.Time) *walker {
	pcg := rand.NewPCG(0, 0)
	w := &walker{shop: s, hour: begin.UTC().Truncate(time.Hour), boosted: live.UTC().Truncate(time.Hour),
		byCat: make([][]int, len(categories)), catCum: make([][]int64, len(categories)),
		pcg: pcg, rng: rand.New(pcg), visitors: make([]user, max(4, s.opts.Users/2)), seasons: seasonalWeights(),
		pending: agenda{hours: map[int64][]streams.Event{}}}
	w.perHundred = max(1, int64(s.opts.Users)*100/(4*24))
	return w
}

// next returns the next event of the stream. It never ends.
func (w *walker) next() streams.Event {
	for {
		if e, ok := w.pending.next(); ok {
			return *e
		}
		hour := hourOf(w.hour)
		w.pending.open(hour)
		w.generate()
		w.pending.turn(hour)
	}
}

func (w *walker) push(e streams.Event) { w.pending.add(e) }

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
	for _, i := range w.renewed[hourOfWeek(start)] {
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
		slot := hourOfWeek(it.created)
		w.renewed[slot] = append(w.renewed[slot], i)
		w.byCat[it.cat] = append(w.byCat[it.cat], i)
		w.catCum[it.cat] = append(w.catCum[it.cat], last(w.catCum[it.cat])+it.weight)
		if i < w.shop.oldItems && it.weight == heaviest && len(w.hits) < 12 {
			w.hits = append(w.hits, i)
		}
	}
}

// hourOfWeek numbers the hours after which a document changes again.
func hourOfWeek(t time.Time) int64 { return (hourOf(t)%versionHours + versionHours) % versionHours }

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
