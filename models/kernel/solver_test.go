package kernel

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"gonum.org/v1/gonum/mat"
)

// system is one ridge problem with its float64 solution by gonum.
type system struct {
	m       Matrix
	ids     []int32
	weights []float32
	gram    []float32
	ridge   float32
	want    []float64
}

func newSystem(rng *rand.Rand, dim, stride, rows, picked int) system {
	s := system{m: Matrix{Data: random(rng, rows*stride), Dim: dim, Stride: stride}, ridge: 0.7}
	for range picked {
		s.ids = append(s.ids, int32(rng.IntN(rows)))
		s.weights = append(s.weights, rng.Float32()*3)
	}
	sum := make([]float64, Pad(dim)*Pad(dim))
	Gram(sum, s.m, 0, rows)
	s.gram = make([]float32, len(sum))
	for i, v := range sum {
		s.gram[i] = float32(0.1 * v)
	}
	a, b := mat.NewSymDense(dim, nil), mat.NewVecDense(dim, nil)
	add := func(row []float32, w, target float64) {
		for i := range row {
			for j := i; j < dim; j++ {
				a.SetSym(i, j, a.At(i, j)+w*float64(row[i])*float64(row[j]))
			}
			b.SetVec(i, b.AtVec(i)+target*float64(row[i]))
		}
	}
	for i := range rows {
		add(s.m.Row(i), 0.1, 0)
	}
	for k, id := range s.ids {
		add(s.m.Row(int(id)), float64(s.weights[k]), float64(s.weights[k]))
	}
	for i := range dim {
		a.SetSym(i, i, a.At(i, i)+float64(s.ridge))
	}
	var chol mat.Cholesky
	if !chol.Factorize(a) {
		panic("reference is not positive definite")
	}
	var x mat.VecDense
	if err := chol.SolveVecTo(&x, b); err != nil {
		panic(err)
	}
	s.want = x.RawVector().Data
	return s
}

func TestSolverAgreesWithFloat64(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 1))
	for _, c := range []struct{ dim, stride, rows, picked int }{
		{1, 1, 5, 3}, {5, 7, 9, 4}, {8, 8, 20, 1}, {16, 16, 40, 64}, {24, 32, 40, 65}, {32, 40, 50, 200},
		{64, 64, 300, 0}, {64, 72, 300, 129}, {128, 128, 300, 31}, {136, 136, 200, 70},
	} {
		s := newSystem(rng, c.dim, c.stride, c.rows, c.picked)
		solver, x := NewSolver(c.dim), make([]float32, c.dim)
		for range 2 { // the second round must not see the first
			solver.Reset(s.gram, s.ridge)
			solver.Add(s.m, s.ids, s.weights)
			if !solver.Solve(x) {
				t.Fatalf("%+v: not solved", c)
			}
		}
		var worst, size float64
		for i, v := range x {
			worst = max(worst, math.Abs(float64(v)-s.want[i]))
			size = max(size, math.Abs(s.want[i]))
		}
		if worst > 2e-5*size+1e-9 {
			t.Errorf("%+v: error %.2g of %.2g", c, worst, size)
		}
	}
}

func TestSolverKnownAnswer(t *testing.T) {
	// One row (2, 0), weight 3, ridge 1: (1 + 3*4) x = 3*2, so x = (6/13, 0).
	s := NewSolver(2)
	s.Reset(make([]float32, 16*16), 1)
	s.Add(Matrix{Data: []float32{9, 9, 2, 0}, Dim: 2, Stride: 2}, []int32{1}, []float32{3})
	x := make([]float32, 2)
	if !s.Solve(x) || math.Abs(float64(x[0])-6.0/13) > 1e-6 || x[1] != 0 {
		t.Errorf("got %v", x)
	}
	if want := 6.0 * 6 / 13; math.Abs(s.Fit()-want) > 1e-6 {
		t.Errorf("fit %v, want %v", s.Fit(), want)
	}
}

func TestSolverRefusesWhatIsNotPositiveDefinite(t *testing.T) {
	gram := make([]float32, 16*16)
	for _, diagonal := range []float32{-2, float32(math.NaN()), float32(math.Inf(1))} {
		gram[0] = diagonal
		s, x := NewSolver(8), make([]float32, 8)
		s.Reset(gram, 1)
		s.Add(Matrix{Data: []float32{1, 2, 3, 4, 5, 6, 7, 8}, Dim: 8, Stride: 8}, []int32{0}, []float32{0.1})
		if s.Solve(x) {
			t.Errorf("diagonal %v: solved as %v", diagonal, x)
		}
	}
}

