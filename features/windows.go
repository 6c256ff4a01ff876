package features

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sartorhq/sartor/streams"
)

// Windows are sums of buckets of event time: hours for windows up to two days, days beyond. A
// window of length W at the moment now takes every bucket from floor(now)-W on, so that it never
// covers less than it says and at most one bucket more.
const (
	day       = 24 * time.Hour
	maxHourly = 48 * time.Hour
	maxDaily  = 90 * day

	hourMillis = int64(time.Hour / time.Millisecond)
	dayMillis  = int64(day / time.Millisecond)

	// skew is how far ahead of now an event may be and still count: producers' clocks differ.
	skew = 5 * time.Minute

	// countryDays is the window of Item.SalesByCountry.
	countryDays = 7
)

// unit is the width of a bucket. Its value is part of the stored counter names.
type unit byte

// The units. Country buckets are days with a country in the name.
const (
	hourly  unit = 'h'
	daily   unit = 'd'
	country unit = 'c'
)

// measure is what a counter adds up. Its first letter is part of the stored counter names.
type measure string

// The measures. Ratings are kept in millionths of the producer's scale.
const (
	measureCount  measure = "count"
	measureUnits  measure = "units"
	measureAmount measure = "amount"
	measureRating measure = "rating"
)

// letter returns the prefix of the measure's counters: n, u, a, r.
func (m measure) letter() string {
	if m == measureCount {
		return "n"
	}
	return string(m[:1])
}

// Retention is how many whole buckets before that of an entity's newest event are kept, by unit.
// Older buckets are dropped once a day of event time, so that stored state stays bounded.
type Retention struct {
	Hours, Days, CountryDays int64
}

// bucketName returns the name of the counter's bucket: "u:order@d20089".
func bucketName(counter string, u unit, index int64) string {
	b := make([]byte, 0, len(counter)+10)
	b = append(b, counter...)
	b = append(b, '@', byte(u))
	return string(strconv.AppendInt(b, index, 10))
}

// countryBucket returns the name of a day's units of a country: "u:order@c20089/DE".
func countryBucket(index int64, code string) string {
	return bucketName("u:order", country, index) + "/" + code
}

// parseBucket splits a bucket's name into unit, index and what follows the index.
func parseBucket(name string) (u unit, index int64, rest string, ok bool) {
	at := strings.IndexByte(name, '@')
	if at < 0 || at+2 > len(name) || strings.HasPrefix(name, visitorPrefix) {
		return 0, 0, "", false
	}
	u = unit(name[at+1])
	if u != hourly && u != daily && u != country {
		return 0, 0, "", false
	}
	end := at + 2
	for end < len(name) && name[end] >= '0' && name[end] <= '9' {
		end++
	}
	index, err := strconv.ParseInt(name[at+2:end], 10, 64)
	if err != nil {
		return 0, 0, "", false
	}
	return u, index, name[end:], true
}

// floorDiv divides towards minus infinity, so that times before 1970 fall into the right bucket.
func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// cutoff returns the lowest bucket index that is kept when the newest event is at clock.
func (r Retention) cutoff(u unit, clock int64) int64 {
	d := floorDiv(clock, dayMillis)
	switch u {
	case hourly:
		return d*24 - r.Hours
	case daily:
		return d - r.Days
	case country:
		return d - r.CountryDays
	}
	return math.MinInt64
}

// span is a window at a moment: the buckets first..last of a unit and the time they cover.
type span struct {
	unit        unit
	first, last int64
	covered     time.Duration
}

func spanOf(window time.Duration, now time.Time) span {
	u, width := daily, dayMillis
	if window <= maxHourly {
		u, width = hourly, hourMillis
	}
	ms := now.UnixMilli()
	n := int64(window/time.Millisecond) / width
	first := floorDiv(ms, width) - n
	return span{
		unit: u, first: first, last: floorDiv(ms+int64(skew/time.Millisecond), width),
		covered: time.Duration(ms-first*width) * time.Millisecond,
	}
}

// total adds up the counter of a measure, event type and filter's suffix over its whole life (window
// 0) or a window. It runs several times per field of every request, so names are built in one buffer.
func (st *State) total(m measure, t streams.Type, suffix string, window time.Duration, now time.Time) int64 {
	if st == nil || len(st.Counters) == 0 {
		return 0
	}
	var space [64]byte
	name := append(append(append(append(space[:0], m.letter()...), ':'), t...), suffix...)
	if window == 0 {
		return st.Counters[string(name)]
	}
	w := spanOf(window, now)
	name = append(name, '@', byte(w.unit))
	if w.last-w.first >= int64(len(st.Counters)) { // most windows are longer than what most users did
		if out, ok := st.sum(string(name), w); ok {
			return out
		}
	}
	var out int64
	for i := w.first; i <= w.last; i++ {
		out = addSaturated(out, st.Counters[string(strconv.AppendInt(name, i, 10))])
	}
	return out
}

// sum adds up the buckets of a window by going through the counters that there are. It gives up where a sum
// might not fit: then the order of the buckets decides what comes out.
func (st *State) sum(prefix string, w span) (out int64, ok bool) {
	size := uint64(0)
	for name, v := range st.Counters {
		if len(name) <= len(prefix) || name[:len(prefix)] != prefix {
			continue
		}
		if at, ok := bucketIndex(name[len(prefix):]); !ok || at < w.first || at > w.last {
			continue
		}
		abs := uint64(v)
		if v < 0 {
			abs = -abs
		}
		if size += abs; size > math.MaxInt64 || abs > math.MaxInt64 {
			return 0, false
		}
		out += v
	}
	return out, true
}

// bucketIndex reads an index as strconv writes it, and nothing else.
func bucketIndex(s string) (index int64, ok bool) {
	digits := strings.TrimPrefix(s, "-")
	if len(digits) == 0 || len(digits) > 18 || digits[0] == '0' && len(s) > 1 {
		return 0, false
	}
	for _, b := range []byte(digits) {
		if b < '0' || b > '9' {
			return 0, false
		}
		index = 10*index + int64(b-'0')
	}
	if len(digits) < len(s) {
		index = -index
	}
	return index, true
}

// measured adds up events minus others of one measure in the schema's own currency.
func (st *State) measured(m measure, events, minus []streams.Type, window time.Duration, now time.Time) int64 {
	return st.filtered(m, events, minus, "", window, now)
}

// filtered is measured for the events that meet a filter, which its suffix names.
func (st *State) filtered(m measure, events, minus []streams.Type, suffix string, window time.Duration, now time.Time) int64 {
	var out int64
	for _, t := range events {
		out = addSaturated(out, st.total(m, t, suffix, window, now))
	}
	for _, t := range minus {
		out = addSaturated(out, -st.total(m, t, suffix, window, now))
	}
	return out
}

// addSaturated adds without wrapping around.
func addSaturated(a, b int64) int64 {
	c := a + b
	switch {
	case b > 0 && c < a:
		return math.MaxInt64
	case b < 0 && c > a:
		return math.MinInt64
	}
	return c
}

// counted tells whether events of the type change aggregates.
func counted(t streams.Type) bool { return slices.Contains(countedTypes(), t) }

// countedTypes lists the types that change aggregates.
func countedTypes() []streams.Type {
	return []streams.Type{streams.View, streams.Click, streams.CartAdd, streams.CartRemove, streams.Search,
		streams.Wishlist, streams.Rating, streams.Order, streams.Return, streams.Exposure}
}
