package index

import "math/bits"

// Bitmap is a set of rows: bit i%64 of word i/64. It is as long as its owner made it; a row beyond the
// end is not in the set. Reading is safe for concurrent use while nobody writes.
type Bitmap []uint64

// NewBitmap returns an empty set with room for the rows 0..n-1.
func NewBitmap(n int) Bitmap { return make(Bitmap, (n+63)/64) }

// Fill returns the set of all rows 0..n-1.
func Fill(n int) Bitmap {
	b := NewBitmap(n)
	for i := range b {
		b[i] = ^uint64(0)
	}
	if tail := n % 64; tail != 0 {
		b[len(b)-1] = 1<<tail - 1
	}
	return b
}

// Set adds row i, which must be in range.
func (b Bitmap) Set(i int) { b[i>>6] |= 1 << (i & 63) }

// Clear removes row i, which must be in range.
func (b Bitmap) Clear(i int) { b[i>>6] &^= 1 << (i & 63) }

// Has tells whether row i is in the set.
func (b Bitmap) Has(i int) bool { return i >= 0 && i>>6 < len(b) && b[i>>6]>>(i&63)&1 != 0 }

// Count returns the number of rows in the set.
func (b Bitmap) Count() int {
	n := 0
	for _, w := range b {
		n += bits.OnesCount64(w)
	}
	return n
}

// Clone returns a copy that shares nothing.
func (b Bitmap) Clone() Bitmap { return append(Bitmap(nil), b...) }

// And keeps only the rows that are also in other.
func (b Bitmap) And(other Bitmap) {
	for i := range b {
		if i < len(other) {
			b[i] &= other[i]
		} else {
			b[i] = 0
		}
	}
}
