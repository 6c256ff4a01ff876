package file

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/sartorhq/sartor/streams/codec"
)

// timeLayout translates a format such as DD/MM/YYYY HH:mm:ss to the notation of package time.
func timeLayout(format string) (string, error) {
	if format == "" {
		return "", nil
	}
	layout := strings.NewReplacer("YYYY", "2006", "YY", "06", "MMM", "Jan", "MM", "01", "DD", "02", "HH", "15", "hh", "03", "mm", "04", "ss", "05",
		"SSS", "000", "AM", "PM", "ZZ", "-0700").Replace(format)
	if layout == format || !strings.Contains(layout, "06") || !strings.Contains(layout, "02") {
		return "", fmt.Errorf("%q: write it with YYYY, MM (or MMM), DD, HH (or hh and AM), mm, ss and ZZ (+0100), such as DD/MM/YYYY HH:mm", format)
	}
	return layout, nil
}

// timeLayouts are the times that are understood without a format: no date in them can be read in two ways.
var timeLayouts = []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02 15:04:05", time.DateOnly, "2006-01-02 15:04",
	"2006-01-02 15:04:05 -0700", "2006-01-02 15:04:05Z07:00", "2006-01-02 15:04:05 UTC", "2006-01-02T15:04:05-0700", "2006-01-02T15:04", "20060102",
	"2006/01/02 15:04:05", "2006/01/02 15:04", "2006/01/02", "02.01.2006 15:04:05", "02.01.2006 15:04", "02.01.2006"}

// lastSecond is the first number that cannot be seconds since 1970 of a year before 2200; larger ones are milliseconds,
// microseconds or nanoseconds.
const lastSecond = 7258118400

// readTime reads a time. Numbers are seconds, milliseconds, microseconds or nanoseconds since 1970, by
// their size; eight digits are a date. One without a zone is in zone.
func readTime(text, layout string, zone *time.Location) (time.Time, bool) {
	if layout != "" {
		t, err := time.ParseInLocation(layout, text, zone)
		return t, err == nil
	}
	if len(text) != len("20060102") {
		if t, ok := unixTime(text); ok {
			return t, true
		}
	}
	for _, layout := range timeLayouts {
		if t, err := time.ParseInLocation(layout, text, zone); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

// unixTime reads a number since 1970, whole or with decimals.
func unixTime(text string) (time.Time, bool) {
	whole, fraction, _ := strings.Cut(text, ".")
	n, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || n <= 0 || strings.Trim(fraction, "0123456789") != "" {
		return time.Time{}, false
	}
	switch {
	case n < lastSecond:
		for len(fraction) < 3 {
			fraction += "0"
		}
		ms, _ := strconv.Atoi(fraction[:3])
		return time.Unix(n, int64(ms)*1e6), true
	case n < lastSecond*1e3:
		return time.UnixMilli(n), true
	case n < lastSecond*1e6:
		return time.UnixMicro(n), true
	}
	return time.Unix(n/1e9, n%1e9), true
}

// readDecimal brings a number as people write it ("€ 1.299,00", "$12.99", "1'000", "(5.00)") to the form of JSON. ok is false
// for what is no number, and for what could be two.
func readDecimal(text, mark string) (string, bool) {
	if mark == "" {
		mark = "."
	}
	group := map[string]string{".": ",", ",": "."}[mark]
	s := strings.TrimSpace(text)
	negative := false
	if inner, ok := strings.CutPrefix(s, "("); ok { // accountants write what is taken away in brackets
		if s, ok = strings.CutSuffix(inner, ")"); !ok {
			return "", false
		}
		negative = true
	}
	s = strings.TrimFunc(s, func(r rune) bool { return !strings.ContainsRune("0123456789-.,", r) })
	if rest, ok := strings.CutPrefix(s, "-"); ok {
		negative, s = !negative, strings.TrimLeftFunc(rest, func(r rune) bool { return !strings.ContainsRune("0123456789-.,", r) })
	}
	s = strings.NewReplacer(" ", "", "\u00a0", "", "\u202f", "", "'", "", "\u2019", "").Replace(s)
	whole, fraction, point := strings.Cut(s, mark)
	if parts := strings.Split(whole, group); len(parts) > 1 {
		for i, p := range parts {
			if len(p) > 3 || len(p) == 0 || i > 0 && len(p) != 3 {
				return "", false
			}
		}
		whole = strings.Join(parts, "")
	}
	if whole == "" && fraction != "" {
		whole = "0"
	}
	s = whole
	if point && fraction != "" {
		s += "." + fraction
	}
	if negative {
		s = "-" + s
	}
	if _, ok := codec.MinorUnits(s, ""); !ok {
		return "", false
	}
	return s, true
}
