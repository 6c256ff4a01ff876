package synth

import (
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/sartorhq/sartor/streams"
)

// visit is one session while it is being generated.
type visit struct {
	w     *walker
	u     *user
	id    string // session id; event ids are id-1, id-2 ...
	n     int
	now   time.Time
	code  string // country of the visit
	focus int    // category that he looks at
	cart  []streams.Line
}

// session generates one session and everything that follows from it.
func (w *walker) session(start time.Time, hour uint64, k int) {
	v := &visit{w: w, id: "s" + itoa36(hour) + "-" + itoa36(uint64(k))}
	v.now = start.Add(time.Duration(w.rng.IntN(3600_000)) * time.Millisecond)
	v.u = w.shopper(v.now)
	v.code = countries[v.u.country].code
	if w.chance(3) { // on a journey
		v.code = countries[w.rng.IntN(len(countries))].code
	}
	if v.u.silent {
		v.silentOrder()
		return
	}
	v.focus = w.category(v.u, v.now)
	if w.chance(25) {
		v.search()
	}
	for range 1 + min(w.rng.IntN(8), w.rng.IntN(12)) {
		if w.chance(25) {
			v.focus = w.category(v.u, v.now)
		}
		v.look(w.choose(v.u, v.focus, v.now))
	}
	v.checkout()
}

// shopper picks who comes: one session in eight is an anonymous visitor's.
func (w *walker) shopper(now time.Time) *user {
	if w.rng.IntN(8) == 0 {
		i := w.rng.IntN(len(w.visitors))
		if w.visitors[i].id == "" {
			w.visitors[i] = w.shop.visitor(i)
		}
		return &w.visitors[i]
	}
	return &w.users[draw(w.rng, w.userCum, w.shop.usersAt(now))]
}

func (w *walker) chance(percent int) bool { return w.rng.IntN(100) < percent }

// category picks what a session is about: eight in ten times a favourite of the user, else any
// category by popularity and season.
func (w *walker) category(u *user, now time.Time) int {
	if w.chance(80) {
		switch p := w.rng.IntN(10); {
		case p < 5:
			return u.cats[0]
		case p < 8:
			return u.cats[1]
		}
		return u.cats[2]
	}
	cum := w.seasons[now.Month()-1]
	return draw(w.rng, cum, len(cum))
}

// seasonal holds the cumulative weights of the categories in a month.
type seasonal []int64

func seasonalWeights() (months [12]seasonal) {
	for m := range months {
		for i, c := range categories {
			months[m] = append(months[m], last(months[m])+int64(1000/(i+6)*season(c.peak, m+1)))
		}
	}
	return months
}

// season is the factor of a category in a month: 4 at its peak, 2 beside it, 1 elsewhere.
func season(peak, month int) int {
	if peak == 0 {
		return 2
	}
	switch d := (peak - month + 12) % 12; d {
	case 0:
		return 4
	case 1, 11:
		return 2
	}
	return 1
}

// choose picks the item that is looked at: mostly by taste within the category, sometimes a best
// seller, what is hot in the country this week, or a new arrival.
func (w *walker) choose(u *user, cat int, now time.Time) *item {
	n := min(w.shop.itemsAt(now), len(w.items)) // a long visit may run past the hour
	switch p := w.rng.IntN(100); {
	case p < 4 && len(w.hits) > 0:
		return &w.items[w.hits[w.rng.IntN(len(w.hits))]]
	case p < 9:
		week := uint64(now.Unix() / (7 * 86400))
		h := w.shop.derive(forHot, week*16+uint64(u.country), uint64(w.rng.IntN(3)))
		return &w.items[h%uint64(n)]
	case p < 12:
		return &w.items[n-1-w.rng.IntN(min(n, 40))]
	}
	in := w.byCat[cat]
	here := sort.SearchInts(in, n)
	if here == 0 {
		return &w.items[w.rng.IntN(n)]
	}
	var cands [8]*item
	var cum [8]int64
	var sum int64
	for i := range cands {
		cands[i] = &w.items[in[draw(w.rng, w.catCum[cat], here)]]
		sum += u.affinity(cands[i])
		cum[i] = sum
	}
	return cands[draw(w.rng, cum[:], len(cum))]
}

// affinity is how much more the user takes to the item than to one that fits in nothing.
func (u *user) affinity(it *item) int64 {
	a := int64(1)
	if slices.Contains(u.brands, it.brand) {
		a *= 4
	}
	if u.theme == it.theme {
		a *= 16
	}
	if u.level == it.level {
		a *= 3
	}
	return a
}

