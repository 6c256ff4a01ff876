// Command learn writes the kernels of training, learn_amd64.s, with avo: the tiles of a matrix
// product, a step of Adam and the exponential of a row. Run it with 'go generate ./models/kernel'.
package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func main() {
	ConstraintExpr("amd64,!purego")
	tileAVX2()
	tileAVX512()
	adam()
	exp()
	Generate()
}

func load(name string) reg.Register { return Load(Param(name), GP64()) }

// tileAVX2 keeps 6 x 16 sums in twelve registers, which leaves two for b and two for broadcasts.
func tileAVX2() {
	TEXT("mulTileAVX2", NOSPLIT, "func(a, b, c *float32, k, ldc int)")
	Doc("mulTileAVX2 adds to the 6 x 16 tile c the product of a, packed as k groups of 6, and b, packed as k groups of 16; k is at least 1.")
	a, b, c, k, ldc := load("a"), load("b"), load("c"), load("k"), load("ldc")
	SHLQ(Imm(2), ldc)
	y := []reg.VecPhysical{reg.Y0, reg.Y1, reg.Y2, reg.Y3, reg.Y4, reg.Y5, reg.Y6, reg.Y7, reg.Y8, reg.Y9, reg.Y10, reg.Y11}
	for _, r := range y {
		VXORPS(r, r, r)
	}
	b0, b1 := reg.Y12, reg.Y13
	Label("mul2Loop")
	VMOVUPS(Mem{Base: b}, b0)
	VMOVUPS(Mem{Base: b, Disp: 32}, b1)
	for r := range 6 {
		t := []reg.VecPhysical{reg.Y14, reg.Y15}[r%2]
		VBROADCASTSS(Mem{Base: a, Disp: 4 * r}, t)
		VFMADD231PS(b0, t, y[2*r])
		VFMADD231PS(b1, t, y[2*r+1])
	}
	ADDQ(Imm(24), a)
	ADDQ(Imm(64), b)
	DECQ(k)
	JNZ(LabelRef("mul2Loop"))
	for r := range 6 {
		for h := range 2 {
			VADDPS(Mem{Base: c, Disp: 32 * h}, y[2*r+h], y[2*r+h])
			VMOVUPS(y[2*r+h], Mem{Base: c, Disp: 32 * h})
		}
		if r < 5 {
			ADDQ(ldc, c)
		}
	}
	VZEROUPPER()
	RET()
}

// tileAVX512 keeps 12 x 32 sums in 24 of the 32 wide registers.
func tileAVX512() {
	TEXT("mulTileAVX512", NOSPLIT, "func(a, b, c *float32, k, ldc int)")
	Doc("mulTileAVX512 adds to the 12 x 32 tile c the product of a, packed as k groups of 12, and b, packed as k groups of 32; k is at least 1.")
	a, b, c, k, ldc := load("a"), load("b"), load("c"), load("k"), load("ldc")
	SHLQ(Imm(2), ldc)
	z := []reg.VecPhysical{reg.Z0, reg.Z1, reg.Z2, reg.Z3, reg.Z4, reg.Z5, reg.Z6, reg.Z7, reg.Z8, reg.Z9, reg.Z10, reg.Z11,
		reg.Z12, reg.Z13, reg.Z14, reg.Z15, reg.Z16, reg.Z17, reg.Z18, reg.Z19, reg.Z20, reg.Z21, reg.Z22, reg.Z23}
	for _, r := range z {
		VPXORD(r, r, r)
	}
	b0, b1 := reg.Z24, reg.Z25
	Label("mul5Loop")
	VMOVUPS(Mem{Base: b}, b0)
	VMOVUPS(Mem{Base: b, Disp: 64}, b1)
	for r := range 12 {
		t := []reg.VecPhysical{reg.Z26, reg.Z27, reg.Z28, reg.Z29}[r%4]
		VBROADCASTSS(Mem{Base: a, Disp: 4 * r}, t)
		VFMADD231PS(b0, t, z[2*r])
		VFMADD231PS(b1, t, z[2*r+1])
	}
	ADDQ(Imm(48), a)
	ADDQ(U32(128), b)
	DECQ(k)
	JNZ(LabelRef("mul5Loop"))
	for r := range 12 {
		for h := range 2 {
			VADDPS(Mem{Base: c, Disp: 64 * h}, z[2*r+h], z[2*r+h])
			VMOVUPS(z[2*r+h], Mem{Base: c, Disp: 64 * h})
		}
		if r < 11 {
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
	var k [7]reg.VecVirtual
	for i := range k {
		k[i] = YMM()
		VBROADCASTSS(Mem{Base: c, Disp: 4 * i}, k[i])
	}
	beta1, rest1, beta2, rest2, rate, root, eps := k[0], k[1], k[2], k[3], k[4], k[5], k[6]
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
	VMOVUPS(Mem{Base: x}, t)
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
