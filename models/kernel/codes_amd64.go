//go:build amd64 && !purego

package kernel

import "golang.org/x/sys/cpu"

// vnni asks for the AVX-512 forms by name: the assembler writes VPDPBUSD in its EVEX form only, which
// a processor with AVX-VNNI alone does not know.
var vnni = accelerated && cpu.X86.HasAVX512F && cpu.X86.HasAVX512BW && cpu.X86.HasAVX512VL && cpu.X86.HasAVX512VNNI

func codesSome(scores []float32, query []int8, codes []byte, scale []float32, bias int32, add float32) {
	groups, blocks := len(query)/4, len(scores)/CodeRows
	switch {
	case groups == 0 || blocks == 0 || !accelerated:
		codesGeneric(scores, query, codes, scale, bias, add)
	case vnni:
		codesVNNI(&scores[0], &query[0], &codes[0], &scale[0], groups, blocks, bias, add)
	default:
		codesWords(scores, query, codes, scale, bias, add)
	}
}

// codesWords is the AVX2 form. It multiplies 16-bit words: VPMADDUBSW, on bytes, saturates.
func codesWords(scores []float32, query []int8, codes []byte, scale []float32, bias int32, add float32) {
	var room [256]int16
	words := room[:0]
	for _, q := range query {
		words = append(words, int16(q))
	}
	codesAVX2(&scores[0], &words[0], &codes[0], &scale[0], len(query)/4, len(scores)/CodeRows, bias, add)
}

func maskFast(mask []uint64, scores []float32, floor float32) {
	maskAVX2(&mask[0], &scores[0], len(mask), floor)
}

// codesVNNI scores blocks of 64 rows of groups groups with VPDPBUSD; both are at least 1.
//
//go:noescape
func codesVNNI(scores *float32, query *int8, codes *byte, scale *float32, groups int, blocks int, bias int32, add float32)

// codesAVX2 is codesVNNI for processors without it; query holds words.
//
//go:noescape
func codesAVX2(scores *float32, query *int16, codes *byte, scale *float32, groups int, blocks int, bias int32, add float32)

// maskAVX2 writes n words of 64 comparisons each; n is at least 1.
//
//go:noescape
func maskAVX2(mask *uint64, scores *float32, n int, floor float32)