// look is one item's part of the funnel: view, click, wishlist, cart.
func (v *visit) look(it *item) {
	fits := v.u.affinity(it) > 2
	st := v.w.shop.state(it, it.version(v.now))
	v.behave(streams.View, it, 0, 0)
	if v.w.chance(30) {
		v.behave(streams.Click, it, 0, 0)
	}
	if v.w.chance(pick(fits, 7, 2)) {
		v.behave(streams.Wishlist, it, 0, 0)
	}
	if st.stock == 0 || !v.w.chance(pick(fits, 22, 9)+pick(v.u.big, 15, 0)) {
		return
	}
	quantity := int64(1)
	if v.w.chance(20) || v.u.big {
		quantity += int64(v.w.rng.IntN(3))
	}
	v.behave(streams.CartAdd, it, quantity, st.price)
	if v.w.chance(12) {
		v.behave(streams.CartRemove, it, quantity, st.price)
		return
	}
	for i := range v.cart {
		if v.cart[i].ItemID == it.id {
			v.cart[i].Quantity += quantity
			return
		}
	}
	v.cart = append(v.cart, streams.Line{ItemID: it.id, Quantity: quantity, Price: st.price})
}

func pick(yes bool, a, b int) int {
	if yes {
		return a
	}
	return b
}

// checkout turns six in ten filled carts into an order, which may be rated or sent back days later.
func (v *visit) checkout() {
	if len(v.cart) == 0 || !v.w.chance(60) {
		return
	}
	e := v.event(streams.Order)
	e.OrderID, e.Items, e.Currency = "o-"+v.id, v.cart, Currency
	v.w.push(e)
	if v.u.anon {
		return // a guest neither rates nor returns: nobody would know him
	}
	line := v.cart[v.w.rng.IntN(len(v.cart))]
	days := func(from, n int) time.Duration {
		return time.Duration(from*24)*time.Hour + time.Duration(v.w.rng.IntN(n*86400_000))*time.Millisecond
	}
	ordered := v.now
	if v.w.chance(15) {
		r := v.event(streams.Rating)
		r.Time, r.SessionID = ordered.Add(days(2, 6)), ""
		r.Items = []streams.Line{{ItemID: line.ItemID}}
		r.Rating = float64(v.stars(line.ItemID))
		v.w.push(r)
	}
	if v.w.chance(5) {
		r := v.event(streams.Return)
		r.Time, r.SessionID = ordered.Add(days(3, 8)), ""
		r.OrderID, r.Currency, r.Items = e.OrderID, Currency, []streams.Line{line}
		v.w.push(r)
	}
}

// stars are 1 to 5, higher when the item fits the user's taste.
func (v *visit) stars(id string) int {
	i, _ := number(id, itemPrefix)
	if v.u.affinity(&v.w.items[i]) > 2 {
		return 5 - min(v.w.rng.IntN(4), v.w.rng.IntN(4))
	}
	return 1 + v.w.rng.IntN(5)
}

// silentOrder is an order with a total and no lines.
func (v *visit) silentOrder() {
	e := v.event(streams.Order)
	total := int64(2000 + v.w.rng.IntN(28000))
	e.OrderID, e.Currency, e.Total = "o-"+v.id, Currency, &total
	e.SessionID = ""
	v.w.push(e)
}

func (v *visit) search() {
	c := &categories[v.focus]
	words := []string{c.noun, themes[v.u.theme] + " " + c.noun, brands[v.u.brands[0]]}
	e := v.event(streams.Search)
	e.Query = strings.ToLower(words[v.w.rng.IntN(len(words))])
	v.w.push(e)
}

func (v *visit) behave(t streams.Type, it *item, quantity, price int64) {
	e := v.event(t)
	e.Items = []streams.Line{{ItemID: it.id, Quantity: quantity, Price: price}}
	if price != 0 {
		e.Currency = Currency
	}
	v.w.push(e)
}

// event starts an event and lets the clock of the visit run on.
func (v *visit) event(t streams.Type) streams.Event {
	v.n++
	v.now = v.now.Add(time.Duration(2000+v.w.rng.IntN(45_000)) * time.Millisecond)
	e := streams.Event{ID: v.id + "-" + itoa36(uint64(v.n)), Type: t, Time: v.now, SessionID: v.id, Country: v.code}
	if v.u.anon {
		e.AnonymousID = v.u.id
	} else {
		e.UserID = v.u.id
	}
	return e
}

func itoa36(n uint64) string { return strconv.FormatUint(n, 36) }
