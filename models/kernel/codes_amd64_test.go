//go:build amd64 && !purego

package kernel

func codeKernels() map[string]passKernel {
	all := map[string]passKernel{"CodesAbove": {look: CodesAbove}, "generic": {look: inCalls(codesGeneric, CodeRows*8)}}
	if accelerated {
		all["words"] = passKernel{true, inCalls(codesWords, CodeRows*8)}
	}
	return all
}
