//go:build amd64 && !purego

package kernel

func coarseKernels() map[string]passKernel {
	all := map[string]passKernel{"CoarseAbove": coarseWith(Ahead), "CoarseAbove, far ahead": coarseWith(1 << 20), "generic": {look: inCalls(coarseGeneric, CodeRows*4)}}
	if accelerated {
		all["words"] = passKernel{true, inCalls(coarseWords, CodeRows*4)}
	}
	return all
}
