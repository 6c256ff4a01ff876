// Command layers writes the elementwise kernels of neural layers, layers_amd64.s, with avo. Run it with
// 'go generate ./models/kernel'.
package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func main() {
	ConstraintExpr("amd64,!purego")
	sigmoid()
	expSum()
	maxSum()
	squareSum()
	mul()
	swishBack()
	decay()
	decayBack()
	drop()
	norm()
	normBack()
	Generate()
}

func load(name string) reg.Register { return Load(Param(name), GP64()) }

// loop runs the body over n floats by eights; i counts floats.
func loop(name string, n reg.Register, body func(at func(p reg.Register) Mem)) {
	i := GP64()
	XORQ(i, i)
	Label(name)
	body(func(p reg.Register) Mem { return Mem{Base: p, Index: i, Scale: 4} })
	ADDQ(Imm(8), i)
	CMPQ(i, n)
	JL(LabelRef(name))
}

// broadcast reads the argument with an instruction of AVX: one of SSE, which Load would choose, waits for
// hundreds of cycles when the upper halves of the registers are in use.
func broadcast(name string) reg.VecVirtual {
	p, err := Param(name).Resolve()
	if err != nil {
		panic(err)
	}
	y := YMM()
	VBROADCASTSS(p.Addr, y)
	return y
}

// total adds the eight lanes and leaves the sum in all of them.
func total(y reg.VecVirtual) {
	t := YMM()
	VPERM2F128(Imm(1), y, y, t)
	VADDPS(t, y, y)
	VPERMILPS(Imm(0x4e), y, t)
	VADDPS(t, y, y)
	VPERMILPS(Imm(0xb1), y, t)
	VADDPS(t, y, y)
}

// exp sets z to e^z after Cephes: 2^n times a polynomial of degree 7 on the rest. c holds expConstants.
func exp(z reg.VecVirtual, c reg.Register) {
	at := func(i int) Mem { return Mem{Base: c, Disp: 32 * i} }
	e, p, t := YMM(), YMM(), YMM()
	VMAXPS(at(0), z, z)
	VMINPS(at(1), z, z)
	VMULPS(at(2), z, e)
	VROUNDPS(Imm(8), e, e)
	VFNMADD231PS(at(3), e, z)
	VFNMADD231PS(at(4), e, z)
	VMOVUPS(at(5), p)
	for i := 6; i < 11; i++ {
		VFMADD213PS(at(i), z, p)
	}
	VMULPS(z, z, t)
	VFMADD213PS(z, t, p) // p = p t + z
	VADDPS(at(11), p, p)
	VCVTPS2DQ(e, e)
	VPSLLD(Imm(23), e, e)
	VPADDD(e, p, z) // times 2^n: the result is a normal number by the clamp
}

func sigmoid() {
	TEXT("sigmoidAVX2", NOSPLIT, "func(y, x *float32, n int, scale float32, c *float32)")
	Doc("sigmoidAVX2 sets y to 1/(1+e^(scale x)); n is a multiple of 8, at least 8; c holds expConstants.")
	y, x, n, c := load("y"), load("x"), load("n"), load("c")
	scale := broadcast("scale")
	one := YMM()
	VMOVUPS(Mem{Base: c, Disp: 32 * 11}, one)
	loop("sigmoidLoop", n, func(at func(reg.Register) Mem) {
		z := YMM()
		VMULPS(at(x), scale, z)
		exp(z, c)
		VADDPS(one, z, z)
		VDIVPS(z, one, z)
		VMOVUPS(z, at(y))
	})
	VZEROUPPER()
	RET()
}

func expSum() {
	TEXT("expSumAVX2", NOSPLIT, "func(x, y *float32, n int, shift float32, c *float32) float32")
	Doc("expSumAVX2 sets x to e^(x+y+shift) and returns the sum; n is a multiple of 8, at least 8; c holds expConstants.")
	x, y, n, c := load("x"), load("y"), load("n"), load("c")
	shift, sum := broadcast("shift"), YMM()
	VXORPS(sum, sum, sum)
	loop("expSumLoop", n, func(at func(reg.Register) Mem) {
		z := YMM()
		VMOVUPS(at(x), z)
		VADDPS(at(y), z, z)
		VADDPS(shift, z, z)
		exp(z, c)
		VMOVUPS(z, at(x))
		VADDPS(z, sum, sum)
	})
	total(sum)
	VZEROUPPER()
	Store(sum.AsX(), ReturnIndex(0))
	RET()
}