func TestGramSumsPartsExactlyAlike(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 1))
	m := Matrix{Data: random(rng, 1024*24), Dim: 24, Stride: 24}
	whole, parts := make([]float64, 32*32), make([]float64, 32*32)
	Gram(whole, m, 0, 1000)
	Gram(parts, m, 0, 512)
	Gram(parts, m, 512, 1000)
	if !slices.Equal(whole, parts) {
		t.Error("splitting at a run's edge changed the sum")
	}
	want, size := 0.0, 0.0
	for i := range 1000 {
		p := float64(m.Row(i)[3]) * float64(m.Row(i)[20])
		want += p
		size += math.Abs(p)
	}
	near(t, "Gram", float32(whole[3*32+20]), want, size)
}

// TestTwins compares each assembly kernel with its pure-Go twin. Without assembly both are one.
func TestTwins(t *testing.T) {
	rng := rand.New(rand.NewPCG(6, 1))
	const ld = 48
	for _, k := range []int{1, 2, 7, 64} {
		for n := 1; n <= 3; n++ {
			a, b, from := random(rng, k*ld), random(rng, k*ld), random(rng, 16*(ld+8))
			strides := &strides{ld, ld, ld + 8, ld}
			for name, f := range map[string][2]func(c []float32){
				"tilesAdd": {func(c []float32) { tilesAdd(a, b, from, c, strides, k, n) },
					func(c []float32) { tilesGeneric(a, b, from, c, strides, k, n, 1) }},
				"tilesSub": {func(c []float32) { tilesSub(a, b, from, c, strides, k, n) },
					func(c []float32) { tilesGeneric(a, b, from, c, strides, k, n, -1) }},
			} {
				compareTwins(t, name, random(rng, 16*ld), 1e-5*float64(k), f)
			}
		}
	}
	for _, dim := range []int{1, 8, 16, 24, 64, 72, 112} {
		for _, n := range []int{0, 1, 2, 5, 64} {
			x, rows := random(rng, n), random(rng, n*(dim+3)+1)
			compareTwins(t, "combine", random(rng, dim), 1e-5*float64(n+1), [2]func([]float32){
				func(c []float32) { combine(c, x, rows, dim+3) }, func(c []float32) { combineGeneric(c, x, rows, dim+3) }})
		}
	}
	// A diagonally dominant block is well conditioned.
	block := random(rng, 16*ld)
	for i := range 16 {
		block[i*ld+i] += 40
	}
	inv := make([]float32, 16)
	compareTwins(t, "potrf", block, 1e-4, [2]func([]float32){
		func(c []float32) { potrf(c, ld, make([]float32, 16)) }, func(c []float32) { potrfGeneric(c, ld, inv) }})
	u := slices.Clone(block)
	potrfGeneric(u, ld, inv)
	for n := 16; n <= 48; n += 16 {
		compareTwins(t, "trsm", random(rng, 16*ld), 1e-5, [2]func([]float32){
			func(c []float32) { trsm(u, c, ld, inv, n) }, func(c []float32) { trsmGeneric(u, c, ld, inv, n) }})
	}
	for _, dim := range []int{5, 8, 24, 40} {
		src, ids := random(rng, 30*41), []int32{3, 29, 0, 3, 7}
		run := func(f func(v, src []float32, ids []int32, dim, stride, pad int)) func([]float32) {
			return func(c []float32) { f(c, src, ids, dim, 41, 48) }
		}
		compareTwins(t, "pick", random(rng, 5*48), 0, [2]func([]float32){run(pick), run(pickGeneric)})
	}
	for i, n := range []int{1, 5, 12, 13, 64} {
		dim := 24 + 8*(i%2) // not a whole number of 512-bit vectors, and one
		src, w, ids := random(rng, 70*40), random(rng, n), make([]int32, n)
		for k := range ids {
			ids[k] = int32(rng.IntN(70))
		}
		run := func(f func(v, wv, sum, src []float32, ids []int32, w []float32, dim, stride, pad int)) func([]float32) {
			return func(c []float32) { f(c[:n*48], c[n*48:2*n*48], c[2*n*48:], src, ids, w, dim, 40, 48) }
		}
		compareTwins(t, "gather", random(rng, 2*n*48+dim), 1e-5, [2]func([]float32){run(gather), run(gatherGeneric)})
	}
}

// compareTwins runs both on copies of c and compares upper rows and neighbours alike: nothing beside
// the result may change.
func compareTwins(t *testing.T, name string, c []float32, tolerance float64, twins [2]func([]float32)) {
	t.Helper()
	fast, slow := slices.Clone(c), slices.Clone(c)
	twins[0](fast)
	twins[1](slow)
	for i := range fast {
		if name == "potrf" && i%48 < i/48 {
			continue // below the diagonal
		}
		if math.Abs(float64(fast[i]-slow[i])) > tolerance*(1+math.Abs(float64(slow[i]))) {
			t.Fatalf("%s: element %d is %v, twin %v", name, i, fast[i], slow[i])
		}
	}
}
