package features

import (
	"maps"
	"slices"
)

// Unpack folds the parts that are stored about an entity, in their order, into its state; nil when
// there are none. A state stands for everything before it. Lists that the schema does not have are left
// out.
//
// A part that overlaps a later one of the same source is left out too. Redis writes what a script does
// as one transaction, but when the end of its append-only file is lost within a transaction it leaves
// the beginning there, and carries it out when it starts once more: a part comes back although the log
// has been read again meanwhile.
func (s *Schema) Unpack(parts []string) (*State, error) {
	if len(parts) == 0 {
		return nil, nil
	}
	st, _, err := s.unpack(parts)
	if err != nil {
		return nil, err
	}
	maps.DeleteFunc(st.Lists, func(name string, _ []Entry) bool { return s.listByName(name) == nil })
	return st, nil
}

// Repack returns the one part that says the same as the parts do. whole is false when something would
// get lost: entries of a list that this schema does not have, but that of another writer may.
func (s *Schema) Repack(parts []string) (part []byte, whole bool, err error) {
	st, whole, err := s.unpack(parts)
	if err != nil {
		return nil, false, err
	}
	return PackState(make([]byte, 0, 1024), st), whole, nil
}

func (s *Schema) unpack(parts []string) (st *State, whole bool, err error) {
	st = &State{}
	for i := len(parts) - 1; i >= 0; i-- {
		if parts[i] != "" && parts[i][0] == packedState {
			if st, err = UnpackState(parts[i]); err != nil {
				return nil, false, err
			}
			parts = parts[i+1:]
			break
		}
	}
	size := 0
	for _, part := range parts {
		size += len(part)
	}
	ops := make([]Op, 0, size/4) // about: an operation has three bytes, and some have an item
	for i, part := range parts {
		if returned(parts, i) {
			continue
		}
		if ops, err = UnpackOps(ops, part); err != nil {
			return nil, false, err
		}
	}
	if len(ops) > 0 {
		st.Apply(s, ops)
	}
	return st, !slices.ContainsFunc(ops, func(op Op) bool { return op.Code == Push && s.listByName(op.Field) == nil }), nil
}

// returned tells whether a later part of the same source overlaps the part.
func returned(parts []string, i int) bool {
	u := unpacker{s: parts[i]}
	o := u.origin()
	for _, part := range parts[i+1:] {
		if !u.failed && len(part) > sourceBytes && part[:1+sourceBytes] == parts[i][:1+sourceBytes] {
			later := unpacker{s: part}
			return later.origin().From < o.To && !later.failed
		}
	}
	return false
}
