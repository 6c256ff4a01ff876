// Command gen writes the AVX2+FMA kernels of models/kernel with avo. It lives in a module of its
// own, so that the product does not depend on avo; run it with 'go generate ./models/kernel'.
package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func main() {
	ConstraintExpr("amd64,!purego")
	dot()
	axpy()
	rows("rowsAVX2", false)
	rows("rowsAtAVX2", true)
	above()
	gather()
	pick()
	tiles("tilesAddAVX2", false)
	tiles("tilesSubAVX2", true)
	potrf()
	trsm()
	combine()
	Generate()
}

func bytes(r reg.Register) reg.Register { SHLQ(Imm(2), r); return r }

func load(name string) reg.Register { return Load(Param(name), GP64()) }

func zeros(n int) []reg.VecVirtual {
	v := make([]reg.VecVirtual, n)
	for i := range v {
		v[i] = YMM()
		VXORPS(v[i], v[i], v[i])
	}
	return v
}

// fold adds the eight lanes of y and leaves the sum in the low lane of the result.
func fold(y reg.VecVirtual) reg.VecVirtual {
	x, t := XMM(), XMM()
	VEXTRACTF128(Imm(1), y, x)
	VADDPS(y.AsX(), x, x)
	VPERMILPS(Imm(0x4e), x, t)
	VADDPS(t, x, x)
	VPERMILPS(Imm(0xb1), x, t)
	VADDPS(t, x, x)
	return x
}

func dot() {
	TEXT("dotAVX2", NOSPLIT, "func(x, y *float32, n int) float32")
	Doc("dotAVX2 returns the dot product of n floats; n is a multiple of 8, at least 8.")
	x, y, n := load("x"), load("y"), load("n")
	acc := zeros(4)
	v := []reg.VecVirtual{YMM(), YMM(), YMM(), YMM()}
	Label("dotBlock")
	CMPQ(n, Imm(32))
	JL(LabelRef("dotRest"))
	for i := range acc {
		VMOVUPS(Mem{Base: x, Disp: 32 * i}, v[i])
		VFMADD231PS(Mem{Base: y, Disp: 32 * i}, v[i], acc[i])
	}
	ADDQ(U32(128), x)
	ADDQ(U32(128), y)
	SUBQ(Imm(32), n)
	JMP(LabelRef("dotBlock"))
	Label("dotRest")
	TESTQ(n, n)
	JZ(LabelRef("dotDone"))
	VMOVUPS(Mem{Base: x}, v[0])
	VFMADD231PS(Mem{Base: y}, v[0], acc[0])
	ADDQ(Imm(32), x)
	ADDQ(Imm(32), y)
	SUBQ(Imm(8), n)
	JMP(LabelRef("dotRest"))
	Label("dotDone")
	VADDPS(acc[1], acc[0], acc[0])
	VADDPS(acc[3], acc[2], acc[2])
	VADDPS(acc[2], acc[0], acc[0])
	s := fold(acc[0])
	VZEROUPPER()
	Store(s, ReturnIndex(0))
	RET()
}

func axpy() {
	TEXT("axpyAVX2", NOSPLIT, "func(a float32, x, y *float32, n int)")
	Doc("axpyAVX2 adds a*x to y; n is a multiple of 8, at least 8.")
	a := Load(Param("a"), XMM()).(reg.VecVirtual)
	x, y, n := load("x"), load("y"), load("n")
	w, v := YMM(), YMM()
	VBROADCASTSS(a, w)
	Label("axpyLoop")
	VMOVUPS(Mem{Base: y}, v)
	VFMADD231PS(Mem{Base: x}, w, v)
	VMOVUPS(v, Mem{Base: y})
	ADDQ(Imm(32), x)
	ADDQ(Imm(32), y)
	SUBQ(Imm(8), n)
	JNZ(LabelRef("axpyLoop"))
	VZEROUPPER()
	RET()
}

