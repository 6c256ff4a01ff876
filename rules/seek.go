package rules

import (
	"math"
	"strconv"

	"github.com/sartorhq/sartor/features"
)

// Seek finds items of the catalogue by a condition on nothing but the item. It serves `source: segment`,
// and asks for the items that a pin by condition wants: "what sells more than Y goes first" means
// the best seller of the shop, also when the model would not have proposed it to this user. Only a
// condition that looks at nothing but the item can be sought; any other pin chooses among the
// candidates. A Seek is immutable and safe for concurrent use.
type Seek struct {
	// Key names the seek within its set: callers keep what matches under it.
	Key string
	// Rule is the id of the rule that asks, Count how many items it can place.
	Rule  string
	Count int
	// Ordered tells whether the rule says which items come first (Value); else the best scores do.
	Ordered bool

	set    *Set
	match  *program
	order  *program
	ascend bool
}

// Match tells whether the rule wants the item.
func (k *Seek) Match(it *features.Item) bool {
	if k.match == nil {
		return true
	}
	f := k.set.itemFrame(it)
	defer k.set.statics.Put(f)
	ok, err := k.match.test(f.frame)
	return ok && err == nil
}

// Value is what the rule orders items by, the larger the earlier.
func (k *Seek) Value(it *features.Item) float64 {
	f := k.set.itemFrame(it)
	defer k.set.statics.Put(f)
	v, err := k.order.value(f.frame)
	switch {
	case err != nil:
		return math.Inf(-1)
	case k.ascend:
		return -v
	}
	return v
}

// itemFrame loads one item into a frame of the set; the caller puts it back into statics.
func (s *Set) itemFrame(it *features.Item) *filterFrame {
	f, ok := s.statics.Get().(*filterFrame)
	if !ok {
		f = &filterFrame{frame: newFrame(s.layout)}
	}
	f.row = f.layout.load(it, f.row[:0])
	f.frame.row = f.row
	f.budget = budget{}
	return f
}

// findSeeks prepares the pins whose items can be found without looking at the request.
func (s *Set) findSeeks() {
	for _, r := range s.rules {
		for i := range r.actions {
			if a := &r.actions[i]; len(a.fetches) > 0 && a.fetches[0].Seek != nil {
				a.fetches[0].Seek.set, a.fetches[0].Seek.Key = s, r.key(i)
			}
		}
		if r.match == nil || r.match.deps != depItem {
			continue
		}
		for i := range r.actions {
			p := r.actions[i].pin
			if p == nil || len(p.items) > 0 || p.orderBy != nil && p.orderBy.deps&^depItem != 0 {
				continue
			}
			p.seek = &Seek{Key: r.key(i), Rule: r.id, Count: p.max, Ordered: p.orderBy != nil,
				set: s, match: r.match, order: p.orderBy, ascend: p.ascend}
		}
	}
}

// key names one action of the rule within its set.
func (r *rule) key(action int) string { return r.file + "/" + r.id + "#" + strconv.Itoa(action) }
