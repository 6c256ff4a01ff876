package kernel

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// codesReference sums in the order of the definition, in 64 bits.
func codesReference(scores []float32, query []int8, codes []byte, scale []float32, add float32) {
	for i := range scores {
		var sum int64
		for j, q := range query {
			sum += int64(q) * (int64(codes[CodeAt(i, j, len(query)/4)]) - 128)
		}
		scores[i] = (float32(sum) + add) * scale[i]
	}
}

func TestCodesEqualTheDefinition(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 1))
	for _, dim := range []int{1, 4, 7, 16, 50, 64, 128, 300, 1027} {
		for _, rows := range []int{0, 64, 128, 640} {
			groups := Groups(dim)
			query, codes, scale := make([]int8, groups*4), make([]byte, CodesLen(rows, dim)), random(rng, rows)
			var bias int32
			for j := range query {
				query[j] = int8(rng.IntN(255) - 127)
				if dim == 128 {
					query[j] = 127 // the largest sums
				}
				bias -= 128 * int32(query[j])
			}
			for i := range codes {
				codes[i] = byte(rng.IntN(256))
				if dim == 128 {
					codes[i] = 255
				}
			}
			want := make([]float32, rows)
			codesReference(want, query, codes, scale, 17.5)
			for name, f := range codeKernels() {
				got := make([]float32, rows)
				if rows > 0 {
					f(got, query, codes, scale, bias, 17.5)
				}
				if !slices.Equal(got, want) {
					t.Fatalf("%s, dim %d, %d rows:\n got %v\nwant %v", name, dim, rows, got, want)
				}
			}
		}
	}
}

func TestMaskAbove(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 1))
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	for _, words := range []int{0, 1, 2, 16} {
		scores := random(rng, 64*words)
		for i := range scores {
			switch rng.IntN(20) {
			case 0:
				scores[i] = nan
			case 1:
				scores[i] = inf
			case 2:
				scores[i] = -inf
			case 3:
				scores[i] = 0.5
			}
		}
		for _, floor := range []float32{-inf, -1, 0.5, inf, nan} {
			got, slow := make([]uint64, words), make([]uint64, words)
			MaskAbove(got, scores, floor)
			maskGeneric(slow, scores, floor)
			for i, s := range scores {
				if has := got[i/64]>>(i%64)&1 != 0; has != (s > floor) {
					t.Fatalf("score %v above %v: %v", s, floor, has)
				}
			}
			if !slices.Equal(got, slow) {
				t.Fatal("the twins differ")
			}
		}
	}
}

type codeKernel func(scores []float32, query []int8, codes []byte, scale []float32, bias int32, add float32)
