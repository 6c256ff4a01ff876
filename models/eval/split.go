package eval

import (
	"math"
	"slices"
)

// CutAt returns the time that parts off the newest share of the events: events at or after it are
// held out. All events of one moment fall on the same side, so that the share is a little smaller or
// larger when times repeat. At least one event stays before the cut when not all times are equal.
func CutAt(times []int64, share float64) int64 {
	if len(times) == 0 {
		return math.MaxInt64
	}
	sorted := slices.Clone(times)
	slices.Sort(sorted)
	at := len(sorted) - int(math.Round(share*float64(len(sorted))))
	if at >= len(sorted) {
		return sorted[len(sorted)-1] + 1
	}
	cut := sorted[max(at, 0)]
	if cut == sorted[0] {
		// The oldest moment stays in front; the next one is the cut.
		if next, _ := slices.BinarySearch(sorted, cut+1); next < len(sorted) {
			cut = sorted[next]
		}
	}
	return cut
}

// Since marks the events at or after the cut.
func Since(times []int64, cut int64) []bool {
	hold := make([]bool, len(times))
	for i, t := range times {
		hold[i] = t >= cut
	}
	return hold
}

// LastOfEach marks the newest share of each user's events, rounded down but at least one of those who
// have two; the order of events with equal times is that of the slice. users[i] and times[i] belong to
// event i.
func LastOfEach(users []int32, times []int64, share float64) []bool {
	order := make([]int, len(users))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		if users[a] != users[b] {
			return int(users[a]) - int(users[b])
		}
		switch {
		case times[a] < times[b]:
			return -1
		case times[a] > times[b]:
			return 1
		}
		return 0
	})
	hold := make([]bool, len(users))
	for lo := 0; lo < len(order); {
		hi := lo
		for hi < len(order) && users[order[hi]] == users[order[lo]] {
			hi++
		}
		n := int(share * float64(hi-lo))
		if n == 0 && share > 0 && hi-lo >= 2 {
			n = 1
		}
		for _, i := range order[hi-n : hi] {
			hold[i] = true
		}
		lo = hi
	}
	return hold
}
