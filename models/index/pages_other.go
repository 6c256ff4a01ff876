//go:build !linux

package index

// pages returns n zero bytes.
func pages[T any](_ *T, n int) []byte { return make([]byte, n) }
