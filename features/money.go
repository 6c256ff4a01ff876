package features

import "math"

// Exponent returns how many decimal places the minor unit of a currency has (ISO 4217); 2 for a
// currency that is not listed and for "".
func Exponent(currency string) int {
	switch currency {
	case "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND", "VUV", "XAF", "XOF", "XPF":
		return 0
	case "BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND":
		return 3
	case "CLF", "UYW":
		return 4
	}
	return 2
}

// major converts minor to major units. Division by a power of ten rounds once, so that 1999
// becomes the same float64 as the literal 19.99.
func major(minor int64, exp int) float64 {
	return float64(minor) / math.Pow10(exp)
}
