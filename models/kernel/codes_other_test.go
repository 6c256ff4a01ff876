//go:build !amd64 || purego

package kernel

func codeKernels() map[string]codeKernel {
	return map[string]codeKernel{"Codes": Codes, "generic": codesGeneric}
}