func maxSum() {
	TEXT("maxSumAVX2", NOSPLIT, "func(x, y *float32, n int) float32")
	Doc("maxSumAVX2 returns the largest x+y; n is a multiple of 8, at least 8.")
	x, y, n := load("x"), load("y"), load("n")
	best, z := YMM(), YMM()
	VMOVUPS(Mem{Base: x}, best)
	VADDPS(Mem{Base: y}, best, best)
	loop("maxSumLoop", n, func(at func(reg.Register) Mem) {
		VMOVUPS(at(x), z)
		VADDPS(at(y), z, z)
		VMAXPS(z, best, best)
	})
	t := YMM()
	VPERM2F128(Imm(1), best, best, t)
	VMAXPS(t, best, best)
	VPERMILPS(Imm(0x4e), best, t)
	VMAXPS(t, best, best)
	VPERMILPS(Imm(0xb1), best, t)
	VMAXPS(t, best, best)
	VZEROUPPER()
	Store(best.AsX(), ReturnIndex(0))
	RET()
}

func squareSum() {
	TEXT("squareSumAVX2", NOSPLIT, "func(x *float32, n int) float64")
	Doc("squareSumAVX2 returns the sum of the squares in float64; n is a multiple of 8, at least 8.")
	x, n := load("x"), load("n")
	lo, hi, a, b := YMM(), YMM(), YMM(), YMM()
	VXORPD(a, a, a)
	VXORPD(b, b, b)
	loop("squareSumLoop", n, func(at func(reg.Register) Mem) {
		m := at(x)
		VCVTPS2PD(m, lo)
		m.Disp += 16
		VCVTPS2PD(m, hi)
		VFMADD231PD(lo, lo, a)
		VFMADD231PD(hi, hi, b)
	})
	VADDPD(b, a, a)
	u, v := XMM(), XMM()
	VEXTRACTF128(Imm(1), a, u)
	VADDPD(a.AsX(), u, u)
	VPERMILPD(Imm(1), u, v)
	VADDPD(v, u, u)
	VZEROUPPER()
	Store(u, ReturnIndex(0))
	RET()
}

func mul() {
	TEXT("mulAVX2", NOSPLIT, "func(z, x, y *float32, n int)")
	Doc("mulAVX2 sets z to x*y; n is a multiple of 8, at least 8.")
	z, x, y, n := load("z"), load("x"), load("y"), load("n")
	v := YMM()
	loop("mulLoop", n, func(at func(reg.Register) Mem) {
		VMOVUPS(at(x), v)
		VMULPS(at(y), v, v)
		VMOVUPS(v, at(z))
	})
	VZEROUPPER()
	RET()
}

func swishBack() {
	TEXT("swishBackAVX2", NOSPLIT, "func(d, x, s *float32, n int, scale, one float32)")
	Doc("swishBackAVX2 multiplies d by s (1 + scale x (1 - s)); n is a multiple of 8, at least 8.")
	d, x, s, n := load("d"), load("x"), load("s"), load("n")
	scale, one := broadcast("scale"), broadcast("one")
	v, w, u := YMM(), YMM(), YMM()
	loop("swishBackLoop", n, func(at func(reg.Register) Mem) {
		VMOVUPS(at(s), v)
		VSUBPS(v, one, w)
		VMULPS(at(x), scale, u)
		VFMADD213PS(one, w, u) // u = u w + 1
		VMULPS(u, v, v)
		VMULPS(at(d), v, v)
		VMOVUPS(v, at(d))
	})
	VZEROUPPER()
	RET()
}

