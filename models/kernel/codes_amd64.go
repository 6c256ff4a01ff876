//go:build amd64 && !purego

package kernel

import "golang.org/x/sys/cpu"

// vnni asks for the AVX-512 forms by name: the assembler writes VPDPBUSD in its EVEX form only, which
// a processor with AVX-VNNI alone does not know.
var vnni = accelerated && cpu.X86.HasAVX512F && cpu.X86.HasAVX512BW && cpu.X86.HasAVX512VL && cpu.X86.HasAVX512VNNI

// Digits is how many digits of a query cost no more than one: a scan that waits for memory has time for
// another.
func Digits() int {
	if vnni {
		return 2
	}
	return 1
}

func codesSome(out *Passed, n, at int, q *Query, b Blocks, floor float32) int {
	groups := len(q.High) / 4
	switch {
	case groups > 0 && vnni && q.Low != nil:
		return codesVNNI(out, n, at, &q.High[0], &q.Low[0], &b.Codes[0], &b.Scale[0], groups, len(b.Words), q.Bias, q.LowBias, &b.Adds[0], &b.Words[0], int32(b.First), floor)
	case groups > 0 && accelerated && q.Low == nil:
		return codesWords(out, n, at, q, b, floor)
	}
	return codesGeneric(out, n, at, q, b, floor)
}

// codesWords is the AVX2 form, of one digit. It multiplies 16-bit words: VPMADDUBSW, on bytes, saturates.
func codesWords(out *Passed, n, at int, q *Query, b Blocks, floor float32) int {
	var room [256]int16
	words := room[:0]
	for _, q := range q.High {
		words = append(words, int16(q))
	}
	codesAVX2(&out.scores[at], &out.Sums[at], &words[0], &b.Codes[0], &b.Scale[0], len(q.High)/4, len(b.Words), q.Bias, &b.Adds[0])
	return out.gather(n, at, b, floor)
}

func maskFast(mask []uint64, scores []float32, floor float32) {
	maskAVX2(&mask[0], &scores[0], len(mask), floor)
}

// codesVNNI looks at blocks of 64 rows of groups groups with VPDPBUSD; both are at least 1.
//
//go:noescape
func codesVNNI(out *Passed, n int, at int, query *int8, low *int8, codes *byte, scale *float32, groups int, blocks int, bias int32, lowBias int32, adds *float32, words *uint64, first int32, floor float32) int

// codesAVX2 writes the sums and the scores of blocks of 64 rows of groups groups, for processors without; query
// holds words.
//
//go:noescape
func codesAVX2(scores *float32, sums *float32, query *int16, codes *byte, scale *float32, groups int, blocks int, bias int32, adds *float32)

// maskAVX2 writes n words of 64 comparisons each; n is at least 1.
//
//go:noescape
func maskAVX2(mask *uint64, scores *float32, n int, floor float32)
