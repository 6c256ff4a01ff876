package features

import (
	"slices"
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

// pickKeys reads the values of some keys of a JSON object, as encoding/json would, without looking
// closely at the others. It is false for what it does not understand: nesting, escapes, other text than
// JSON. It puts them into room, which it clears and returns.
func pickKeys(doc string, keys []string, room map[string]any) (out map[string]any, ok bool) {
	p := picker{text: doc}
	if !utf8.ValidString(doc) || !p.next('{') {
		return nil, false
	}
	out = room
	clear(out)
	if p.next('}') {
		return out, p.ended()
	}
	for {
		key, ok := p.plainText()
		if !ok || !p.next(':') {
			return nil, false
		}
		wanted := slices.Contains(keys, key)
		value, ok := p.scalar(wanted)
		if !ok {
			return nil, false
		}
		if wanted {
			out[key] = value
		}
		if p.next('}') {
			return out, p.ended()
		}
		if !p.next(',') {
			return nil, false
		}
	}
}

// picker is a position in a JSON text.
type picker struct {
	text string
	at   int
}

func (p *picker) space() {
	for p.at < len(p.text) && strings.IndexByte(" \t\r\n", p.text[p.at]) >= 0 {
		p.at++
	}
}

// next steps over the byte after white space if it is this one.
func (p *picker) next(b byte) bool {
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

// scalar reads a value that holds no others, and converts it when it is wanted.
func (p *picker) scalar(wanted bool) (value any, ok bool) {
	p.space()
	if p.at >= len(p.text) {
		return nil, false
	}
	switch p.text[p.at] {
	case '"':
		text, ok := p.plainText()
		if !wanted {
			return nil, ok
		}
		return text, ok
	case 't':
		return true, p.word("true")
	case 'f':
		return false, p.word("false")
	case 'n':
		return nil, p.word("null")
	}
	start := p.at
	if !p.number() {
		return nil, false
	}
	// A number that no float64 holds is an error of the whole text, wanted or not.
	n, err := strconv.ParseFloat(p.text[start:p.at], 64)
	return n, err == nil
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
	step := func(set string) bool {
		if p.at < len(p.text) && strings.IndexByte(set, p.text[p.at]) >= 0 {
			p.at++
			return true
		}
		return false
	}
	digits := func() bool {
		from := p.at
		for p.at < len(p.text) && p.text[p.at] >= '0' && p.text[p.at] <= '9' {
			p.at++
		}
		return p.at > from
	}
	step("-")
	if !step("0") && !digits() {
		return false
	}
	if step(".") && !digits() {
		return false
	}
	if step("eE") {
		step("+-")
		return digits()
	}
	return true
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
