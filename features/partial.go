package features

import (
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/sartorhq/sartor/streams"
)

// ItemReader computes some fields of items and nothing else, many times faster than Schema.Item, for
// whoever looks at a whole catalogue. It is immutable and safe for concurrent use.
type ItemReader struct {
	schema         *Schema
	plain, derived []*field
	keys           []string   // of the document that the fields read; nil with whole
	document       bool       // some field reads the document
	whole          bool       // one of them reads all of it
	rooms          *sync.Pool // of map[string]any, for the keys of one document
}

// ItemReader returns a reader of the named item fields and what they are made of. Names that the schema
// does not have are left out.
func (s *Schema) ItemReader(names []string) *ItemReader {
	n := s.needs(s.item, names)
	return &ItemReader{schema: s, plain: n.plain, derived: n.derived, keys: n.keys, document: n.document, whole: n.whole, rooms: new(sync.Pool)}
}

// Read makes it the item with the reader's fields, as Schema.Item would compute them; all other fields
// are absent from its maps, which Read keeps and clears. SalesByCountry is nil where nothing was sold.
func (r *ItemReader) Read(it *Item, id string, st *State, now time.Time) {
	if it.Env == nil {
		it.Env, it.Known = make(map[string]any, len(r.plain)+len(r.derived)+1), make(map[string]bool, len(r.plain)+len(r.derived)+1)
	}
	clear(it.Env)
	clear(it.Known)
	*it = Item{ID: id, Env: it.Env, Known: it.Known}
	v := view{schema: r.schema, fields: r.schema.item, st: st, now: now, env: it.Env, known: it.Known}
	v.env["id"], v.known["id"] = id, true
	var room map[string]any
	if st != nil && r.document {
		if room, _ = r.rooms.Get().(map[string]any); room == nil {
			room = make(map[string]any, len(r.keys))
		}
		v.doc = decodeKeys(st.Doc, r.keys, r.whole, room)
	}
	v.compute(r.plain, r.derived)
	if room != nil {
		r.rooms.Put(room)
	}
	if st != nil {
		st.totals(it, now)
	}
}

// pickKeys is pick into a map, room, which it clears and returns.
func pickKeys(doc string, keys []string, room map[string]any) (out map[string]any, ok bool) {
	var few [8]picked
	all := few[:]
	if len(keys) > len(few) {
		all = make([]picked, len(keys))
	}
	if !pick(doc, keys, all) {
		return nil, false
	}
	return mapOf(keys, all, room), true
}

// mapOf puts what was picked into a map, room, which it clears and returns.
func mapOf(keys []string, all []picked, room map[string]any) map[string]any {
	clear(room)
	for i, key := range keys {
		if all[i].kind != pickedNothing {
			room[key] = all[i].value()
		}
	}
	return room
}

// picked is the value of a key of a document.
type picked struct {
	kind   pickedKind
	text   string
	number float64
	other  any // what is neither, of a document that was decoded whole
}

type pickedKind byte

const (
	pickedNothing pickedKind = iota // no such key, or null
	pickedText
	pickedNumber
	pickedTrue
	pickedFalse
	pickedOther
)

// value is the value as encoding/json has it.
func (p *picked) value() any {
	switch p.kind {
	case pickedText:
		return p.text
	case pickedNumber:
		return p.number
	case pickedTrue, pickedFalse:
		return p.kind == pickedTrue
	case pickedOther:
		return p.other
	}
	return nil
}

func pickedOf(v any) picked {
	switch x := v.(type) {
	case nil:
		return picked{}
	case string:
		return picked{kind: pickedText, text: x}
	}
	return picked{kind: pickedOther, other: v}
}

func keyOf(keys []string, key string) int {
	for i := range keys {
		if keys[i] == key {
			return i
		}
	}
	return -1
}

// pick reads the values of some keys of a JSON object, as encoding/json would, without looking closely at the
// others. It is false for what it does not understand: nesting, escapes, other text than JSON. out has one place for
// each key.
func pick(doc string, keys []string, out []picked) bool {
	p := picker{text: doc}
	clear(out)
	if !utf8.ValidString(doc) || !p.next('{') {
		return false
	}
	if p.next('}') {
		return p.ended()
	}
	for {
		key, ok := p.plainText()
		if !ok || !p.next(':') {
			return false
		}
		var to *picked
		if at := keyOf(keys, key); at >= 0 {
			to = &out[at]
		}
		if !p.scalar(to) {
			return false
		}
		if p.next('}') {
			return p.ended()
		}
		if !p.next(',') {
			return false
		}
	}
}

