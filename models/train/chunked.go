package train

import "iter"

// chunkBits is the binary logarithm of the elements of a chunk: 1 MiB of interactions.
const chunkBits = 16

// chunked is a slice that grows without being copied, so that it never takes more than it holds and one
// chunk; a short one grows like any slice. The zero value is empty.
type chunked[T any] struct {
	chunks [][]T // all but the last are full
	n      int
}

func (c *chunked[T]) add(x T) {
	at := c.n >> chunkBits
	switch {
	case at == len(c.chunks) && at == 0:
		c.chunks = append(c.chunks, nil) // small logs are many
	case at == len(c.chunks):
		c.chunks = append(c.chunks, make([]T, 0, 1<<chunkBits))
	}
	c.chunks[at] = append(c.chunks[at], x)
	c.n++
}

func (c *chunked[T]) len() int { return c.n }

func (c *chunked[T]) at(i int) T { return c.chunks[i>>chunkBits][i&(1<<chunkBits-1)] }

// all yields the elements with their places, in their order.
func (c *chunked[T]) all() iter.Seq2[int, T] {
	return func(yield func(int, T) bool) {
		for k, chunk := range c.chunks {
			for i, x := range chunk {
				if !yield(k<<chunkBits+i, x) {
					return
				}
			}
		}
	}
}
