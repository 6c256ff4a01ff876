package codec

import (
	"fmt"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// parser reads JSON from a byte slice. It keeps going over values that are well-formed but wrong, so
// that all problems of an event are found; the first syntax error ends the reading (broken).
type parser struct {
	data     []byte
	pos      int
	depth    int
	broken   bool
	problems []Problem
	unnoted  int    // problems beyond maxProblems
	scratch  []byte // the text of the last string with escapes
}

// maxProblems bounds the work and the text that one bad event can cause.
const maxProblems = 32

// full tells whether enough problems are noted; the next one is only counted.
func (p *parser) full() bool { return len(p.problems) >= maxProblems }

// problem notes that the value of a field is not acceptable.
func (p *parser) problem(field, format string, args ...any) {
	if p.full() {
		p.unnoted++
		return
	}
	p.problems = append(p.problems, Problem{field, fmt.Sprintf(format, args...)})
}

// error returns the problems as one error.
func (p *parser) error() error {
	if p.unnoted > 0 {
		p.problems = append(p.problems, Problem{"", fmt.Sprintf("and %d more problems", p.unnoted)})
	}
	return &Error{p.problems}
}

// fail notes a syntax error, after which nothing more can be read, and returns false.
func (p *parser) fail(format string, args ...any) bool {
	if !p.broken {
		p.broken = true
		p.problem("", "not valid JSON at byte %d: %s", p.pos, fmt.Sprintf(format, args...))
	}
	return false
}

// next skips white space and returns the next byte without taking it; 0 at the end.
func (p *parser) next() byte {
	for p.pos < len(p.data) {
		switch c := p.data[p.pos]; c {
		case ' ', '\t', '\n', '\r':
			p.pos++
		default:
			return c
		}
	}
	return 0
}

// take takes the byte c, or fails.
func (p *parser) take(c byte) bool {
	if got := p.next(); got != c {
		return p.fail("expected %q, found %s", string(c), p.found())
	}
	p.pos++
	return true
}

// found describes the byte at pos for an error message.
func (p *parser) found() string {
	if p.pos >= len(p.data) {
		return "the end"
	}
	r, _ := utf8.DecodeRune(p.data[p.pos:])
	return strconv.QuoteRune(r)
}

// enter takes the opening byte of an object or array and counts the depth.
func (p *parser) enter(open byte) bool {
	if !p.take(open) {
		return false
	}
	if p.depth++; p.depth > MaxDepth {
		return p.fail("nested deeper than %d", MaxDepth)
	}
	return true
}

// more tells whether another element follows in an object or array, and takes the comma or the
// closing byte. first is true before the first element.
func (p *parser) more(first bool, end byte) bool {
	switch c := p.next(); {
	case c == end:
		p.pos++
		p.depth--
		return false
	case first:
		return true
	case c == ',':
		p.pos++
		if p.next() == end {
			return p.fail("a comma before %q", string(end))
		}
		return true
	}
	return p.fail("expected ',' or %q, found %s", string(end), p.found())
}

// key takes the name of an object's member and the colon. The bytes are valid until the next string.
func (p *parser) key() ([]byte, bool) {
	if p.next() != '"' {
		return nil, p.fail("expected a field name in double quotes, found %s", p.found())
	}
	name, ok := p.str()
	return name, ok && p.take(':')
}

// members takes an object and calls fn with each name, whose bytes are valid until the next string. fn
// takes the value; when it returns false the reading ends.
func (p *parser) members(fn func(key []byte) bool) bool {
	ok := p.enter('{')
	for first := true; ok && p.more(first, '}'); first = false {
		var key []byte
		if key, ok = p.key(); ok {
			ok = fn(key)
		}
	}
	return ok && !p.broken
}

// whole reads a document that is one object and nothing more, with members.
func (p *parser) whole(what string, fn func(key []byte) bool) bool {
	if p.next() != '{' {
		return p.fail("%s is one JSON object, found %s", what, p.found())
	}
	if !p.members(fn) {
		return false
	}
	if p.next(); p.pos < len(p.data) {
		return p.fail("more data after %s; one message holds one event", what)
	}
	return true
}

// loose takes a text, or a number as it is written, into dst; null is an empty text. An empty field is
// one whose value does not matter enough to complain.
func (p *parser) loose(field string, dst *string) bool {
	*dst = ""
	switch c := p.next(); {
	case c == '"':
		s, ok := p.str()
		*dst = string(s)
		return ok
	case c == '-' || '0' <= c && c <= '9':
		text, _, ok := p.number()
		*dst = string(text)
		return ok
	case p.null():
		return true
	}
	if field != "" {
		p.problem(field, "must be a text or a number")
	}
	return p.skip()
}

// raw takes any value and returns its bytes.
func (p *parser) raw() ([]byte, bool) {
	p.next()
	start := p.pos
	ok := p.skip()
	return p.data[start:p.pos], ok
}

// str takes a string whose opening quote is next. The result is valid until the next call.
func (p *parser) str() ([]byte, bool) {
	p.pos++
	start := p.pos
	ascii := true
	for i := start; i < len(p.data); i++ {
		switch c := p.data[i]; {
		case c == '"':
			p.pos = i + 1
			s := p.data[start:i]
			if !ascii && !utf8.Valid(s) {
				p.pos = start
				return nil, p.fail("a string is not valid UTF-8")
			}
			return s, true
		case c == '\\':
			return p.escaped(start, i)
		case c < ' ':
			p.pos = i
			return nil, p.fail("a control character in a string must be escaped")
		case c >= utf8.RuneSelf:
			ascii = false
		}
	}
	p.pos = len(p.data)
	return nil, p.fail("a string without its closing quote")
}

// escaped continues str at the first backslash, which is at i.
func (p *parser) escaped(start, i int) ([]byte, bool) {
	p.scratch = append(p.scratch[:0], p.data[start:i]...)
	for p.pos = i; p.pos < len(p.data); {
		c := p.data[p.pos]
		switch {
		case c == '"':
			p.pos++
			if !utf8.Valid(p.scratch) {
				return nil, p.fail("a string is not valid UTF-8")
			}
			return p.scratch, true
		case c < ' ':
			return nil, p.fail("a control character in a string must be escaped")
		case c != '\\':
			p.scratch = append(p.scratch, c)
			p.pos++
		default:
			if !p.escape() {
				return nil, false
			}
		}
	}
	return nil, p.fail("a string without its closing quote")
}

// escape takes one escape sequence and appends what it stands for to scratch.
func (p *parser) escape() bool {
	if p.pos+1 >= len(p.data) {
		return p.fail("a string without its closing quote")
	}
	const from, to = `"\/bfnrt`, "\"\\/\b\f\n\r\t"
	c := p.data[p.pos+1]
	for i := range len(from) {
		if from[i] == c {
			p.scratch = append(p.scratch, to[i])
			p.pos += 2
			return true
		}
	}
	if c != 'u' {
		return p.fail("unknown escape in a string")
	}
	r, ok := p.hex(p.pos)
	if !ok {
		return p.fail("\\u needs four hexadecimal digits")
	}
	n := 6
	if utf16.IsSurrogate(r) {
		low, ok := p.hex(p.pos + 6)
		if r = utf16.DecodeRune(r, low); !ok || r == utf8.RuneError {
			return p.fail("half of a surrogate pair in a string")
		}
		n = 12
	}
	p.scratch = utf8.AppendRune(p.scratch, r)
	p.pos += n
	return true
}

// hex reads the \uXXXX at index i.
func (p *parser) hex(i int) (rune, bool) {
	if i+6 > len(p.data) || p.data[i] != '\\' || p.data[i+1] != 'u' {
		return 0, false
	}
	var r rune
	for _, c := range p.data[i+2 : i+6] {
		switch {
		case '0' <= c && c <= '9':
			r = r<<4 | rune(c-'0')
		case 'a' <= c && c <= 'f':
			r = r<<4 | rune(c-'a'+10)
		case 'A' <= c && c <= 'F':
			r = r<<4 | rune(c-'A'+10)
		default:
			return 0, false
		}
	}
	return r, true
}

// number takes a number and tells whether it is written as an integer.
func (p *parser) number() (text []byte, integer, ok bool) {
	start := p.pos
	if p.pos < len(p.data) && p.data[p.pos] == '-' {
		p.pos++
	}
	first := p.pos
	n := p.digits()
	if n == 0 {
		p.pos = start
		return nil, false, p.fail("expected a value, found %s", p.found())
	}
	if n > 1 && p.data[first] == '0' {
		p.pos = first
		return nil, false, p.fail("a number must not start with 0")
	}
	integer = true
	if p.pos < len(p.data) && p.data[p.pos] == '.' {
		p.pos++
		integer = false
		if p.digits() == 0 {
			return nil, false, p.fail("expected a digit after the point")
		}
	}
	if p.pos < len(p.data) && (p.data[p.pos] == 'e' || p.data[p.pos] == 'E') {
		p.pos++
		integer = false
		if p.pos < len(p.data) && (p.data[p.pos] == '+' || p.data[p.pos] == '-') {
			p.pos++
		}
		if p.digits() == 0 {
			return nil, false, p.fail("expected a digit in the exponent")
		}
	}
	return p.data[start:p.pos], integer, true
}

// digits takes decimal digits and returns how many.
func (p *parser) digits() int {
	start := p.pos
	for p.pos < len(p.data) && p.data[p.pos]-'0' <= 9 {
		p.pos++
	}
	return p.pos - start
}

// literal takes true, false or null when it is next.
func (p *parser) literal(word string) bool {
	if len(p.data)-p.pos >= len(word) && string(p.data[p.pos:p.pos+len(word)]) == word {
		p.pos += len(word)
		return true
	}
	return false
}

// null takes a null when it is next: in an event, null is the same as leaving the field out.
func (p *parser) null() bool { return p.next() == 'n' && p.literal("null") }

// skip takes any value and checks only its syntax.
func (p *parser) skip() bool {
	switch c := p.next(); c {
	case '{':
		ok := p.enter('{')
		for first := true; ok && p.more(first, '}'); first = false {
			_, ok = p.key()
			ok = ok && p.skip()
		}
		return ok && !p.broken
	case '[':
		ok := p.enter('[')
		for first := true; ok && p.more(first, ']'); first = false {
			ok = p.skip()
		}
		return ok && !p.broken
	case '"':
		_, ok := p.str()
		return ok
	case 't', 'f', 'n':
		if p.literal("true") || p.literal("false") || p.literal("null") {
			return true
		}
		return p.fail("expected a value, found %s", p.found())
	case 'N', 'I':
		return p.fail("NaN and Infinity are not numbers in JSON; leave the field out")
	}
	_, _, ok := p.number()
	return ok
}
