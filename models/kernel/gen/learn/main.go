// Command learn writes the kernels of training, learn_amd64.s, with avo: the tiles of a matrix
// product, a step of Adam and the exponential of a row. Run it with 'go generate ./models/kernel'.
package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func main() {
	ConstraintExpr("amd64,!purego")
	tileAVX2()
	tileAVX512()
	packLeft()
	packRight()
	turnRight()
	adam()
	exp()
	Generate()
}

func load(name string) reg.Register { return Load(Param(name), GP64()) }

func tileAVX2() {
	sums := []reg.VecPhysical{reg.Y0, reg.Y1, reg.Y2, reg.Y3, reg.Y4, reg.Y5, reg.Y6, reg.Y7, reg.Y8, reg.Y9, reg.Y10, reg.Y11}
	tile("mulTileAVX2", 6, 32, sums, []reg.VecPhysical{reg.Y12, reg.Y13}, []reg.VecPhysical{reg.Y14, reg.Y15}, func(x reg.VecPhysical) { VXORPS(x, x, x) })
}

// tileAVX512 writes the whole tile and the two lower ones for the last rows, 12, 8 and 4 high: every multiple
// of 4 is a sum of these, and 4 x 2 multiplications in flight are enough to hide their latency.
func tileAVX512() {
	sums := []reg.VecPhysical{reg.Z0, reg.Z1, reg.Z2, reg.Z3, reg.Z4, reg.Z5, reg.Z6, reg.Z7, reg.Z8, reg.Z9, reg.Z10, reg.Z11,
		reg.Z12, reg.Z13, reg.Z14, reg.Z15, reg.Z16, reg.Z17, reg.Z18, reg.Z19, reg.Z20, reg.Z21, reg.Z22, reg.Z23}
	for _, height := range []int{12, 8, 4} {
		tile(fmt.Sprintf("mulTile%dAVX512", height), height, 64, sums[:2*height], []reg.VecPhysical{reg.Z24, reg.Z25},
			[]reg.VecPhysical{reg.Z26, reg.Z27, reg.Z28, reg.Z29}, func(x reg.VecPhysical) { VPXORD(x, x, x) })
	}
}

// packLeft walks over the rows once and deals them out, so that each page is visited once.
func packLeft() {
	TEXT("packLeftAVX512", NOSPLIT, "func(to, from *float32, step, k, tiles, last int)")
	Doc("packLeftAVX512 copies k rows of from, which are step apart, to tiles of 12 columns: tile t holds row i at to[(t*k+i)*12]. last is a mask of the columns of the last tile, the others become 0. k and tiles are at least 1.")
	to, from, step, k, tiles, last := load("to"), load("from"), load("step"), load("k"), load("tiles"), load("last")
	SHLQ(Imm(2), step)
	apart := GP64()
	IMUL3Q(Imm(48), k, apart) // between tiles
	DECQ(tiles)
	full := GP64()
	MOVQ(U32(0xfff), full)
	KMOVW(full.As32(), reg.K1)
	KMOVW(last.(reg.GP).As32(), reg.K2)
	p, q, n := GP64(), GP64(), GP64()
	Label("packLeftRow")
	MOVQ(from, p)
	MOVQ(to, q)
	MOVQ(tiles, n)
	TESTQ(n, n)
	JZ(LabelRef("packLeftLast"))
	Label("packLeftTile")
	VMOVUPS_Z(Mem{Base: p}, reg.K1, reg.Z0)
	VMOVUPS(reg.Z0, reg.K1, Mem{Base: q})
	ADDQ(Imm(48), p)
	ADDQ(apart, q)
	DECQ(n)
	JNZ(LabelRef("packLeftTile"))
	Label("packLeftLast")
	VMOVUPS_Z(Mem{Base: p}, reg.K2, reg.Z0)
	VMOVUPS(reg.Z0, reg.K1, Mem{Base: q})
	ADDQ(step, from)
	ADDQ(Imm(48), to)
	DECQ(k)
	JNZ(LabelRef("packLeftRow"))
	VZEROUPPER()
	RET()
}

