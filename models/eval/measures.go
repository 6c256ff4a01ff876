// Package eval is the arithmetic of offline evaluation: where to cut a log in time, how good a ranking
// is, and how sure one can be. Pure functions; it ranks nothing itself and knows no model.
package eval

import (
	"math"
	"slices"
)

// Measures says how good one user's ranking is, or the mean over users.
type Measures struct {
	// Recall is the share of the relevant items among the first k.
	Recall float64
	// NDCG is the discounted gain of the hits, each 1/log2(place+1), as a share of the best possible,
	// which has min(k, relevant) hits in front.
	NDCG float64
	// MRR is 1/place of the first hit, 0 without one.
	MRR float64
	// Hit is 1 when there is a hit.
	Hit float64
	// AP is the average precision: the mean over min(k, relevant) of the share of hits up to each hit.
	AP float64
}

// Measure compares the first k places of ranked, best first, with the relevant items. ranked holds no
// item twice; an empty relevant set measures 0, and such users are best left out.
func Measure(ranked, relevant []int32, k int) Measures {
	if len(relevant) == 0 || k <= 0 {
		return Measures{}
	}
	var m Measures
	hits := 0
	for place, item := range ranked[:min(k, len(ranked))] {
		if !slices.Contains(relevant, item) {
			continue
		}
		if hits == 0 {
			m.MRR, m.Hit = 1/float64(place+1), 1
		}
		hits++
		m.NDCG += discount(place)
		m.AP += float64(hits) / float64(place+1)
	}
	m.AP /= float64(min(k, len(relevant)))
	ideal := 0.0
	for place := range min(k, len(relevant)) {
		ideal += discount(place)
	}
	m.Recall, m.NDCG = float64(hits)/float64(len(relevant)), m.NDCG/ideal
	return m
}

// discount is the gain of a hit at the place, counted from 0.
func discount(place int) float64 { return 1 / math.Log2(float64(place+2)) }

// Mean averages over users.
func Mean(all []Measures) Measures {
	var m Measures
	for _, x := range all {
		m.Recall += x.Recall
		m.NDCG += x.NDCG
		m.MRR += x.MRR
		m.Hit += x.Hit
		m.AP += x.AP
	}
	n := float64(max(len(all), 1))
	return Measures{Recall: m.Recall / n, NDCG: m.NDCG / n, MRR: m.MRR / n, Hit: m.Hit / n, AP: m.AP / n}
}

// Coverage returns the share of the items that stand in at least one of the lists.
func Coverage(lists [][]int32, items int) float64 {
	if items <= 0 {
		return 0
	}
	seen := make(map[int32]struct{}, items)
	for _, list := range lists {
		for _, item := range list {
			seen[item] = struct{}{}
		}
	}
	return float64(len(seen)) / float64(items)
}
