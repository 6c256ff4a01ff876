package rules

import (
	"hash/fnv"
	"strconv"
)

// bucketCount is the number of buckets that users fall into.
const bucketCount = 10_000

// bucket places an id in one of 10,000 buckets, as GrowthBook's second hash version does: FNV-1a
// of the decimal digits of FNV-1a of seed and id. It spreads alike-looking seeds independently.
func bucket(seed, id string) int {
	return int(fnv32a(strconv.FormatUint(uint64(fnv32a(seed+id)), 10)) % bucketCount)
}

func fnv32a(s string) uint32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(s)) // never fails
	return h.Sum32()
}

// userPart splits users into equal parts: the part of one user, counted from zero.
func userPart(salt string, parts int, id string) int { return bucket(salt, id) * parts / bucketCount }
