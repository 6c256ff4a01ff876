//go:build !amd64 || purego

package kernel

func codeKernels() map[string]passKernel {
	return map[string]passKernel{"CodesAbove": {look: CodesAbove}, "generic": {look: inCalls(codesGeneric, CodeRows*8)}}
}
