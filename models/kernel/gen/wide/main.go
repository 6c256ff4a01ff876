// Command wide writes the AVX-512 forms of the kernels of least squares, wide_amd64.s, with avo. Run it with
// 'go generate ./models/kernel'.
package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

var z = []reg.VecPhysical{reg.Z0, reg.Z1, reg.Z2, reg.Z3, reg.Z4, reg.Z5, reg.Z6, reg.Z7, reg.Z8, reg.Z9, reg.Z10, reg.Z11,
	reg.Z12, reg.Z13, reg.Z14, reg.Z15, reg.Z16, reg.Z17, reg.Z18, reg.Z19, reg.Z20, reg.Z21, reg.Z22, reg.Z23,
	reg.Z24, reg.Z25, reg.Z26, reg.Z27, reg.Z28, reg.Z29, reg.Z30, reg.Z31}

func main() {
	ConstraintExpr("amd64,!purego")
	tiles("tilesAddAVX512", false)
	tiles("tilesSubAVX512", true)
	potrf()
	trsm()
	gather()
	combine()
	Generate()
}

func load(name string) reg.Register { return Load(Param(name), GP64()) }

func bytes(r reg.Register) reg.Register { SHLQ(Imm(2), r); return r }

// tiles keeps 16 x 16 sums in sixteen registers. The numbers of the left side are operands of the
// multiplications themselves, so that each costs one load.
func tiles(name string, sub bool) {
	TEXT(name, NOSPLIT, "func(a, b, from, to *float32, lda, ldb, ldf, ldt, k, n int)")
	sign := "plus"
	if sub {
		sign = "minus"
	}
	Doc(fmt.Sprintf("%s sets n tiles of 16 x 16 side by side in to to those of from %s the product of the transposed k x 16 a and the k x 16n b; leading dimensions in floats; k and n are at least 1.", name, sign))
	lda, ldb, ldf, ldt := bytes(load("lda")), bytes(load("ldb")), bytes(load("ldf")), bytes(load("ldt"))
	n, off := load("n"), GP64()
	XORQ(off, off)
	Label(name + "Tile")
	a, b, from, to, k := load("a"), load("b"), load("from"), load("to"), load("k")
	ADDQ(off, b)
	ADDQ(off, from)
	ADDQ(off, to)
	for r := range 16 {
		VPXORD(z[r], z[r], z[r])
	}
	Label(name + "Loop")
	VMOVUPS(Mem{Base: b}, z[16])
	for r := range 16 {
		VFMADD231PS_BCST(Mem{Base: a, Disp: 4 * r}, z[16], z[r])
	}
	ADDQ(lda, a)
	ADDQ(ldb, b)
	DECQ(k)
	JNZ(LabelRef(name + "Loop"))
	for r := range 16 {
		if sub {
			VMOVUPS(Mem{Base: from}, z[16+r%8])
			VSUBPS(z[r], z[16+r%8], z[r])
		} else {
			VADDPS(Mem{Base: from}, z[r], z[r])
		}
		VMOVUPS(z[r], Mem{Base: to})
		if r < 15 {
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

// potrf holds all sixteen rows in registers and divides by the pivots themselves: 1/pivot is sooner known than
// 1/sqrt(pivot), by which each row is multiplied at the end, beside the way from pivot to pivot.
func potrf() {
	TEXT("potrfAVX512", NOSPLIT, "func(a *float32, lda int, dinv *float32)")
	Doc("potrfAVX512 factors the 16 x 16 block a = U'U in place, upper triangle; dinv gets 1/diagonal. A pivot that is not positive leaves NaN or Inf.")
	a, lda, dinv := load("a"), bytes(load("lda")), load("dinv")
	one, o, lane, next, p := reg.X16, GP32(), z[17], z[18], GP64()
	MOVL(U32(0x3f800000), o)
	VMOVD(o, one)
	VPXORD(lane, lane, lane)
	MOVL(U32(1), o)
	VPBROADCASTD(o, next)
	MOVQ(a, p)
	for i := range 16 {
		VMOVUPS(Mem{Base: p}, z[i])
		if i < 15 {
			ADDQ(lda, p)
		}
	}
	for k := range 16 {
		pivot, scaled, root, factor := z[20], z[21], z[22], z[23]
		VMOVUPS(z[k], Mem{Base: a})
		VPERMPS(z[k], lane, pivot)
		if k < 15 {
			VPADDD(next, lane, lane)
			VDIVSS(pivot.AsX(), one, scaled.AsX())
			VBROADCASTSS(scaled.AsX(), scaled)
			VMULPS(scaled, z[k], scaled)
			for i := k + 1; i < 16; i++ {
				VFNMADD231PS_BCST(Mem{Base: a, Disp: 4 * i}, scaled, z[i])
			}
		}
		VSQRTSS(pivot.AsX(), pivot.AsX(), root.AsX())
		VDIVSS(root.AsX(), one, root.AsX())
		VMOVSS(root.AsX(), Mem{Base: dinv, Disp: 4 * k})
		VBROADCASTSS(root.AsX(), factor)
		VMULPS(factor, z[k], z[k])
		VMOVUPS(z[k], Mem{Base: a})
		if k < 15 {
			ADDQ(lda, a)
		}
	}
	VZEROUPPER()
	RET()
}

// trsm holds sixteen rows of two blocks of sixteen columns, so that one hides the latency of the other.
func trsm() {
	TEXT("trsmAVX512", NOSPLIT, "func(u, c *float32, ld int, dinv *float32, n int)")
	Doc("trsmAVX512 solves U'X = C in place for n blocks of 16 columns; u and c are 16 rows apart by ld floats; n is at least 1.")
	u, c, ld, dinv, n := load("u"), load("c"), bytes(load("ld")), load("dinv"), load("n")
	p, q := GP64(), GP64()
	Label("trsmWidePair")
	CMPQ(n, Imm(2))
	JL(LabelRef("trsmWideLast"))
	solve(u, c, ld, dinv, p, q, 2)
	ADDQ(U32(128), c)
	SUBQ(Imm(2), n)
	JMP(LabelRef("trsmWidePair"))
	Label("trsmWideLast")
	TESTQ(n, n)
	JZ(LabelRef("trsmWideDone"))
	solve(u, c, ld, dinv, p, q, 1)
	Label("trsmWideDone")
	VZEROUPPER()
	RET()
}

// solve writes the solution for blocks x 16 columns.
func solve(u, c, ld, dinv, p, q reg.Register, blocks int) {
	MOVQ(c, p)
	for i := range 16 {
		for h := range blocks {
			VMOVUPS(Mem{Base: p, Disp: 64 * h}, z[16*h+i])
		}
		if i < 15 {
			ADDQ(ld, p)
		}
	}
	MOVQ(c, p)
	MOVQ(u, q)
	for k := range 16 {
		for h := range blocks {
			VMULPS_BCST(Mem{Base: dinv, Disp: 4 * k}, z[16*h+k], z[16*h+k])
			VMOVUPS(z[16*h+k], Mem{Base: p, Disp: 64 * h})
		}
		for i := k + 1; i < 16; i++ {
			for h := range blocks {
				VFNMADD231PS_BCST(Mem{Base: q, Disp: 4 * i}, z[16*h+k], z[16*h+i])
			}
		}
		if k < 15 {
			ADDQ(ld, p)
			ADDQ(ld, q)
		}
	}
}

func gather() {
	TEXT("gatherAVX512", NOSPLIT, "func(v, wv, sum, src *float32, ids *int32, w *float32, n, dim, stride, pad int)")
	Doc("gatherAVX512 copies the n rows named by ids to v, times w to wv, and adds the latter to sum; dim is a multiple of 16; v and wv have rows of pad floats.")
	v, wv, sum, src := load("v"), load("wv"), load("sum"), load("src")
	ids, w, n := load("ids"), load("w"), load("n")
	dim, stride := bytes(load("dim")), bytes(load("stride"))
	k, row, next, off, ahead := GP64(), GP64(), GP64(), GP64(), GP64()
	XORQ(k, k)
	Label("gatherWideRow")
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
	VBROADCASTSS(Mem{Base: w, Index: k, Scale: 4}, z[0])
	XORQ(off, off)
	Label("gatherWideCol")
	PREFETCHT0(Mem{Base: next, Index: off, Scale: 1})
	VMOVUPS(Mem{Base: row, Index: off, Scale: 1}, z[1])
	VMOVUPS(z[1], Mem{Base: v, Index: off, Scale: 1})
	VMULPS(z[0], z[1], z[2])
	VMOVUPS(z[2], Mem{Base: wv, Index: off, Scale: 1})
	VADDPS(Mem{Base: sum, Index: off, Scale: 1}, z[2], z[2])
	VMOVUPS(z[2], Mem{Base: sum, Index: off, Scale: 1})
	ADDQ(Imm(64), off)
	CMPQ(off, dim)
	JL(LabelRef("gatherWideCol"))
	pad := bytes(load("pad"))
	ADDQ(pad, v)
	ADDQ(pad, wv)
	INCQ(k)
	CMPQ(k, n)
	JL(LabelRef("gatherWideRow"))
	VZEROUPPER()
	RET()
}

// combine keeps 64 columns of the sum in registers, twice, so that additions do not wait for each other.
func combine() {
	TEXT("combineAVX512", NOSPLIT, "func(y, x, rows *float32, n, dim, stride int)")
	Doc("combineAVX512 adds the sum of x[i] times row i to y, over n rows of dim floats that lie stride floats apart; dim is a multiple of 16; n is at least 1.")
	y, x, rows, n, dim, stride := load("y"), load("x"), load("rows"), load("n"), load("dim"), bytes(load("stride"))
	p, i, even := GP64(), GP64(), GP64()
	Label("combineFour")
	CMPQ(dim, Imm(64))
	JL(LabelRef("combineOne"))
	column("combineFour", y, x, rows, n, stride, []reg.Register{p, i, even}, 4)
	SUBQ(Imm(64), dim)
	JMP(LabelRef("combineFour"))
	Label("combineOne")
	TESTQ(dim, dim)
	JZ(LabelRef("combineDone"))
	column("combineOne", y, x, rows, n, stride, []reg.Register{p, i, even}, 1)
	SUBQ(Imm(16), dim)
	JMP(LabelRef("combineOne"))
	Label("combineDone")
	VZEROUPPER()
	RET()
}

// column sums vectors of columns over all rows and moves on to the next columns.
func column(name string, y, x, rows, n, stride reg.Register, space []reg.Register, vectors int) {
	p, i, even := space[0], space[1], space[2]
	for v := range vectors {
		VMOVUPS(Mem{Base: y, Disp: 64 * v}, z[v])
		VPXORD(z[8+v], z[8+v], z[8+v])
	}
	MOVQ(rows, p)
	XORQ(i, i)
	MOVQ(n, even)
	ANDQ(I32(-2), even)
	JZ(LabelRef(name + "Odd"))
	Label(name + "Pair")
	for h := range 2 {
		VBROADCASTSS(Mem{Base: x, Index: i, Scale: 4, Disp: 4 * h}, z[16+h])
		for v := range vectors {
			VFMADD231PS(Mem{Base: p, Disp: 64 * v}, z[16+h], z[8*h+v])
		}
		ADDQ(stride, p)
	}
	ADDQ(Imm(2), i)
	CMPQ(i, even)
	JL(LabelRef(name + "Pair"))
	Label(name + "Odd")
	CMPQ(i, n)
	JGE(LabelRef(name + "Store"))
	VBROADCASTSS(Mem{Base: x, Index: i, Scale: 4}, z[16])
	for v := range vectors {
		VFMADD231PS(Mem{Base: p, Disp: 64 * v}, z[16], z[v])
	}
	Label(name + "Store")
	for v := range vectors {
		VADDPS(z[8+v], z[v], z[v])
		VMOVUPS(z[v], Mem{Base: y, Disp: 64 * v})
	}
	ADDQ(U32(uint32(64*vectors)), y)
	ADDQ(U32(uint32(64*vectors)), rows)
}
