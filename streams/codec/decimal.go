package codec

import (
	"strconv"
	"strings"

	"github.com/sartorhq/sartor/streams"
)

// decimal reads a decimal number as JSON writes it ("12.99", "1e3", "-0.5") as a whole number of units
// of 10^-digits, working on the digits and never on a float. What is finer is rounded half away from
// zero, and exact tells that nothing was. ok is false for what is no number or has more than 18 digits.
func decimal(text string, digits int) (v int64, exact, ok bool) {
	mantissa, negative := strings.CutPrefix(text, "-")
	shift := digits
	if i := strings.IndexAny(mantissa, "eE"); i >= 0 {
		e, err := strconv.Atoi(mantissa[i+1:])
		if err != nil || e < -400 || e > 400 {
			return 0, false, false
		}
		shift += e
		mantissa = mantissa[:i]
	}
	whole, fraction, point := strings.Cut(mantissa, ".")
	if whole == "" || point && fraction == "" || !allDigits(whole) || !allDigits(fraction) {
		return 0, false, false
	}
	all := whole + fraction
	keep := len(whole) + shift // so many of the digits are in front of the unit's point
	rest := ""
	switch {
	case keep < 0:
		all, rest = "", "0"+all
	case keep <= len(all):
		all, rest = all[:keep], all[keep:]
	default:
		if strings.Trim(all, "0") == "" {
			return 0, true, true
		}
		all += strings.Repeat("0", keep-len(all))
	}
	all = strings.TrimLeft(all, "0")
	if len(all) > 18 {
		return 0, false, false
	}
	for i := range len(all) {
		v = v*10 + int64(all[i]-'0')
	}
	if rest != "" && rest[0] >= '5' {
		v++
	}
	if negative {
		v = -v
	}
	return v, strings.Trim(rest, "0") == "", true
}

// MinorUnits reads a decimal amount of major units ("12.99", "1e3") as minor units of the currency (ISO 4217; two digits when it is
// empty or not known), digit by digit and never through a float. What is finer is rounded half away from zero. ok is false for
// what is no number or too large.
func MinorUnits(amount, currency string) (minor int64, ok bool) {
	minor, _, ok = decimal(amount, streams.Exponent(currency))
	return minor, ok
}

// allDigits tells whether a text has nothing but decimal digits.
func allDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}