// packRight walks along the rows, so that each page is visited once and the lines come in order.
func packRight() {
	TEXT("packRightAVX512", NOSPLIT, "func(to, from *float32, step, k, panels, apart int)")
	Doc("packRightAVX512 copies k rows of 32 panels floats, which are step apart, to panels of 32 columns: panel p holds row i at to[p*apart+i*32]. k and panels are at least 1.")
	to, from, step, k, panels, apart := load("to"), load("from"), load("step"), load("k"), load("panels"), load("apart")
	SHLQ(Imm(2), step)
	SHLQ(Imm(2), apart)
	p, q, n := GP64(), GP64(), GP64()
	Label("packRightRow")
	MOVQ(from, p)
	MOVQ(to, q)
	MOVQ(panels, n)
	Label("packRightPanel")
	PREFETCHT0(Mem{Base: p, Index: step, Scale: 4})
	PREFETCHT0(Mem{Base: p, Index: step, Scale: 4, Disp: 64})
	VMOVUPS(Mem{Base: p}, reg.Z0)
	VMOVUPS(Mem{Base: p, Disp: 64}, reg.Z1)
	VMOVUPS(reg.Z0, Mem{Base: q})
	VMOVUPS(reg.Z1, Mem{Base: q, Disp: 64})
	ADDQ(U32(128), p)
	ADDQ(apart, q)
	DECQ(n)
	JNZ(LabelRef("packRightPanel"))
	ADDQ(step, from)
	ADDQ(U32(128), to)
	DECQ(k)
	JNZ(LabelRef("packRightRow"))
	VZEROUPPER()
	RET()
}

// turnRight turns squares of 16 x 16 in registers: four rounds of exchanges between pairs of rows, of single
// numbers, of pairs, and of quarters of the registers twice.
func turnRight() {
	TEXT("turnRightAVX512", NOSPLIT, "func(to, from *float32, step, squares int)")
	Doc("turnRightAVX512 turns squares of 16 x 16: row r of 16 squares floats, step apart, becomes column r of rows of which each begins 32 floats after the one before. squares is at least 1.")
	to, from, step, squares := load("to"), load("from"), load("step"), load("squares")
	SHLQ(Imm(2), step)
	three, p := GP64(), GP64()
	LEAQ(Mem{Base: step, Index: step, Scale: 2}, three)
	var x, y [16]reg.VecPhysical
	all := []reg.VecPhysical{reg.Z0, reg.Z1, reg.Z2, reg.Z3, reg.Z4, reg.Z5, reg.Z6, reg.Z7, reg.Z8, reg.Z9, reg.Z10, reg.Z11, reg.Z12, reg.Z13, reg.Z14, reg.Z15,
		reg.Z16, reg.Z17, reg.Z18, reg.Z19, reg.Z20, reg.Z21, reg.Z22, reg.Z23, reg.Z24, reg.Z25, reg.Z26, reg.Z27, reg.Z28, reg.Z29, reg.Z30, reg.Z31}
	copy(x[:], all[:16])
	copy(y[:], all[16:])
	Label("turnRightSquare")
	MOVQ(from, p)
	for r := 0; r < 16; r += 4 {
		VMOVUPS(Mem{Base: p}, x[r])
		VMOVUPS(Mem{Base: p, Index: step, Scale: 1}, x[r+1])
		VMOVUPS(Mem{Base: p, Index: step, Scale: 2}, x[r+2])
		VMOVUPS(Mem{Base: p, Index: three, Scale: 1}, x[r+3])
		if r < 12 {
			LEAQ(Mem{Base: p, Index: step, Scale: 4}, p)
		}
	}
	for r := 0; r < 16; r += 2 { // in each quarter: numbers 0, 0, 1, 1 and 2, 2, 3, 3 of two rows
		VUNPCKLPS(x[r+1], x[r], y[r])
		VUNPCKHPS(x[r+1], x[r], y[r+1])
	}
	for r := 0; r < 16; r += 4 { // number c of quarter q of rows r..r+3 stands in quarter q of x[r+c]
		VUNPCKLPD(y[r+2], y[r], x[r])
		VUNPCKHPD(y[r+2], y[r], x[r+1])
		VUNPCKLPD(y[r+3], y[r+1], x[r+2])
		VUNPCKHPD(y[r+3], y[r+1], x[r+3])
	}
	for c := range 4 { // quarters 0 and 2, then 1 and 3, of rows 0..7 and of rows 8..15
		VSHUFF32X4(Imm(0x88), x[4+c], x[c], y[c])
		VSHUFF32X4(Imm(0xdd), x[4+c], x[c], y[4+c])
		VSHUFF32X4(Imm(0x88), x[12+c], x[8+c], y[8+c])
		VSHUFF32X4(Imm(0xdd), x[12+c], x[8+c], y[12+c])
	}
	for c := range 4 {
		VSHUFF32X4(Imm(0x88), y[8+c], y[c], x[c])
		VSHUFF32X4(Imm(0xdd), y[8+c], y[c], x[8+c])
		VSHUFF32X4(Imm(0x88), y[12+c], y[4+c], x[4+c])
		VSHUFF32X4(Imm(0xdd), y[12+c], y[4+c], x[12+c])
	}
	for c := range 16 {
		VMOVUPS(x[c], Mem{Base: to, Disp: 128 * c})
	}
	ADDQ(Imm(64), from)
	ADDQ(U32(128*16), to)
	DECQ(squares)
	JNZ(LabelRef("turnRightSquare"))
	VZEROUPPER()
	RET()
}