// picker is a position in a JSON text.
type picker struct {
	text string
	at   int
}

func (p *picker) space() {
	for p.at < len(p.text) {
		switch p.text[p.at] {
		case ' ', '\t', '\r', '\n':
			p.at++
		default:
			return
		}
	}
}

// next steps over the byte after white space if it is this one.
func (p *picker) next(b byte) bool {
	if p.at < len(p.text) && p.text[p.at] == b { // stored documents have no white space
		p.at++
		return true
	}
	p.space()
	if p.at < len(p.text) && p.text[p.at] == b {
		p.at++
		return true
	}
	return false
}

func (p *picker) ended() bool {
	p.space()
	return p.at == len(p.text)
}

// plainText reads a text without escapes.
func (p *picker) plainText() (string, bool) {
	if !p.next('"') {
		return "", false
	}
	for i := p.at; i < len(p.text); i++ {
		switch b := p.text[i]; {
		case b == '"':
			text := p.text[p.at:i]
			p.at = i + 1
			return text, true
		case b == '\\' || b < ' ':
			return "", false
		}
	}
	return "", false
}

// scalar reads a value that holds no others, and keeps it where to is not nil.
func (p *picker) scalar(to *picked) bool {
	p.space()
	if p.at >= len(p.text) {
		return false
	}
	var got picked
	ok := true
	switch p.text[p.at] {
	case '"':
		got.kind = pickedText
		got.text, ok = p.plainText()
	case 't':
		got.kind, ok = pickedTrue, p.word("true")
	case 'f':
		got.kind, ok = pickedFalse, p.word("false")
	case 'n':
		ok = p.word("null")
	default:
		start := p.at
		if !p.number() {
			return false
		}
		got.kind = pickedNumber
		// A number that no float64 holds is an error of the whole text, wanted or not.
		got.number, ok = parseNumber(p.text[start:p.at])
	}
	if to != nil {
		*to = got
	}
	return ok
}

// parseNumber is strconv.ParseFloat for a JSON number, most of which are short and whole.
func parseNumber(text string) (n float64, ok bool) {
	whole := int64(0)
	for i := range len(text) {
		if text[i] < '0' || text[i] > '9' || i == 15 {
			n, err := strconv.ParseFloat(text, 64)
			return n, err == nil
		}
		whole = 10*whole + int64(text[i]-'0')
	}
	return float64(whole), true
}

func (p *picker) word(w string) bool {
	if !strings.HasPrefix(p.text[p.at:], w) {
		return false
	}
	p.at += len(w)
	return true
}

// number steps over a JSON number: -? (0 | [1-9][0-9]*) (. [0-9]+)? ([eE] [+-]? [0-9]+)?
func (p *picker) number() bool {
	p.step('-', '-')
	if !p.step('0', '0') && !p.digits() {
		return false
	}
	if p.step('.', '.') && !p.digits() {
		return false
	}
	if p.step('e', 'E') {
		p.step('+', '-')
		return p.digits()
	}
	return true
}

// step steps over one of two bytes.
func (p *picker) step(a, b byte) bool {
	if p.at < len(p.text) && (p.text[p.at] == a || p.text[p.at] == b) {
		p.at++
		return true
	}
	return false
}

// digits steps over digits, of which there must be one.
func (p *picker) digits() bool {
	from := p.at
	for p.at < len(p.text) && p.text[p.at] >= '0' && p.text[p.at] <= '9' {
		p.at++
	}
	return p.at > from
}

// totals fills in what an item has besides the fields of the schema.
func (st *State) totals(it *Item, now time.Time) {
	it.Deleted = st.Doc == "" && st.DocTime != 0
	if len(st.Counters) == 0 {
		return
	}
	it.UnitsTotal = st.measured(measureUnits, []streams.Type{streams.Order}, []streams.Type{streams.Return}, 0, now)
	it.ViewsTotal = st.measured(measureCount, []streams.Type{streams.View}, nil, 0, now)
	if sales := st.salesByCountry(now); len(sales) > 0 {
		it.SalesByCountry = sales
	}
}
