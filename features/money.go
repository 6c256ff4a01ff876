package features

import "math"

// major converts minor to major units. Division by a power of ten rounds once, so that 1999
// becomes the same float64 as the literal 19.99.
func major(minor int64, exp int) float64 {
	return float64(minor) / math.Pow10(exp)
}