// rows scores four rows per turn with two accumulators each, so that eight FMAs are in flight.
func rows(name string, at bool) {
	signature, doc := "func(scores, q, rows *float32, n, dim, stride int)", " scores n rows that lie stride floats apart"
	if at {
		signature, doc = "func(scores, q, rows *float32, ids *int32, n, dim, stride int)", " scores the n rows named by ids"
	}
	TEXT(name, NOSPLIT, signature)
	Doc(name + doc + "; n is a multiple of 4, dim of 8, both at least that.")
	scores, q, base := load("scores"), load("q"), load("rows")
	var ids reg.Register
	if at {
		ids = load("ids")
	}
	n, dim, stride := load("n"), bytes(load("dim")), bytes(load("stride"))
	p := []reg.GPVirtual{GP64(), GP64(), GP64(), GP64()}
	off := GP64()
	Label(name + "Row")
	for r := range p {
		switch {
		case at:
			MOVLQSX(Mem{Base: ids, Disp: 4 * r}, p[r])
			IMULQ(stride, p[r])
			ADDQ(base, p[r])
		case r == 0:
			MOVQ(base, p[0])
		default:
			MOVQ(p[r-1], p[r])
			ADDQ(stride, p[r])
		}
	}
	acc := zeros(8)
	q0, q1 := YMM(), YMM()
	XORQ(off, off)
	end := GP64()
	MOVQ(dim, end)
	ANDQ(I32(-64), end)
	JZ(LabelRef(name + "Tail"))
	Label(name + "Pair")
	VMOVUPS(Mem{Base: q, Index: off, Scale: 1}, q0)
	VMOVUPS(Mem{Base: q, Index: off, Scale: 1, Disp: 32}, q1)
	for r := range p {
		VFMADD231PS(Mem{Base: p[r], Index: off, Scale: 1}, q0, acc[r])
		VFMADD231PS(Mem{Base: p[r], Index: off, Scale: 1, Disp: 32}, q1, acc[4+r])
	}
	ADDQ(Imm(64), off)
	CMPQ(off, end)
	JL(LabelRef(name + "Pair"))
	Label(name + "Tail")
	CMPQ(off, dim)
	JGE(LabelRef(name + "Sum"))
	VMOVUPS(Mem{Base: q, Index: off, Scale: 1}, q0)
	for r := range p {
		VFMADD231PS(Mem{Base: p[r], Index: off, Scale: 1}, q0, acc[r])
	}
	Label(name + "Sum")
	for r := range p {
		VADDPS(acc[4+r], acc[r], acc[r])
	}
	VHADDPS(acc[1], acc[0], acc[0])
	VHADDPS(acc[3], acc[2], acc[2])
	VHADDPS(acc[2], acc[0], acc[0])
	x := XMM()
	VEXTRACTF128(Imm(1), acc[0], x)
	VADDPS(acc[0].AsX(), x, x)
	VMOVUPS(x, Mem{Base: scores})
	ADDQ(Imm(16), scores)
	if at {
		ADDQ(Imm(16), ids)
	} else {
		MOVQ(p[3], base)
		ADDQ(stride, base)
	}
	SUBQ(Imm(4), n)
	JNZ(LabelRef(name + "Row"))
	VZEROUPPER()
	RET()
}

func above() {
	TEXT("aboveAVX2", NOSPLIT, "func(x *float32, n int, floor float32) int")
	Doc("aboveAVX2 returns the start of the first block of 32 floats with one above floor, else n; n is a multiple of 32, at least 32.")
	x, n := load("x"), load("n")
	f := Load(Param("floor"), XMM()).(reg.VecVirtual)
	limit, i := YMM(), GP64()
	VBROADCASTSS(f, limit)
	XORQ(i, i)
	const greater = 0x1e // ordered, quiet: a NaN is never above
	m := []reg.VecVirtual{YMM(), YMM(), YMM(), YMM()}
	Label("aboveLoop")
	for r := range m {
		v := YMM()
		VMOVUPS(Mem{Base: x, Index: i, Scale: 4, Disp: 32 * r}, v)
		VCMPPS(Imm(greater), limit, v, m[r])
	}
	VORPS(m[1], m[0], m[0])
	VORPS(m[3], m[2], m[2])
	VORPS(m[2], m[0], m[0])
	VPTEST(m[0], m[0])
	JNZ(LabelRef("aboveDone"))
	ADDQ(Imm(32), i)
	CMPQ(i, n)
	JL(LabelRef("aboveLoop"))
	Label("aboveDone")
	VZEROUPPER()
	Store(i, ReturnIndex(0))
	RET()
}

