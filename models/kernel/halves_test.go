package kernel

import (
	"math/rand/v2"
	"slices"
	"testing"
)

func coarseWith(ahead int) passKernel {
	return passKernel{look: func(out *Passed, q *Query, b Blocks, floor float32) int { return CoarseAbove(out, q, b, floor, ahead) }}
}

// half returns the code of dimension j of a row: four bits of the byte that holds it.
func half(bytes []byte, at, j int) int64 {
	c := bytes[at+j%4]
	if j%8 >= 4 {
		return int64(c >> 4)
	}
	return int64(c & 15)
}

// halvesOf makes random codes of both kinds and a query; extreme makes all of them the largest.
func halvesOf(rng *rand.Rand, rows, dim int, extreme bool) (query []int8, coarse, fine []byte) {
	query, coarse, fine = make([]int8, HalfGroups(dim)*8), make([]byte, CoarseLen(rows, dim)), make([]byte, FineLen(rows, dim))
	for j := range query {
		if query[j] = int8(rng.IntN(255) - 127); extreme {
			query[j] = 127
		}
	}
	for _, codes := range [][]byte{coarse, fine} {
		for i := range codes {
			if codes[i] = byte(rng.IntN(256)); extreme {
				codes[i] = 255
			}
		}
	}
	return query, coarse, fine
}

// checkHalves holds every form of both kernels against sums in the order of the definition, in 64 bits.
func checkHalves(t *testing.T, rng *rand.Rand, rows, dim int, extreme bool) {
	t.Helper()
	groups := HalfGroups(dim)
	query, coarse, fine := halvesOf(rng, rows, dim, extreme)
	low, _, _ := halvesOf(rng, 0, dim, extreme)
	high, second, ids, sums := make([]int64, rows), make([]int64, rows), make([]int32, 0, 2*rows), make([]int32, 0, 2*rows)
	for i := range rows {
		lower := int64(0)
		for j, q := range query {
			h := 16 * half(coarse, CoarseAt(i, j/8, groups), j)
			high[i] += int64(q) * h
			second[i] += int64(low[j]) * h
			lower += int64(q) * half(fine, FineAt(i, j/8, groups), j)
		}
		for range rng.IntN(3) { // some rows not at all, some twice
			ids, sums = append(ids, int32(i)), append(sums, int32(lower))
		}
	}
	checkPasses(t, rng, "upper halves", coarseKernels(), Query{High: query, Low: low}, coarse, high, second)
	rng.Shuffle(len(ids), func(i, j int) { ids[i], ids[j], sums[i], sums[j] = ids[j], ids[i], sums[j], sums[i] })
	planar, got := Planar(query, nil), make([]int32, len(ids))
	if FineSums(got, planar, fine, ids, groups); !slices.Equal(got, sums) {
		t.Fatalf("the lower halves, dim %d, %d rows:\n got %v\nwant %v", dim, rows, got, sums)
	}
	if fineGeneric(got, planar, fine, ids, groups); !slices.Equal(got, sums) {
		t.Fatalf("the lower halves in Go, dim %d, %d rows:\n got %v\nwant %v", dim, rows, got, sums)
	}
}

func TestHalvesEqualTheDefinition(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 1))
	for _, dim := range []int{1, 4, 7, 8, 9, 16, 24, 32, 33, 50, 64, 72, 128, 136, 300, 1027, 4096} {
		for _, rows := range []int{0, 64, 128, 640} {
			checkHalves(t, rng, rows, dim, false)
			checkHalves(t, rng, rows, dim, true)
		}
	}
}

func FuzzHalves(f *testing.F) {
	f.Add(uint64(1), uint8(1), uint16(64), false)
	f.Add(uint64(2), uint8(3), uint16(65), true)
	f.Fuzz(func(t *testing.T, seed uint64, blocks uint8, dim uint16, extreme bool) {
		checkHalves(t, rand.New(rand.NewPCG(seed, 2)), int(blocks%8)*CodeRows, int(dim%400)+1, extreme)
	})
}

// TestFetchTakesAnything: asking for memory never fails, wherever it lies.
func TestFetchTakesAnything(t *testing.T) {
	for _, ids := range [][]int32{nil, {0}, {3, 1 << 30, -1 << 30, -1}} {
		Fetch([]byte{1, 2, 3}, ids, 3)
		Fetch(make([]float32, 100), ids, 10)
	}
	Fetch([]float32(nil), []int32{0}, 64)
	Fetch([]byte{1}, []int32{0}, 0)
}

// TestFineSumsStayInside asks for a row that is not there: it must panic, not read beyond.
func TestFineSumsStayInside(t *testing.T) {
	for _, id := range []int32{-1, 10, 1 << 30} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("row %d of 10 was summed", id)
				}
			}()
			FineSums(make([]int32, 1), Planar(make([]int8, 64), nil), make([]byte, FineLen(10, 64)), []int32{id}, 8)
		}()
	}
}
