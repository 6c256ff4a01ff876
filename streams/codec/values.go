package codec

import (
	"math"
	"strconv"

	"github.com/sartorhq/sartor/streams"
)

// items reads the lines of an event.
func (d *decoder) items() bool {
	if !d.given(7) {
		return !d.broken
	}
	if d.next() != '[' {
		d.problem("items", "must be an array of objects")
		return d.skip()
	}
	d.listed = true
	ok := d.enter('[')
	n := 0
	for ; ok && d.more(n == 0, ']'); n++ {
		switch {
		case n == MaxLines:
			d.problem("items", "more than %d items; split the event", MaxLines)
			ok = d.skip()
		case n > MaxLines:
			ok = d.skip()
		case d.next() != '{':
			d.problem(lineField(n, ""), "must be an object with an item_id")
			ok = d.skip()
		default:
			var l streams.Line
			l, ok = d.line(n)
			d.event.Items = append(d.event.Items, l)
		}
	}
	return ok && !d.broken
}

// line reads the n-th item.
func (d *decoder) line(n int) (l streams.Line, ok bool) {
	l.Quantity = absent
	var seen [4]bool
	ok = d.enter('{')
	for first := true; ok && d.more(first, '}'); first = false {
		var key []byte
		if key, ok = d.key(); !ok {
			break
		}
		i := lineIndex(key)
		if i < 0 {
			d.problem(lineField(n, printable(key)), "%s", unknownLineField(string(key)))
			ok = d.skip()
			continue
		}
		if seen[i] {
			d.problem(lineField(n, lineNames[i]), "the field is there twice")
			ok = d.skip()
			continue
		}
		seen[i] = true
		if !d.null() {
			ok = d.lineValue(n, i, &l)
		}
	}
	return l, ok && !d.broken
}

// lineIndex returns the place of a name in lineNames, or -1.
func lineIndex(key []byte) int {
	for i, name := range lineNames {
		if string(key) == name {
			return i
		}
	}
	return -1
}

// lineValue reads the i-th field of the n-th item.
func (d *decoder) lineValue(n, i int, l *streams.Line) bool {
	switch i {
	case 0:
		if d.next() != '"' {
			d.problem(lineField(n, "item_id"), "must be a string in double quotes")
			return d.skip()
		}
		s, ok := d.str()
		l.ItemID = string(s)
		return ok
	case 1:
		return d.integer("quantity", n, 1, MaxQuantity, &l.Quantity)
	case 2:
		return d.integer("price", n, 0, MaxPrice, &l.Price)
	}
	var position int64
	ok := d.integer("position", n, 1, MaxPosition, &position)
	l.Position = int(position)
	return ok
}

// lineField returns the path of a field of the n-th item; of the item itself when name is empty.
func lineField(n int, name string) string {
	path := "items[" + strconv.Itoa(n) + "]"
	if name == "" {
		return path
	}
	return path + "." + name
}

// attributes reads the free-form document.
func (d *decoder) attributes() bool {
	if !d.given(16) {
		return !d.broken
	}
	if d.next() != '{' {
		d.problem("attributes", "must be an object")
		return d.skip()
	}
	m, ok := d.object("attributes")
	if len(m) > 0 {
		d.event.Attributes = m
	}
	return ok
}

// object reads an object of free-form values.
func (d *decoder) object(path string) (map[string]any, bool) {
	m := map[string]any{}
	ok := d.enter('{')
	for first := true; ok && d.more(first, '}'); first = false {
		var key []byte
		if key, ok = d.key(); !ok {
			break
		}
		name := string(key)
		if _, twice := m[name]; twice {
			d.problem(path+"."+printable(key), "the field is there twice")
		}
		if len(name) == 0 || len(name) > MaxIDBytes {
			d.problem(path, "a name must have 1 to %d bytes", MaxIDBytes)
		}
		m[name], ok = d.value(path, name)
	}
	return m, ok && !d.broken
}

// value reads one free-form value as encoding/json would.
func (d *decoder) value(path, name string) (any, bool) {
	switch d.next() {
	case '{':
		return d.object(path + "." + name)
	case '[':
		list := []any{}
		ok := d.enter('[')
		for first := true; ok && d.more(first, ']'); first = false {
			var v any
			v, ok = d.value(path, name)
			list = append(list, v)
		}
		return list, ok && !d.broken
	case '"':
		s, ok := d.str()
		return string(s), ok
	case 't':
		if d.literal("true") {
			return true, true
		}
	case 'f':
		if d.literal("false") {
			return false, true
		}
	case 'n':
		if d.literal("null") {
			return nil, true
		}
	case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		text, whole, ok := d.number()
		if !ok {
			return nil, false
		}
		f, err := strconv.ParseFloat(string(text), 64)
		if err != nil || whole && math.Abs(f) >= 1<<53 {
			d.problem(path+"."+printable([]byte(name)), "is too large a number to be kept exactly; send it as a string")
		}
		return f, true
	}
	return nil, d.skip() // which says what is wrong
}