func gather() {
	TEXT("gatherAVX2", NOSPLIT, "func(v, wv, sum, src *float32, ids *int32, w *float32, n, dim, stride, pad int)")
	Doc("gatherAVX2 copies the n rows named by ids to v, times w to wv, and adds the latter to sum; dim is a multiple of 8; v and wv have rows of pad floats.")
	v, wv, sum, src := load("v"), load("wv"), load("sum"), load("src")
	ids, w, n := load("ids"), load("w"), load("n")
	dim, stride := bytes(load("dim")), bytes(load("stride"))
	k, row, next, off, ahead := GP64(), GP64(), GP64(), GP64(), GP64()
	XORQ(k, k)
	Label("gatherRow")
	MOVLQSX(Mem{Base: ids, Index: k, Scale: 4}, row)
	IMULQ(stride, row)
	ADDQ(src, row)
	// The row twelve turns ahead is on its way while this one is used; near the end, this row again.
	LEAQ(Mem{Base: k, Disp: 12}, ahead)
	CMPQ(ahead, n)
	CMOVQGE(k, ahead)
	MOVLQSX(Mem{Base: ids, Index: ahead, Scale: 4}, next)
	IMULQ(stride, next)
	ADDQ(src, next)
	b, y, z := YMM(), YMM(), YMM()
	VBROADCASTSS(Mem{Base: w, Index: k, Scale: 4}, b)
	XORQ(off, off)
	Label("gatherCol")
	PREFETCHT0(Mem{Base: next, Index: off, Scale: 1})
	VMOVUPS(Mem{Base: row, Index: off, Scale: 1}, y)
	VMOVUPS(y, Mem{Base: v, Index: off, Scale: 1})
	VMULPS(b, y, z)
	VMOVUPS(z, Mem{Base: wv, Index: off, Scale: 1})
	VADDPS(Mem{Base: sum, Index: off, Scale: 1}, z, z)
	VMOVUPS(z, Mem{Base: sum, Index: off, Scale: 1})
	ADDQ(Imm(32), off)
	CMPQ(off, dim)
	JL(LabelRef("gatherCol"))
	pad := bytes(load("pad"))
	ADDQ(pad, v)
	ADDQ(pad, wv)
	INCQ(k)
	CMPQ(k, n)
	JL(LabelRef("gatherRow"))
	VZEROUPPER()
	RET()
}

func pick() {
	TEXT("pickAVX2", NOSPLIT, "func(v, src *float32, ids *int32, n, dim, stride, pad int)")
	Doc("pickAVX2 copies the n rows named by ids to v, whose rows have pad floats; dim is a multiple of 8.")
	v, src, ids, n := load("v"), load("src"), load("ids"), load("n")
	dim, stride, pad := bytes(load("dim")), bytes(load("stride")), bytes(load("pad"))
	k, row, next, off, ahead := GP64(), GP64(), GP64(), GP64(), GP64()
	XORQ(k, k)
	Label("pickRow")
	MOVLQSX(Mem{Base: ids, Index: k, Scale: 4}, row)
	IMULQ(stride, row)
	ADDQ(src, row)
	// As in gather.
	LEAQ(Mem{Base: k, Disp: 12}, ahead)
	CMPQ(ahead, n)
	CMOVQGE(k, ahead)
	MOVLQSX(Mem{Base: ids, Index: ahead, Scale: 4}, next)
	IMULQ(stride, next)
	ADDQ(src, next)
	y := YMM()
	XORQ(off, off)
	Label("pickCol")
	PREFETCHT0(Mem{Base: next, Index: off, Scale: 1})
	VMOVUPS(Mem{Base: row, Index: off, Scale: 1}, y)
	VMOVUPS(y, Mem{Base: v, Index: off, Scale: 1})
	ADDQ(Imm(32), off)
	CMPQ(off, dim)
	JL(LabelRef("pickCol"))
	ADDQ(pad, v)
	INCQ(k)
	CMPQ(k, n)
	JL(LabelRef("pickRow"))
	VZEROUPPER()
	RET()
}