func decay() {
	TEXT("decayAVX2", NOSPLIT, "func(h, last, a, lambda, gamma *float32, n int)")
	Doc("decayAVX2 sets h to lambda*last + gamma*a; n is a multiple of 8, at least 8.")
	h, last, a, lambda, gamma, n := load("h"), load("last"), load("a"), load("lambda"), load("gamma"), load("n")
	v, w := YMM(), YMM()
	loop("decayLoop", n, func(at func(reg.Register) Mem) {
		VMOVUPS(at(gamma), v)
		VMULPS(at(a), v, v)
		VMOVUPS(at(lambda), w)
		VFMADD231PS(at(last), w, v)
		VMOVUPS(v, at(h))
	})
	VZEROUPPER()
	RET()
}

func decayBack() {
	TEXT("decayBackAVX2", NOSPLIT, "func(d, last, a, lambda, gamma, carry, byGamma, byLambda *float32, n int)")
	Doc("decayBackAVX2 goes back through one decay; n is a multiple of 8, at least 8.")
	d, last, a, lambda, gamma := load("d"), load("last"), load("a"), load("lambda"), load("gamma")
	carry, byGamma, byLambda, n := load("carry"), load("byGamma"), load("byLambda"), load("n")
	v, w := YMM(), YMM()
	loop("decayBackLoop", n, func(at func(reg.Register) Mem) {
		VMOVUPS(at(d), v)
		VADDPS(at(carry), v, v)
		VMULPS(at(gamma), v, w)
		VMOVUPS(w, at(d))
		VMOVUPS(at(byGamma), w)
		VFMADD231PS(at(a), v, w)
		VMOVUPS(w, at(byGamma))
		VMULPS(at(lambda), v, v)
		VMOVUPS(v, at(carry))
		VMULPS(at(last), v, v)
		VMOVUPS(v, at(byLambda))
	})
	VZEROUPPER()
	RET()
}

// drop hashes eight places at a time as spread does. Comparison is of signed numbers, so the top bits
// are turned on both sides.
func drop() {
	TEXT("dropAVX2", NOSPLIT, "func(x *float32, n int, c *uint32, scale float32)")
	Doc("dropAVX2 zeroes those x whose hashed place is below the limit and multiplies the others by scale; n is a multiple of 8, at least 8; c holds the first eight places, 8, the two factors of spread, the top bit, and the limit with its top bit turned, eight times each.")
	x, n, c := load("x"), load("n"), load("c")
	scale := broadcast("scale")
	at := func(i int) Mem { return Mem{Base: c, Disp: 32 * i} }
	place, limit := YMM(), YMM()
	VMOVDQU(at(0), place)
	VMOVDQU(at(5), limit)
	h, t := YMM(), YMM()
	loop("dropLoop", n, func(mem func(reg.Register) Mem) {
		VPSRLD(Imm(16), place, t)
		VPXOR(t, place, h)
		VPMULLD(at(2), h, h)
		VPSRLD(Imm(15), h, t)
		VPXOR(t, h, h)
		VPMULLD(at(3), h, h)
		VPSRLD(Imm(16), h, t)
		VPXOR(t, h, h)
		VPXOR(at(4), h, h)
		VPCMPGTD(h, limit, t) // limit > h: dropped
		VMULPS(mem(x), scale, h)
		VPANDN(h, t, h)
		VMOVUPS(h, mem(x))
		VPADDD(at(1), place, place)
	})
	VZEROUPPER()
	RET()
}

