//go:build !amd64 || purego

package kernel

func coarseKernels() map[string]passKernel {
	return map[string]passKernel{"CoarseAbove": coarseWith(Ahead), "CoarseAbove, far ahead": coarseWith(1 << 20), "generic": {look: inCalls(coarseGeneric, CodeRows*4)}}
}