// tiles keeps 4 x 16 sums in eight registers: eight FMAs in flight cover the FMA latency.
func tiles(name string, sub bool) {
	TEXT(name, NOSPLIT, "func(a, b, from, to *float32, lda, ldb, ldf, ldt, k, n int)")
	sign := "plus"
	if sub {
		sign = "minus"
	}
	Doc(name + " sets n tiles of 4 x 16 side by side in to to those of from " + sign + " the product of the transposed k x 4 a and the k x 16n b; leading dimensions in floats; k and n are at least 1.")
	lda, ldb, ldf, ldt := bytes(load("lda")), bytes(load("ldb")), bytes(load("ldf")), bytes(load("ldt"))
	n, off := load("n"), GP64()
	XORQ(off, off)
	Label(name + "Tile")
	a, b, from, to, k := load("a"), load("b"), load("from"), load("to"), load("k")
	ADDQ(off, b)
	ADDQ(off, from)
	ADDQ(off, to)
	acc := zeros(8)
	b0, b1 := YMM(), YMM()
	Label(name + "Loop")
	VMOVUPS(Mem{Base: b}, b0)
	VMOVUPS(Mem{Base: b, Disp: 32}, b1)
	for r := 0; r < 4; r++ {
		t := YMM()
		VBROADCASTSS(Mem{Base: a, Disp: 4 * r}, t)
		VFMADD231PS(b0, t, acc[2*r])
		VFMADD231PS(b1, t, acc[2*r+1])
	}
	ADDQ(lda, a)
	ADDQ(ldb, b)
	DECQ(k)
	JNZ(LabelRef(name + "Loop"))
	for r := 0; r < 4; r++ {
		for h := 0; h < 2; h++ {
			m, out := Mem{Base: from, Disp: 32 * h}, Mem{Base: to, Disp: 32 * h}
			if sub {
				t := YMM()
				VMOVUPS(m, t)
				VSUBPS(acc[2*r+h], t, t)
				VMOVUPS(t, out)
			} else {
				VADDPS(m, acc[2*r+h], acc[2*r+h])
				VMOVUPS(acc[2*r+h], out)
			}
		}
		if r < 3 {
			ADDQ(ldf, from)
			ADDQ(ldt, to)
		}
	}
	ADDQ(Imm(64), off)
	DECQ(n)
	JNZ(LabelRef(name + "Tile"))
	VZEROUPPER()
	RET()
}

func potrf() {
	TEXT("potrfAVX2", NOSPLIT, "func(a *float32, lda int, dinv *float32)")
	Doc("potrfAVX2 factors the 16 x 16 block a = U'U in place, upper triangle; dinv gets 1/diagonal. A pivot that is not positive leaves NaN or Inf.")
	a, lda, dinv := load("a"), bytes(load("lda")), load("dinv")
	one, o := XMM(), GP32()
	MOVL(U32(0x3f800000), o)
	VMOVD(o, one)
	p := GP64()
	for k := 0; k < 16; k++ {
		x, s := XMM(), YMM()
		VMOVSS(Mem{Base: a, Disp: 4 * k}, x)
		VSQRTSS(x, x, x)
		VDIVSS(x, one, x)
		VMOVSS(x, Mem{Base: dinv, Disp: 4 * k})
		VBROADCASTSS(x, s)
		row := []reg.VecVirtual{YMM(), YMM()}
		for h := k / 8; h < 2; h++ {
			VMULPS(Mem{Base: a, Disp: 32 * h}, s, row[h])
			VMOVUPS(row[h], Mem{Base: a, Disp: 32 * h})
		}
		MOVQ(a, p)
		for i := k + 1; i < 16; i++ {
			ADDQ(lda, p)
			b := YMM()
			VBROADCASTSS(Mem{Base: a, Disp: 4 * i}, b)
			for h := i / 8; h < 2; h++ {
				t := YMM()
				VMOVUPS(Mem{Base: p, Disp: 32 * h}, t)
				VFNMADD231PS(row[h], b, t)
				VMOVUPS(t, Mem{Base: p, Disp: 32 * h})
			}
		}
		if k < 15 {
			ADDQ(lda, a)
		}
	}
	VZEROUPPER()
	RET()
}