// norm takes 32 floats at a time, so that the additions do not wait for each other, and then eights.
func norm() {
	TEXT("normAVX2", NOSPLIT, "func(y, x, scale, shift *float32, n int, part, eps float32) float32")
	Doc("normAVX2 normalises x and sets y to scale*x + shift; n is a multiple of 8, at least 8; part is 1/n.")
	y, x, scale, shift, n := load("y"), load("x"), load("scale"), load("shift"), load("n")
	part, eps := broadcast("part"), broadcast("eps")
	mean, v := YMM(), YMM()
	sums := fours("normMean", x, n, func(m Mem, sum reg.VecVirtual) { VADDPS(m, sum, sum) })
	VMULPS(part, sums, mean)
	w := []reg.VecVirtual{YMM(), YMM(), YMM(), YMM()}
	next := 0
	square := fours("normSquare", x, n, func(m Mem, sum reg.VecVirtual) {
		t := w[next%4]
		next++
		VMOVUPS(m, t)
		VSUBPS(mean, t, t)
		VMOVUPS(t, m)
		VFMADD231PS(t, t, sum)
	})
	VFMADD213PS(eps, part, square) // square = square part + eps
	VSQRTPS(square, square)
	one, o := YMM(), GP32()
	MOVL(U32(0x3f800000), o)
	VMOVD(o, one.AsX())
	VBROADCASTSS(one.AsX(), one)
	VDIVPS(square, one, square)
	loop("normScale", n, func(at func(reg.Register) Mem) {
		VMULPS(at(x), square, v)
		VMOVUPS(v, at(x))
		VMULPS(at(scale), v, v)
		VADDPS(at(shift), v, v)
		VMOVUPS(v, at(y))
	})
	VZEROUPPER()
	Store(square.AsX(), ReturnIndex(0))
	RET()
}

// fours runs the body over x with four sums in turn, and returns their total in all lanes.
func fours(name string, x, n reg.Register, body func(m Mem, sum reg.VecVirtual)) reg.VecVirtual {
	sums := []reg.VecVirtual{YMM(), YMM(), YMM(), YMM()}
	for _, s := range sums {
		VXORPS(s, s, s)
	}
	i, whole := GP64(), GP64()
	XORQ(i, i)
	MOVQ(n, whole)
	ANDQ(I32(-32), whole)
	JZ(LabelRef(name + "Rest"))
	Label(name + "Fours")
	for k, s := range sums {
		body(Mem{Base: x, Index: i, Scale: 4, Disp: 32 * k}, s)
	}
	ADDQ(Imm(32), i)
	CMPQ(i, whole)
	JL(LabelRef(name + "Fours"))
	Label(name + "Rest")
	CMPQ(i, n)
	JGE(LabelRef(name + "Sum"))
	body(Mem{Base: x, Index: i, Scale: 4}, sums[0])
	ADDQ(Imm(8), i)
	JMP(LabelRef(name + "Rest"))
	Label(name + "Sum")
	VADDPS(sums[1], sums[0], sums[0])
	VADDPS(sums[3], sums[2], sums[2])
	VADDPS(sums[2], sums[0], sums[0])
	total(sums[0])
	return sums[0]
}

func normBack() {
	TEXT("normBackAVX2", NOSPLIT, "func(d, x, scale, byScale, byShift *float32, n int, inverse, part float32)")
	Doc("normBackAVX2 goes back through norm; n is a multiple of 8, at least 8; part is 1/n.")
	d, x, scale, byScale, byShift, n := load("d"), load("x"), load("scale"), load("byScale"), load("byShift"), load("n")
	inverse, part := broadcast("inverse"), broadcast("part")
	mean, along, v, w := YMM(), YMM(), YMM(), YMM()
	VXORPS(mean, mean, mean)
	VXORPS(along, along, along)
	loop("normBackSums", n, func(at func(reg.Register) Mem) {
		VMOVUPS(at(d), v)
		VMOVUPS(at(byScale), w)
		VFMADD231PS(at(x), v, w)
		VMOVUPS(w, at(byScale))
		VADDPS(at(byShift), v, w)
		VMOVUPS(w, at(byShift))
		VMULPS(at(scale), v, v)
		VMOVUPS(v, at(d))
		VADDPS(v, mean, mean)
		VFMADD231PS(at(x), v, along)
	})
	total(mean)
	total(along)
	VMULPS(part, mean, mean)
	VMULPS(part, along, along)
	loop("normBackOut", n, func(at func(reg.Register) Mem) {
		VMOVUPS(at(d), v)
		VSUBPS(mean, v, v)
		VMULPS(at(x), along, w)
		VSUBPS(w, v, v)
		VMULPS(inverse, v, v)
		VMOVUPS(v, at(d))
	})
	VZEROUPPER()
	RET()
}
