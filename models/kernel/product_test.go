package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// multiplied packs and multiplies in one go, dividing the rows as given.
func multiplied(m, n, k int, a Matrix, ta bool, b Matrix, tb bool, cuts ...int) []float32 {
	c := Matrix{Data: slices.Repeat([]float32{float32(math.NaN())}, m*(n+3)), Dim: n, Stride: n + 3}
	var p Packed
	p.Reset(k, n)
	for i := range p.Panels() {
		p.Fill(i, i+1, b, tb)
	}
	var w Work
	lo := 0
	for _, hi := range append(cuts, m) {
		Multiply(c, lo, hi, a, ta, &p, &w)
		lo = hi
	}
	out := make([]float32, 0, m*n)
	for i := range m {
		out = append(out, c.Row(i)...)
	}
	return out
}

func stored(rng *rand.Rand, rows, cols int) Matrix {
	return Matrix{Data: random(rng, rows*(cols+5)), Dim: cols, Stride: cols + 5}
}

func TestMultiplyAgainstTheDefinition(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 4))
	for _, size := range [][3]int{{1, 1, 1}, {12, 32, 8}, {13, 33, 7}, {100, 70, 40}, {7, 16, 600}, {97, 5, 257}, {1030, 40, 9}} {
		for form := range 4 {
			m, n, k := size[0], size[1], size[2]
			ta, tb := form&1 != 0, form&2 != 0
			a, b := stored(rng, m, k), stored(rng, k, n)
			if ta {
				a = stored(rng, k, m)
			}
			if tb {
				b = stored(rng, n, k)
			}
			got := multiplied(m, n, k, a, ta, b, tb)
			at := func(x Matrix, turned bool, i, j int) float64 {
				if turned {
					i, j = j, i
				}
				return float64(x.Row(i)[j])
			}
			for i := range m {
				for j := range n {
					want, size := 0.0, 0.0
					for p := range k {
						v := at(a, ta, i, p) * at(b, tb, p, j)
						want += v
						size += math.Abs(v)
					}
					near(t, fmt.Sprint(m, n, k, " form ", form, " at ", i, j), got[i*n+j], want, size)
				}
			}
		}
	}
}

func TestMultiplyDoesNotDependOnHowRowsAreDivided(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 4))
	a, b := stored(rng, 120, 300), stored(rng, 300, 50)
	want := multiplied(120, 50, 300, a, false, b, false)
	for _, cuts := range [][]int{{1}, {60}, {5, 17, 99, 100}} {
		if got := multiplied(120, 50, 300, a, false, b, false, cuts...); !slices.Equal(got, want) {
			t.Errorf("cut at %v: other bits", cuts)
		}
	}
}

func TestMulTileAgainstItsTwin(t *testing.T) {
	rng := rand.New(rand.NewPCG(6, 4))
	whole, width := tileShape()
	for n := 1; n <= whole; n++ {
		height := tileHeight(n)
		if height < n || height > whole {
			t.Fatalf("%d rows in a tile of %d", n, height)
		}
		for _, k := range []int{1, 2, 7, 64, 256} {
			for form := range 4 {
				row, step := k+form, 1
				if form > 1 {
					row, step = 1, height+form
				}
				ldb, ldc, add := width+form, width+3, form&1 != 0
				a, b := random(rng, height*row+k*step), random(rng, k*ldb)
				fast := random(rng, whole*ldc)
				slow := slices.Clone(fast)
				mulTile(height, a, row, step, b, ldb, fast, ldc, k, add)
				mulTileGeneric(a, row, step, b, ldb, slow, ldc, k, add, height, width)
				for i := range fast {
					near(t, "mulTile", fast[i], float64(slow[i]), float64(k))
				}
			}
		}
	}
}

func TestPackLeftAgainstItsTwin(t *testing.T) {
	rng := rand.New(rand.NewPCG(12, 4))
	height, _ := tileShape()
	for n := 1; n <= chunk; n += 1 + rng.IntN(3) {
		k, step := 1+rng.IntN(40), n+rng.IntN(5)
		from := random(rng, (k-1)*step+n)
		need := (n + height - 1) / height * height * k
		fast := random(rng, need+1)
		slow := slices.Clone(fast)
		packLeft(fast[:need], from, step, k, n)
		packLeftGeneric(slow[:need], from, step, k, n, height)
		if !slices.Equal(fast, slow) {
			t.Fatalf("%d columns, %d rows: other numbers", n, k)
		}
	}
}