// trsm holds fifteen rows of eight columns in registers; the sixteenth takes the place of the first
// once that is final. Registers are named by hand, so that none above Y15 (AVX-512) can be chosen.
func trsm() {
	TEXT("trsmAVX2", NOSPLIT, "func(u, c *float32, ld int, dinv *float32, n int)")
	Doc("trsmAVX2 solves U'X = C in place for n blocks of 8 columns; u and c are 16 rows apart by ld floats; n is at least 1.")
	u, c, ld, dinv, n := load("u"), load("c"), bytes(load("ld")), load("dinv"), load("n")
	row := []reg.VecPhysical{reg.Y0, reg.Y1, reg.Y2, reg.Y3, reg.Y4, reg.Y5, reg.Y6, reg.Y7,
		reg.Y8, reg.Y9, reg.Y10, reg.Y11, reg.Y12, reg.Y13, reg.Y14, reg.Y0}
	t := reg.Y15
	p, pu := GP64(), GP64()
	Label("trsmBlock")
	MOVQ(c, p)
	for i := 0; i < 15; i++ {
		VMOVUPS(Mem{Base: p}, row[i])
		ADDQ(ld, p)
	}
	last := p // the sixteenth row
	out := GP64()
	MOVQ(c, out)
	MOVQ(u, pu)
	for k := 0; k < 16; k++ {
		VBROADCASTSS(Mem{Base: dinv, Disp: 4 * k}, t)
		VMULPS(t, row[k], row[k])
		VMOVUPS(row[k], Mem{Base: out})
		for i := k + 1; i < 16; i++ {
			VBROADCASTSS(Mem{Base: pu, Disp: 4 * i}, t)
			if k == 0 && i == 15 {
				VMULPS(t, row[0], t)
				VMOVUPS(Mem{Base: last}, row[15])
				VSUBPS(t, row[15], row[15])
				continue
			}
			VFNMADD231PS(row[k], t, row[i])
		}
		if k < 15 {
			ADDQ(ld, pu)
			ADDQ(ld, out)
		}
	}
	ADDQ(Imm(32), c)
	DECQ(n)
	JNZ(LabelRef("trsmBlock"))
	VZEROUPPER()
	RET()
}

// combine keeps 32 columns of the sum in registers, twice, so that additions do not wait for each other.
func combine() {
	TEXT("combineAVX2", NOSPLIT, "func(y, x, rows *float32, n, dim, stride int)")
	Doc("combineAVX2 adds the sum of x[i] times row i to y, over n rows of dim floats that lie stride floats apart; dim is a multiple of 8; n is at least 1.")
	y, x, rows, n, dim, stride := load("y"), load("x"), load("rows"), load("n"), load("dim"), bytes(load("stride"))
	Label("combineFour")
	CMPQ(dim, Imm(32))
	JL(LabelRef("combineOne"))
	column("combineFour", y, x, rows, n, stride, 4)
	SUBQ(Imm(32), dim)
	JMP(LabelRef("combineFour"))
	Label("combineOne")
	TESTQ(dim, dim)
	JZ(LabelRef("combineDone"))
	column("combineOne", y, x, rows, n, stride, 1)
	SUBQ(Imm(8), dim)
	JMP(LabelRef("combineOne"))
	Label("combineDone")
	VZEROUPPER()
	RET()
}

// column sums vectors of columns over all rows and moves on to the next columns.
func column(name string, y, x, rows, n, stride reg.Register, vectors int) {
	p, i, even := GP64(), GP64(), GP64()
	odd := zeros(vectors)
	sums := make([]reg.VecVirtual, vectors)
	for v := range sums {
		sums[v] = YMM()
		VMOVUPS(Mem{Base: y, Disp: 32 * v}, sums[v])
	}
	MOVQ(rows, p)
	XORQ(i, i)
	MOVQ(n, even)
	ANDQ(I32(-2), even)
	JZ(LabelRef(name + "Odd"))
	Label(name + "Pair")
	for h, to := range [][]reg.VecVirtual{sums, odd} {
		t := YMM()
		VBROADCASTSS(Mem{Base: x, Index: i, Scale: 4, Disp: 4 * h}, t)
		for v := range vectors {
			VFMADD231PS(Mem{Base: p, Disp: 32 * v}, t, to[v])
		}
		ADDQ(stride, p)
	}
	ADDQ(Imm(2), i)
	CMPQ(i, even)
	JL(LabelRef(name + "Pair"))
	Label(name + "Odd")
	CMPQ(i, n)
	JGE(LabelRef(name + "Store"))
	t := YMM()
	VBROADCASTSS(Mem{Base: x, Index: i, Scale: 4}, t)
	for v := range vectors {
		VFMADD231PS(Mem{Base: p, Disp: 32 * v}, t, sums[v])
	}
	Label(name + "Store")
	for v := range vectors {
		VADDPS(odd[v], sums[v], sums[v])
		VMOVUPS(sums[v], Mem{Base: y, Disp: 32 * v})
	}
	ADDQ(U32(uint32(32*vectors)), y)
	ADDQ(U32(uint32(32*vectors)), rows)
}