// tile writes a register tile of height x 2 vectors. The left side is read where it lies: row r at step i is
// a[r*row + i*step], so that neither a plain nor a transposed matrix is packed. Every third row has a
// pointer of its own; the two after it are reached by the index.
func tile(name string, height, size int, sums, right, left []reg.VecPhysical, zero func(reg.VecPhysical)) {
	TEXT(name, NOSPLIT, "func(a *float32, row, step int, b *float32, ldb int, c *float32, ldc, k, add int)")
	Doc(fmt.Sprintf("%s sets the %d x %d tile c, or adds to it unless add is 0, to the product of a, whose row r at i stands at r*row + i*step, and b, whose rows are ldb apart; k is at least 1.", name, height, size/2))
	a, row, step, b, ldb, c, ldc, k := load("a"), load("row"), load("step"), load("b"), load("ldb"), load("c"), load("ldc"), load("k")
	for _, n := range []reg.Register{row, step, ldb, ldc} {
		SHLQ(Imm(2), n)
	}
	rows := []reg.Register{a}
	three := GP64()
	LEAQ(Mem{Base: row, Index: row, Scale: 2}, three)
	for r := 3; r < height; r += 3 {
		p := GP64()
		LEAQ(Mem{Base: rows[len(rows)-1], Index: three, Scale: 1}, p)
		rows = append(rows, p)
	}
	at := func(r int) Mem {
		m := Mem{Base: rows[r/3]}
		if r%3 > 0 {
			m.Index, m.Scale = row, uint8(r%3)
		}
		return m
	}
	p := GP64()
	MOVQ(c, p)
	for r := range height { // the result is on its way while the sums are made
		PREFETCHT0(Mem{Base: p})
		if size > 32 {
			PREFETCHT0(Mem{Base: p, Disp: 64})
		}
		if r < height-1 {
			ADDQ(ldc, p)
		}
	}
	for _, r := range sums {
		zero(r)
	}
	Label(name + "Loop")
	VMOVUPS(Mem{Base: b}, right[0])
	VMOVUPS(Mem{Base: b, Disp: size}, right[1])
	PREFETCHT0(Mem{Base: a, Disp: 8*height - 4}) // the next tile of a transposed left side
	for r := range height {
		t := left[r%len(left)]
		VBROADCASTSS(at(r), t)
		VFMADD231PS(right[0], t, sums[2*r])
		VFMADD231PS(right[1], t, sums[2*r+1])
	}
	for _, p := range rows {
		ADDQ(step, p)
	}
	ADDQ(ldb, b)
	DECQ(k)
	JNZ(LabelRef(name + "Loop"))
	add := load("add")
	TESTQ(add, add)
	JZ(LabelRef(name + "Store"))
	MOVQ(c, p)
	for r := range height {
		for h := range 2 {
			VADDPS(Mem{Base: p, Disp: size * h}, sums[2*r+h], sums[2*r+h])
		}
		if r < height-1 {
			ADDQ(ldc, p)
		}
	}
	Label(name + "Store")
	for r := range height {
		for h := range 2 {
			VMOVUPS(sums[2*r+h], Mem{Base: c, Disp: size * h})
		}
		if r < height-1 {
			ADDQ(ldc, c)
		}
	}
	VZEROUPPER()
	RET()
}

