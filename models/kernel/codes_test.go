package kernel

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// passKernel is a form of CodesAbove or CoarseAbove; single tells whether it has one digit only.
type passKernel struct {
	single bool
	look   func(out *Passed, q *Query, b Blocks, floor float32) int
}

// inCalls makes of a form that appends one that looks at half of the blocks and then at the others.
func inCalls(some func(out *Passed, n, at int, q *Query, b Blocks, floor float32) int, perBlock int) func(out *Passed, q *Query, b Blocks, floor float32) int {
	return func(out *Passed, q *Query, b Blocks, floor float32) int {
		blocks, bytes, n := len(b.Words), len(q.High)*perBlock/8, 0
		half := (blocks + 1) / 2
		for _, at := range []int{0, half} {
			if part := b.part(at, half, bytes); len(part.Words) > 0 {
				n = some(out, n, at*CodeRows, q, part, floor)
			}
		}
		return n
	}
}

// checkPasses holds every form of a kernel against the sums high and low of either digit, without their biases.
func checkPasses(t *testing.T, rng *rand.Rand, name string, forms map[string]passKernel, q Query, codes []byte, high, low []int64) {
	t.Helper()
	rows := len(high)
	scale, adds, words := random(rng, rows), random(rng, rows/CodeRows), make([]uint64, rows/CodeRows)
	for i := range words {
		if words[i] = ^uint64(0); rng.IntN(2) == 0 {
			words[i] = rng.Uint64()
		}
	}
	q.Bias, q.LowBias = int32(rng.IntN(1000)-500), int32(rng.IntN(1000)-500)
	single := q
	single.Low, single.LowBias = nil, 0
	first := 64 * rng.IntN(5)
	for form, f := range forms {
		for _, query := range []Query{q, single} {
			if f.single && query.Low != nil {
				continue
			}
			sums, scores := make([]float32, rows), make([]float32, rows)
			for i := range sums {
				if sums[i] = float32(high[i] + int64(query.Bias)); query.Low != nil {
					sums[i] += float32(low[i]+int64(query.LowBias)) / 256
				}
				scores[i] = (sums[i] + adds[i/CodeRows]) * scale[i]
			}
			sorted := slices.Clone(scores)
			slices.Sort(sorted)
			floors := []float32{float32(math.Inf(-1)), float32(math.Inf(1))}
			if rows > 0 {
				floors = append(floors, sorted[rows/2], sorted[rows-3], 0)
			}
			for _, floor := range floors {
				var want []int32
				for i, s := range scores {
					if s > floor && words[i/64]>>(i%64)&1 != 0 {
						want = append(want, int32(first+i))
					}
				}
				var out Passed
				n := f.look(&out, &query, Blocks{Codes: codes, Scale: scale, Adds: adds, Words: words, First: first}, floor)
				if !slices.Equal(out.Rows[:n], want) || !slices.Equal(out.Sums[:rows], sums) {
					t.Fatalf("%s, %s, %d bytes of query, %d rows, floor %v:\n got %v %v\nwant %v %v", name, form, len(q.High), rows, floor, out.Rows[:n], out.Sums[:rows], want, sums)
				}
			}
		}
	}
}

func TestCodesEqualTheDefinition(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 1))
	for _, dim := range []int{1, 4, 7, 16, 50, 64, 128, 300, 1027} {
		for _, rows := range []int{0, 64, 128, 640, PassRows} {
			groups := Groups(dim)
			q, codes := Query{High: make([]int8, groups*4), Low: make([]int8, groups*4)}, make([]byte, CodesLen(rows, dim))
			for j := range q.High {
				q.High[j], q.Low[j] = int8(rng.IntN(255)-127), int8(rng.IntN(255)-127)
				if dim == 128 {
					q.High[j], q.Low[j] = 127, -127 // the largest sums
				}
			}
			for i := range codes {
				if codes[i] = byte(rng.IntN(256)); dim == 128 {
					codes[i] = 255
				}
			}
			high, low := make([]int64, rows), make([]int64, rows)
			for i := range rows {
				for j := range q.High {
					c := int64(codes[CodeAt(i, j, groups)])
					high[i] += int64(q.High[j]) * c
					low[i] += int64(q.Low[j]) * c
				}
			}
			checkPasses(t, rng, "whole codes", codeKernels(), q, codes, high, low)
		}
	}
}

// TestPassedNeedsRoom looks at more rows than there is room for: it must panic, not write beyond.
func TestPassedNeedsRoom(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("too many blocks were looked at")
		}
	}()
	const blocks = PassRows/CodeRows + 1
	q := Query{High: make([]int8, 8), Low: make([]int8, 8)}
	CodesAbove(new(Passed), &q, Blocks{make([]byte, blocks*CodeRows*8), make([]float32, blocks*CodeRows), make([]float32, blocks), make([]uint64, blocks), 0}, 0)
}

func TestNarrowEqualsItsTwin(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 1))
	for _, n := range []int{0, 1, 15, 16, 17, 33, 200} {
		const first, count = 128, 256
		sums, scale, ids, more := random(rng, count), random(rng, count), make([]int32, n), make([]int32, n)
		for i := range ids {
			ids[i], more[i] = first+int32(rng.IntN(count)), int32(rng.IntN(9)-4)
		}
		for _, floor := range []float32{float32(math.Inf(-1)), 0, 1.5} {
			by := Narrowing{First: first, Bias: 1, Width: 2.5, Floor: floor}
			rows, highs, lows := make([]int32, n+16), make([]float32, n+16), make([]float32, n+16)
			got := Narrow(rows, highs, lows, ids, sums, scale, more, by)
			slowRows, slowHighs, slowLows := make([]int32, n+16), make([]float32, n+16), make([]float32, n+16)
			want := narrowGeneric(slowRows, slowHighs, slowLows, ids, sums, scale, more, by)
			if got != want || !slices.Equal(rows[:got], slowRows[:want]) || !slices.Equal(highs[:got], slowHighs[:want]) || !slices.Equal(lows[:got], slowLows[:want]) {
				t.Fatalf("%d rows above %v: the twins differ: %v and %v", n, floor, rows[:got], slowRows[:want])
			}
			expected := 0
			for i, id := range ids {
				at := id - first
				if high := (sums[at] + float32(more[i]+1) + 2.5) * scale[at]; high > floor {
					if rows[expected] != id || highs[expected] != high || lows[expected] != (sums[at]+float32(more[i]+1)-2.5)*scale[at] {
						t.Fatalf("row %d is wrong", id)
					}
					expected++
				}
			}
			if got != expected {
				t.Fatalf("%d rows above %v: %d pass, want %d", n, floor, got, expected)
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
