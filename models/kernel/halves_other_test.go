//go:build !amd64 || purego

package kernel

func coarseKernels() map[string]coarseKernel {
	return map[string]coarseKernel{"Coarse": coarseWith(Ahead), "Coarse, far ahead": coarseWith(1 << 20), "generic": coarseGeneric}
}