func adam() {
	TEXT("adamAVX2", NOSPLIT, "func(x, m, v, d *float32, n int, c *float32)")
	Doc("adamAVX2 makes one step of Adam on n floats, a multiple of 8, at least 8; c holds the constants of adamConstants in their order.")
	x, m, v, g, n, c := load("x"), load("m"), load("v"), load("d"), load("n"), load("c")
	var k [8]reg.VecVirtual
	for i := range k {
		k[i] = YMM()
		VBROADCASTSS(Mem{Base: c, Disp: 4 * i}, k[i])
	}
	beta1, rest1, beta2, rest2, rate, root, eps, keep := k[0], k[1], k[2], k[3], k[4], k[5], k[6], k[7]
	gr, mm, vv, t := YMM(), YMM(), YMM(), YMM()
	Label("adamLoop")
	VMOVUPS(Mem{Base: g}, gr)
	VMULPS(Mem{Base: m}, beta1, mm)
	VFMADD231PS(gr, rest1, mm)
	VMOVUPS(mm, Mem{Base: m})
	VMULPS(gr, gr, gr)
	VMULPS(Mem{Base: v}, beta2, vv)
	VFMADD231PS(gr, rest2, vv)
	VMOVUPS(vv, Mem{Base: v})
	VSQRTPS(vv, vv)
	VMULPS(root, vv, vv)
	VADDPS(eps, vv, vv)
	VMULPS(rate, mm, mm)
	VDIVPS(vv, mm, mm)
	VMULPS(Mem{Base: x}, keep, t)
	VSUBPS(mm, t, t)
	VMOVUPS(t, Mem{Base: x})
	for _, p := range []reg.Register{x, m, v, g} {
		ADDQ(Imm(32), p)
	}
	SUBQ(Imm(8), n)
	JNZ(LabelRef("adamLoop"))
	VZEROUPPER()
	RET()
}

// exp follows Cephes: 2^n times a polynomial of degree 7 on the rest.
func exp() {
	TEXT("expAVX2", NOSPLIT, "func(x *float32, n int, c *float32) float32")
	Doc("expAVX2 sets x to exp(scale x + shift) and returns the sum; n is a multiple of 8, at least 8; c holds the constants of expConstants in their order, scale and shift first.")
	x, n, c := load("x"), load("n"), load("c")
	at := func(i int) Mem { return Mem{Base: c, Disp: 32 * i} }
	scale, shift, sum := YMM(), YMM(), YMM()
	VMOVUPS(at(0), scale)
	VMOVUPS(at(1), shift)
	VXORPS(sum, sum, sum)
	z, p, e := YMM(), YMM(), YMM()
	Label("expLoop")
	VMOVUPS(Mem{Base: x}, z)
	VMULPS(scale, z, z)
	VADDPS(shift, z, z)
	VMAXPS(at(2), z, z)
	VMINPS(at(3), z, z)
	VMULPS(at(4), z, e)
	VROUNDPS(Imm(8), e, e)
	VFNMADD231PS(at(5), e, z)
	VFNMADD231PS(at(6), e, z)
	VMOVUPS(at(7), p)
	for i := 8; i < 13; i++ {
		VFMADD213PS(at(i), z, p)
	}
	t := YMM()
	VMULPS(z, z, t)
	VFMADD213PS(z, t, p) // p = p t + z
	VADDPS(at(13), p, p)
	VCVTPS2DQ(e, e)
	VPSLLD(Imm(23), e, e)
	VPADDD(e, p, p) // times 2^n: the result is a normal number by the clamp
	VMOVUPS(p, Mem{Base: x})
	VADDPS(p, sum, sum)
	ADDQ(Imm(32), x)
	SUBQ(Imm(8), n)
	JNZ(LabelRef("expLoop"))
	lo, hi := XMM(), XMM()
	VEXTRACTF128(Imm(1), sum, hi)
	VADDPS(sum.AsX(), hi, lo)
	VPERMILPS(Imm(0x4e), lo, hi)
	VADDPS(hi, lo, lo)
	VPERMILPS(Imm(0xb1), lo, hi)
	VADDPS(hi, lo, lo)
	VZEROUPPER()
	Store(lo, ReturnIndex(0))
	RET()
}