func TestPackRightAgainstItsTwin(t *testing.T) {
	rng := rand.New(rand.NewPCG(13, 4))
	_, width := tileShape()
	for range 60 {
		k, panels := 1+rng.IntN(40), 1+rng.IntN(6)
		step := panels*width + rng.IntN(9)
		from := random(rng, (k-1)*step+panels*width)
		fast := random(rng, panels*width*k+1)
		slow := slices.Clone(fast)
		packRight(fast[:panels*width*k], from, step, k, panels)
		packRightGeneric(slow[:panels*width*k], from, step, k, panels, width)
		if !slices.Equal(fast, slow) {
			t.Fatalf("%d panels, %d rows: other numbers", panels, k)
		}
	}
}

func TestTurnRightAgainstItsTwin(t *testing.T) {
	rng := rand.New(rand.NewPCG(14, 4))
	_, width := tileShape()
	for squares := 1; squares <= 5; squares++ {
		step := squares*square + rng.IntN(9)
		from := random(rng, (square-1)*step+squares*square)
		need := (squares*square-1)*width + square
		fast := random(rng, need+1)
		slow := slices.Clone(fast)
		turnRight(fast[:need], from, step, squares)
		turnRightGeneric(slow[:need], from, step, squares, width)
		if !slices.Equal(fast, slow) {
			t.Fatalf("%d squares: other numbers", squares)
		}
	}
}

// Packing by columns gives what packing the turned matrix gives, in every shape.
func TestFillTurnsTheRightSide(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k, n := rapid.IntRange(1, 600).Draw(t, "k"), rapid.IntRange(1, 140).Draw(t, "n")
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		plain, turned := stored(rng, k, n), stored(rng, n, k)
		for i := range k {
			for j := range n {
				turned.Row(j)[i] = plain.Row(i)[j]
			}
		}
		var p, q Packed
		p.Reset(k, n)
		q.Reset(k, n)
		cut := rapid.IntRange(0, p.Panels()).Draw(t, "cut")
		for _, part := range [][2]int{{cut, p.Panels()}, {0, cut}} {
			p.Fill(part[0], part[1], plain, false)
			q.Fill(part[0], part[1], turned, true)
		}
		if !slices.Equal(p.data, q.data) {
			t.Fatalf("%d x %d: turned while it is packed, the numbers are others", k, n)
		}
	})
}

func TestAViewIsTheSameAsAPackedSide(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 4))
	for _, size := range [][3]int{{25, 64, 300}, {7, 32, 1}, {13, 33, 40}, {5, 64, 0}, {70, 96, 513}} {
		m, n, k := size[0], size[1], size[2]
		a, b := stored(rng, m, k), stored(rng, k, n)
		want := multiplied(m, n, k, a, false, b, false)
		var p Packed
		p.View(b, k)
		c := stored(rng, m, n)
		Multiply(c, 0, m, a, false, &p, &Work{})
		for i := range m {
			if !slices.Equal(c.Row(i), want[i*n:(i+1)*n]) {
				t.Fatalf("%v: row %d has other bits", size, i)
			}
		}
	}
}

func TestMultiplyAddGoesOn(t *testing.T) {
	rng := rand.New(rand.NewPCG(8, 4))
	for _, size := range [][3]int{{25, 33, 300}, {12, 32, 64}, {1, 1, 1}, {3, 5, 0}} {
		m, n, k := size[0], size[1], size[2]
		a, b := stored(rng, m, k), stored(rng, k, n)
		product := multiplied(m, n, k, a, false, b, false)
		var p Packed
		p.Reset(k, n)
		p.Fill(0, p.Panels(), b, false)
		c := stored(rng, m, n)
		before := slices.Clone(c.Data)
		MultiplyAdd(c, 0, m, a, false, &p, &Work{})
		for i := range m {
			for j := range n {
				near(t, "MultiplyAdd", c.Row(i)[j], float64(before[i*c.Stride+j])+float64(product[i*n+j]), float64(k+1))
			}
		}
	}
}

func TestAdamAgainstItsTwinAndByHand(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 4))
	for _, n := range []int{1, 7, 8, 9, 64, 71} {
		x, m, v := random(rng, n), make([]float32, n), make([]float32, n)
		x2, m2, v2 := slices.Clone(x), slices.Clone(m), slices.Clone(v)
		for step := 1; step <= 4; step++ {
			g := random(rng, n)
			NewAdam(0.01, step).Step(x, m, v, g)
			NewAdam(0.01, step).stepGeneric(x2, m2, v2, g)
			for i := range x {
				near(t, "Adam", x[i], float64(x2[i]), math.Abs(float64(x2[i]))+1)
			}
		}
	}
	// The first step moves by the learning rate against the sign of the gradient, whatever its size.
	x, zero := []float32{1, 1, 1, 1, 1, 1, 1, 1}, make([]float32, 8)
	NewAdam(0.125, 1).Step(x, slices.Clone(zero), slices.Clone(zero), []float32{3, -3, 1e-3, -1e-3, 1e3, -1e3, 5, 0})
	for i, want := range []float64{0.875, 1.125, 0.875, 1.125, 0.875, 1.125, 0.875, 1} {
		if math.Abs(float64(x[i])-want) > 1e-4 {
			t.Errorf("first step %d to %v, want %v", i, x[i], want)
		}
	}
}

