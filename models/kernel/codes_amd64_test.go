//go:build amd64 && !purego

package kernel

func codeKernels() map[string]codeKernel {
	all := map[string]codeKernel{"Codes": Codes, "generic": codesGeneric}
	if accelerated {
		all["words"] = codesWords
	}
	return all
}
