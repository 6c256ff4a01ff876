//go:build amd64 && !purego

package kernel

func coarseKernels() map[string]coarseKernel {
	all := map[string]coarseKernel{"Coarse": coarseWith(Ahead), "Coarse, far ahead": coarseWith(1 << 20), "generic": coarseGeneric}
	if accelerated {
		all["words"] = coarseWords
	}
	return all
}
