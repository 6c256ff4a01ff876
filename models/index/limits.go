package index

import (
	"bytes"
	"math"
	"runtime"
	"time"

	"github.com/sartorhq/sartor/models/kernel"
)

// Limits is what a machine allows a search of one index: both figures are the shortest of several
// passes of one goroutine over memory of the same size and kind of pages, since other programs disturb only
// upwards.
type Limits struct {
	// Bytes is what one pass reads: codes, or the upper halves of many, and their scales, or the vectors of an
	// index without codes.
	Bytes int
	// Read is the time in which the bytes can be read at all, by the fastest of several loops that do
	// nothing else.
	Read time.Duration
	// Scan is the time in which all rows are scored and compared with a floor that none passes.
	Scan time.Duration
}

// Bandwidth returns the bytes read in a second, in GB/s.
func (l Limits) Bandwidth() float64 { return float64(l.Bytes) / float64(max(l.Read, 1)) }

// Ratio is the share of the bandwidth that the scan reaches.
func (l Limits) Ratio() float64 { return float64(l.Read) / float64(max(l.Scan, 1)) }

// Limits measures with the given number of passes, at least one. It changes nothing.
func (x *Flat) Limits(passes int) Limits {
	out := Limits{Bytes: len(x.vectors) * 4, Read: math.MaxInt64, Scan: math.MaxInt64}
	if x.codes != nil {
		out.Bytes = len(x.codes.coarse) + len(x.codes.whole) + 4*(len(x.codes.scale)+len(x.codes.rest))
	}
	owner := new([]byte)
	room := pages(owner, out.Bytes)
	for i := range room {
		room[i] = 1
	}
	other := make([]byte, 64<<10)
	for i := range other {
		other[i] = 1
	}
	s, query := newSearch(), &coded{}
	if x.codes != nil {
		query.query.High = make([]int8, len(x.codes.slots))
		if kernel.Digits() > 1 {
			query.query.Low = make([]int8, len(x.codes.slots))
		}
	}
	q := make([]float32, x.dim)
	// All passes over one memory and then all over the other: taking turns, each would find in a shared cache
	// what the other left there, and which of them that helps depends on the cache.
	for range max(passes, 1) {
		out.Read = min(out.Read, timed(func() { bytes.IndexByte(room, 0) }), timed(func() { equalPieces(room, other) }))
	}
	for range max(passes, 1) {
		out.Scan = min(out.Scan, timed(func() { x.score(&s, query, q) }))
	}
	runtime.KeepAlive(owner)
	runtime.KeepAlive(x)
	return out
}

// equalPieces compares all of room with a piece that stays in the cache.
func equalPieces(room, piece []byte) {
	for len(room) >= len(piece) && bytes.Equal(room[:len(piece)], piece) {
		room = room[len(piece):]
	}
}

// score scores every row, chunk by chunk, none of which passes.
func (x *Flat) score(s *search, query *coded, q []float32) {
	for first := 0; first < x.rows; first += chunk {
		n := min(chunk, x.rows-first)
		if x.codes == nil {
			x.scoreChunk(s.scores[:n], q, first)
			continue
		}
		words, block := s.sieve.choose(first, x.rows, nil), first/kernel.CodeRows
		x.codes.scan(&s.sieve.passed[0], query, block, words, x.codes.rest[block:block+len(words)], float32(math.Inf(1)), kernel.Ahead)
	}
}

func timed(do func()) time.Duration {
	start := time.Now()
	do()
	return time.Since(start)
}
