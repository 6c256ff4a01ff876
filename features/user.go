package features

import (
	"slices"
	"time"
)

// UserReader computes some fields of users and nothing else, for whoever knows what will be read: a request
// for recommendations reads a few of the fields that a schema has. It is immutable and safe for concurrent
// use.
type UserReader struct {
	schema         *Schema
	plain, derived []*field
	keys           []string // of the document that the fields read; nil with whole
	document       bool     // some field reads the document
	whole          bool     // one of them reads all of it
}

// UserReader returns a reader of the named user fields and what they are made of. Names that the schema does
// not have are left out, and so is "id", which every User has.
func (s *Schema) UserReader(names []string) *UserReader {
	n := s.needs(s.user, names)
	return &UserReader{schema: s, plain: n.plain, derived: n.derived, keys: n.keys, document: n.document, whole: n.whole}
}

// With returns a reader of more fields; the receiver when it reads them already.
func (r *UserReader) With(names []string) *UserReader {
	if len(names) == 0 {
		return r
	}
	var all []string
	for _, f := range slices.Concat(r.plain, r.derived) {
		all = append(all, f.Name)
	}
	have := len(all)
	for _, name := range names {
		if !slices.Contains(all, name) && find(r.schema.user, name) != nil {
			all = append(all, name)
		}
	}
	if len(all) == have {
		return r
	}
	return r.schema.UserReader(all)
}

// Read returns what Schema.User does, with no other fields in Env and Known than the reader's and "id".
// History and Shown are those of the state, which must not change as long as the User is used.
func (r *UserReader) Read(id string, st *State, items ItemLookup, now time.Time) *User {
	n := len(r.plain) + len(r.derived) + 1
	v := view{schema: r.schema, fields: r.schema.user, st: st, items: items, now: now,
		env: make(map[string]any, n), known: make(map[string]bool, n)}
	v.env["id"], v.known["id"] = id, true
	if st != nil && r.document {
		v.doc = decodeKeys(st.Doc, r.keys, r.whole, map[string]any{})
	}
	v.compute(r.plain, r.derived)
	u := &User{ID: id, Seen: v.stored(), Env: v.env, Known: v.known, Now: now}
	if st != nil {
		u.History = slices.Clip(st.Lists[historyList])
		u.Shown = slices.Clip(r.schema.shownTo(st, now))
	}
	return u
}

// needs are the fields to compute for some that are asked for.
type needs struct {
	plain, derived  []*field
	keys            []string
	document, whole bool
}

// needs returns what the named fields are made of, in the order of the schema.
func (s *Schema) needs(fields []*field, names []string) needs {
	wanted := map[string]bool{}
	var want func(name string)
	want = func(name string) {
		f := find(fields, name)
		if f == nil || wanted[name] {
			return
		}
		wanted[name] = true
		if derived(f.Kind) {
			want(f.Of)
			want(f.By)
		}
	}
	for _, name := range names {
		want(name)
	}
	n := needs{keys: []string{"currency"}}
	for _, f := range fields {
		switch {
		case !wanted[f.Name]:
			continue
		case derived(f.Kind):
			n.derived = append(n.derived, f)
			continue
		}
		n.plain = append(n.plain, f)
		if f.Attribute != "" {
			n.keys, n.document = append(n.keys, f.Attribute), true
		}
		n.whole = n.whole || f.Rest
	}
	return n
}

// decodeKeys returns the keys of a document that are needed, or more, perhaps in room.
func decodeKeys(doc string, keys []string, whole bool, room map[string]any) map[string]any {
	if !whole {
		if picked, ok := pickKeys(doc, keys, room); ok {
			return picked
		}
	}
	return decodeDocument(doc)
}
