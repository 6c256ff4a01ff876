package eval

import (
	"math/rand/v2"
	"slices"
)

// What follows is for protocols of old tables only: a ranking among a few items drawn at random flatters a
// model that knows what is popular, and does not order models as a ranking of all items does (Krichene and
// Rendle, KDD 2020).

// RandomOfEach marks one event of each user who has two or more, drawn uniformly: leave-one-out without
// regard to time. users[i] belongs to event i. The same users and seed give the same marks.
func RandomOfEach(users []int32, seed uint64) []bool {
	rng := rand.New(rand.NewPCG(seed, 0x1ea7e))
	count, drawn := map[int32]int{}, map[int32]int{}
	for i, u := range users {
		count[u]++
		if rng.IntN(count[u]) == 0 { // keeps each event so far with the same chance
			drawn[u] = i
		}
	}
	hold := make([]bool, len(users))
	for u, i := range drawn {
		hold[i] = count[u] > 1
	}
	return hold
}

// SampleUnseen draws n different ones of the items 0..items-1, each as likely as any other, that are in
// none of the lists of skip, which are sorted. It returns all there are, in ascending order, where these are
// no more than n. The same arguments give the same items; user tells apart the draws of one seed.
func SampleUnseen(seed uint64, user int32, n, items int, skip ...[]int32) []int32 {
	skipped := func(item int32) bool {
		return slices.ContainsFunc(skip, func(list []int32) bool {
			_, in := slices.BinarySearch(list, item)
			return in
		})
	}
	left := make([]int32, 0, items)
	for item := range int32(items) {
		if !skipped(item) {
			left = append(left, item)
		}
	}
	if len(left) <= n {
		return left
	}
	rng := rand.New(rand.NewPCG(seed, 0x5a3b1e<<32|uint64(uint32(user))))
	for i := range n { // the first n of a shuffle
		j := i + rng.IntN(len(left)-i)
		left[i], left[j] = left[j], left[i]
	}
	return left[:n]
}
