package redisstore

import (
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/sartorhq/sartor/features"
)

// batchEncoder writes what a batch does to one shard as the script reads it: one JSON text, whose
// parts apply.lua describes. Numbers that are stored travel as texts, so that the script need not
// print them and none is rounded.
type batchEncoder struct {
	entities []byte
	shapes   []byte
	at       map[string]int // shape -> its 1-based number
	key      []byte         // scratch
}

// encodeBatch merges and encodes the entities. It returns those that are left: the script answers
// with places among them.
func encodeBatch(entities []*entityOps, lists []features.List, ofUsers int, keep features.Retention, ttl int64) (payload []byte, kept []*entityOps) {
	enc := &batchEncoder{at: map[string]int{}, entities: make([]byte, 0, 128*len(entities)+64)}
	kept = entities[:0]
	for _, g := range entities {
		if m := g.merge(lists); m != nil {
			enc.entity(g, m)
			kept = append(kept, g)
		}
	}
	out := make([]byte, 0, len(enc.entities)+len(enc.shapes)+256)
	out = append(out, '[')
	for _, n := range []int64{ttl, keep.Hours, keep.Days, keep.CountryDays} {
		out = append(strconv.AppendInt(out, n, 10), ',')
	}
	out = append(out, '[')
	for i, l := range lists {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(appendText(out, l.Name), ',')
		out = strconv.AppendInt(out, int64(l.Max), 10)
	}
	out = append(append(out, "],["...), enc.shapes...)
	out = append(append(out, "],["...), enc.entities...)
	out = strconv.AppendInt(append(out, "],"...), int64(ofUsers), 10)
	return append(out, ']'), kept
}

// entity appends one entity.
func (enc *batchEncoder) entity(g *entityOps, m *merged) {
	shape := enc.shape(m)
	out := enc.entities
	if len(out) > 0 {
		out = append(out, ',')
	}
	out = append(out, `["`...)
	out = append(out, byte(g.entity.Kind), ':')
	out = append(appendEscaped(out, g.entity.ID), `",`...)
	out = append(strconv.AppendInt(out, int64(shape), 10), ',')
	out = append(appendOptional(out, m.clock, math.MinInt64), ',')
	out = append(appendOptional(out, m.oldest, math.MaxInt64), ',')
	out = append(enc.rest(out, g, m), ',')
	out = strconv.AppendInt(out, int64(len(m.pushes)), 10)
	for _, cs := range m.counters() {
		for i := range cs {
			out = append(out, ',')
			out = appendNumber(out, cs[i].value)
		}
	}
	for _, p := range m.pushes {
		out = append(out, ',')
		out = append(strconv.AppendInt(out, int64(p.list), 10), ',')
		out = strconv.AppendInt(out, int64(len(p.entries.all)), 10)
		for _, e := range p.entries.all {
			out = append(out, ',')
			out = append(appendNumber(out, e.value), ',')
			out = appendText(out, e.name)
		}
	}
	enc.entities = append(out, ']')
}

// rest appends what few entities have: erasures and documents; 0 when there is nothing of it.
func (enc *batchEncoder) rest(out []byte, g *entityOps, m *merged) []byte {
	if g.tombstone == 0 && m.erase == 0 && m.document == "" {
		return append(out, '0')
	}
	out = append(out, '[')
	out = append(appendOptional(out, g.tombstone, 0), ',')
	out = append(appendOptional(out, m.erase, 0), ',')
	out = append(appendText(out, m.document), ',')
	out = append(appendOptional(out, m.docTime, math.MinInt64), ',')
	return append(appendText(out, m.docText), ']')
}

// counters returns the counters in the order of the script: sums, minima, maxima.
func (m *merged) counters() [3][]counter {
	return [3][]counter{m.adds.all, m.mins.all, m.maxs.all}
}

// links tells the script, by '1', that the entity gains links to visitors, which it limits.
func (m *merged) links() byte {
	for i := range m.maxs.all {
		if strings.HasPrefix(m.maxs.all[i].name, "v:") {
			return '1'
		}
	}
	return '0'
}

// shape returns the number of the entity's set of names, and writes it down the first time.
func (enc *batchEncoder) shape(m *merged) int {
	key := enc.key[:0]
	key = append(strconv.AppendInt(key, int64(len(m.adds.all)), 10), ',')
	key = append(strconv.AppendInt(key, int64(len(m.mins.all)), 10), ',', m.links())
	for _, cs := range m.counters() {
		for i := range cs {
			key = append(key, ',')
			key = appendText(key, cs[i].name)
		}
	}
	enc.key = key
	if n, ok := enc.at[string(key)]; ok {
		return n
	}
	n := len(enc.at) + 1
	enc.at[string(key)] = n
	if n > 1 {
		enc.shapes = append(enc.shapes, ',')
	}
	enc.shapes = append(append(append(enc.shapes, '['), key...), ']')
	return n
}

// appendOptional appends a number as a text, empty for the value that stands for none.
func appendOptional(b []byte, v, none int64) []byte {
	if v == none {
		return append(b, '"', '"')
	}
	return appendNumber(b, v)
}

// appendNumber appends a number as a text.
func appendNumber(b []byte, v int64) []byte {
	b = strconv.AppendInt(append(b, '"'), v, 10)
	return append(b, '"')
}

// appendText appends a JSON text.
func appendText(b []byte, s string) []byte {
	return append(appendEscaped(append(b, '"'), s), '"')
}

const hexDigits = "0123456789abcdef"

// appendEscaped appends the inside of a JSON text. Bytes that are not UTF-8 pass as they are: the
// script's decoder keeps them.
func appendEscaped(b []byte, s string) []byte {
	from := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' && c < utf8.RuneSelf || c >= utf8.RuneSelf {
			continue
		}
		b = append(b, s[from:i]...)
		b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		from = i + 1
	}
	return append(b, s[from:]...)
}