func TestExpAgainstMath(t *testing.T) {
	for _, n := range []int{0, 1, 7, 8, 9, 900} {
		x, want, sum := make([]float32, n), make([]float64, n), 0.0
		for i := range x {
			x[i] = float32(i)*0.2 - 100
			want[i] = math.Exp(min(max(float64(x[i]*0.9+1), minExp), maxExp))
			sum += want[i]
		}
		got := Exp(x, 0.9, 1)
		for i := range x {
			if math.Abs(float64(x[i])-want[i]) > 1e-5*want[i] {
				t.Fatalf("e^%v = %v, want %v", (float64(i)*0.2-100)*0.9+1, x[i], want[i])
			}
		}
		if math.Abs(float64(got)-sum) > 1e-5*sum {
			t.Errorf("sum %v, want %v", got, sum)
		}
	}
}

// laidOut returns a matrix as training keeps it: rows begin with a line of the cache, and do not all share
// one set of it.
func laidOut(rng *rand.Rand, rows, cols int) Matrix {
	stride := (cols + 15) &^ 15
	if stride%1024 == 0 {
		stride += 16
	}
	return Matrix{Data: random(rng, rows*stride), Dim: cols, Stride: stride}
}

// BenchmarkLearn prints the rates of the kernels of training beside the peak of the same moment, which is what
// the tile's multiplications reach when there is nothing to wait for.
func BenchmarkLearn(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 1))
	height, width := tileShape()
	a, p, c := random(rng, height), random(rng, width), make([]float32, height*width)
	limit := func() { mulTile(height, a, 1, 0, p, 0, c, width, 4096, false) } // of one step over and over
	const (
		packed  = iota // the right side is packed once for many products, as weights are
		fills          // it is packed for each product
		columns        // and is stored with its columns as rows
		lies           // it is read where it lies, the left side stored with its rows as columns
	)
	for _, c := range []struct{ m, n, k, form int }{
		{256, 3300, 256, fills}, {3300, 256, 256, fills}, {256, 256, 3300, fills}, {256, 3300, 64, columns}, {256, 64, 3300, fills}, {3300, 64, 256, lies},
		{512, 128, 64, packed}, {512, 256, 64, packed}, {512, 64, 256, packed}, {64, 256, 512, lies}, {256, 64, 512, lies},
		{128, 3416, 64, packed}, {128, 64, 3416, packed}, {3416, 64, 128, lies}} {
		x, y := laidOut(rng, c.m, c.k), laidOut(rng, c.k, c.n)
		if c.form == lies {
			x = laidOut(rng, c.k, c.m)
		}
		if c.form == columns {
			y = laidOut(rng, c.n, c.k)
		}
		var right Packed
		var w Work
		right.Reset(c.k, c.n)
		right.Fill(0, right.Panels(), y, c.form == columns)
		out := laidOut(rng, c.m, c.n)
		do := func() {
			switch c.form {
			case lies:
				right.View(y, c.k)
			case fills, columns:
				right.Fill(0, right.Panels(), y, c.form == columns)
			}
			Multiply(out, 0, c.m, x, c.form == lies, &right, &w)
		}
		b.Run(fmt.Sprintf("%dx%dx%d-%s", c.m, c.n, c.k, [...]string{"packed", "fills", "columns", "turned"}[c.form]), func(b *testing.B) {
			for b.Loop() {
				do()
			}
			rate, most := beside(2*float64(c.m)*float64(c.n)*float64(c.k), do, float64(2*height*width*4096), limit)
			b.ReportMetric(rate, "GFLOP/s")
			b.ReportMetric(100*rate/most, "%-of-peak")
		})
	}
	x := random(rng, 4096)
	m, v, g := random(rng, 4096), make([]float32, 4096), random(rng, 4096)
	b.Run("adam", func(b *testing.B) {
		for b.Loop() {
			NewAdam(1e-3, 10).Step(x, m, v, g)
		}
		b.ReportMetric(best(4096, func() { NewAdam(1e-3, 10).Step(x, m, v, g) }), "G/s")
	})
	b.Run("exp", func(b *testing.B) {
		b.ReportMetric(best(4096, func() { Exp(x, 1, -1) }), "G/s")
	})
}
