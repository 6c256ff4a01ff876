package value

import (
	"math"
	"strconv"
)

// Number is a float64 that JSON can hold: what is not known is null.
type Number float64

// MarshalJSON writes null for what is no finite number.
func (n Number) MarshalJSON() ([]byte, error) {
	if x := float64(n); math.IsNaN(x) || math.IsInf(x, 0) {
		return []byte("null"), nil
	}
	return strconv.AppendFloat(nil, float64(n), 'g', -1, 64), nil
}

// Known tells whether there is a number.
func (n Number) Known() bool { return !math.IsNaN(float64(n)) }
