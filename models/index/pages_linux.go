package index

import (
	"runtime"
	"syscall"
)

// hugePage is the size of a large page, and the least size worth asking for them.
const hugePage = 2 << 20

// pages returns n zero bytes, in large pages where the system has them: a scan then misses no address
// translation. They live as long as owner.
func pages[T any](owner *T, n int) []byte {
	if n < hugePage {
		return make([]byte, n)
	}
	all, err := syscall.Mmap(-1, 0, n+hugePage, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		return make([]byte, n)
	}
	_ = syscall.Madvise(all, syscall.MADV_HUGEPAGE) // only a hint
	// A failure to unmap leaks the pages, and there is nobody to tell.
	runtime.AddCleanup(owner, func(b []byte) { _ = syscall.Munmap(b) }, all)
	return all[:n:n]
}
