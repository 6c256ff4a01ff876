package features

import (
	"time"

	"github.com/sartorhq/sartor/streams"
)

// ItemScan is an ItemReader's way through a whole catalogue: it reads one item after the other in the same
// memory. It is for one goroutine.
type ItemScan struct {
	reader *ItemReader
	direct []int // of each plain field the place of its key, -1 for one that is no plain attribute
	mapped bool  // some of those reads the document
	picked []picked
	doc    map[string]any
	item   Item
	view   view
}

// Scan returns a scan of the reader's fields.
func (r *ItemReader) Scan() *ItemScan {
	n := len(r.plain) + len(r.derived) + 1
	c := &ItemScan{reader: r, picked: make([]picked, len(r.keys)), doc: make(map[string]any, len(r.keys))}
	c.item.Env, c.item.Known = make(map[string]any, n), make(map[string]bool, n)
	c.item.Known["id"] = true
	c.view = view{schema: r.schema, fields: r.schema.item, env: c.item.Env, known: c.item.Known}
	for _, f := range r.plain {
		at := -1
		if f.Kind == kindAttribute && !f.Rest {
			at = keyOf(r.keys, f.Attribute)
		}
		c.direct, c.mapped = append(c.direct, at), c.mapped || at < 0 && f.Attribute != ""
	}
	return c
}

// Read returns the item with the reader's fields as ItemReader.Read does, and of what is no field ID and Deleted
// only. It is valid until the next call.
func (c *ItemScan) Read(id string, st *State, now time.Time) *Item {
	r, v := c.reader, &c.view
	c.item = Item{ID: id, Env: v.env, Known: v.known}
	v.env["id"] = id
	v.st, v.now, v.doc = st, now, nil
	exp, picked := 0, false
	if st != nil && r.document {
		if picked = !r.whole && pick(st.Doc, r.keys, c.picked); !picked {
			v.doc = decodeDocument(st.Doc)
		} else if c.mapped {
			v.doc = mapOf(r.keys, c.picked, c.doc)
		}
		exp = c.exponent(picked)
	}
	for i, f := range r.plain {
		switch at := c.direct[i]; {
		case at < 0 || v.doc != nil && !picked:
			v.put(f, v.value)
		case picked && c.picked[at].kind != pickedNothing:
			v.put(f, func(f *field) (any, bool) {
				value, err := f.decode(c.picked[at].value(), exp)
				return value, err == nil
			})
		default:
			v.env[f.Name] = f.Default
			delete(v.known, f.Name)
		}
	}
	for _, f := range r.derived {
		v.put(f, v.derivedValue)
	}
	c.item.Deleted = st.deleted()
	return &c.item
}

// exponent is that of the document's currency, else of the schema's.
func (c *ItemScan) exponent(picked bool) int {
	if !picked {
		return c.view.documentExponent()
	}
	if at := keyOf(c.reader.keys, "currency"); at >= 0 && c.picked[at].kind == pickedText && c.picked[at].text != "" {
		return streams.Exponent(c.picked[at].text)
	}
	return streams.Exponent(c.view.schema.currency)
}

// put is set for maps that hold the fields of another item.
func (v *view) put(f *field, compute func(*field) (any, bool)) {
	value, ok := compute(f)
	if v.env[f.Name] = value; !ok {
		v.env[f.Name] = f.Default
		delete(v.known, f.Name)
		return
	}
	v.known[f.Name] = true
}

func (st *State) deleted() bool { return st != nil && st.Doc == "" && st.DocTime != 0 }

// ItemNumbers reads some numbers of items, for whoever sorts a whole catalogue by them: no value is boxed
// and put into a map. It is for one goroutine.
type ItemNumbers struct {
	schema   *Schema
	fields   []*field  // nil for a name that the schema does not have
	defaults []float64 // of each
	rest     *ItemScan // of those that are made of others; nil = none
	document bool      // some field reads the document
	keys     []string
	direct   []int // of each field the place of its key
	picked   []picked
	view     view
}

// ItemNumbers returns a reader of the named item fields.
func (s *Schema) ItemNumbers(names []string) *ItemNumbers {
	r := &ItemNumbers{schema: s, keys: []string{"currency"}, view: view{schema: s, fields: s.item}}
	var rest []string
	for _, name := range names {
		f, def, at := find(s.item, name), 0.0, -1
		switch {
		case f == nil:
		case f.Kind == kindAttribute && !f.Rest:
			r.document = true
			if at = keyOf(r.keys, f.Attribute); at < 0 {
				at = len(r.keys)
				r.keys = append(r.keys, f.Attribute)
			}
		case derived(f.Kind) || f.Attribute != "":
			rest = append(rest, name)
		}
		if f != nil {
			def = plainNumber(f.Default)
		}
		r.fields, r.defaults, r.direct = append(r.fields, f), append(r.defaults, def), append(r.direct, at)
	}
	if rest != nil {
		r.rest = s.ItemReader(rest).Scan()
	}
	r.picked = make([]picked, len(r.keys))
	return r
}

// Read puts the fields into out, in the order of their names: what Schema.Item says of each, times as Unix
// milliseconds, and 0 for a time that is not known and for what is no number. Of it, it sets Deleted,
// UnitsTotal, ViewsTotal and SalesByCountry (nil where nothing was sold).
func (r *ItemNumbers) Read(out []float64, it *Item, id string, st *State, now time.Time) {
	*it = Item{ID: id}
	if st != nil {
		st.totals(it, now)
	}
	var others *Item
	if r.rest != nil {
		others = r.rest.Read(id, st, now)
	}
	v := &r.view
	v.st, v.now = st, now
	has, exp := r.pick(st)
	for i, f := range r.fields {
		out[i] = r.defaults[i]
		switch at := r.direct[i]; {
		case f == nil:
		case at >= 0:
			if has && r.picked[at].kind != pickedNothing {
				if value, err := f.decode(r.picked[at].value(), exp); err == nil {
					out[i] = plainNumber(value)
				}
			}
		case derived(f.Kind) || f.Attribute != "":
			out[i] = plainNumber(others.Env[f.Name])
		case (f.Kind == kindCount || f.Kind == kindSum) && v.stored() && len(st.Counters) == 0:
			out[i] = 0
		case f.Kind == kindTrend && (st == nil || len(st.Counters) == 0):
		default:
			if value, ok := v.value(f); ok {
				out[i] = plainNumber(value)
			}
		}
	}
}

// pick reads the fields' keys of the document; has is false without one.
func (r *ItemNumbers) pick(st *State) (has bool, exp int) {
	if st == nil || !r.document {
		return false, 0
	}
	if !pick(st.Doc, r.keys, r.picked) {
		all := decodeDocument(st.Doc)
		if all == nil {
			return false, 0
		}
		for i, key := range r.keys {
			r.picked[i] = pickedOf(all[key])
		}
	}
	if c := &r.picked[0]; c.kind == pickedText && c.text != "" {
		return true, streams.Exponent(c.text)
	}
	return true, streams.Exponent(r.schema.currency)
}

// plainNumber is a value as ItemNumbers gives it.
func plainNumber(v any) float64 {
	switch n := v.(type) {
	case int:
		return float64(n)
	case float64:
		return n
	case time.Time:
		if !n.IsZero() {
			return float64(n.UnixMilli())
		}
	}
	return 0
}
