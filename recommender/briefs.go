package recommender

import (
	"sync/atomic"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/rules"
)

// briefs holds, row by row, what a rule set knows of the items of a catalogue: sixteen bytes that a request
// reads of a candidate, whose row, item and facts lie elsewhere. It is filled as items are asked for, and safe
// for concurrent use.
type briefs struct {
	cat   *catalog
	set   *rules.Set
	pages []atomic.Pointer[briefPage]
}

// briefPage holds the briefs of consecutive rows. The first word of one is written last.
type briefPage [briefRows][2]atomic.Uint64

const briefRows = 512

// newBriefs returns an empty store, nil for a set that does without.
func newBriefs(cat *catalog, set *rules.Set) *briefs {
	if !set.Briefs() {
		return nil
	}
	return &briefs{cat: cat, set: set, pages: make([]atomic.Pointer[briefPage], (len(cat.rows)+briefRows-1)/briefRows)}
}

// with returns the briefs of the next catalogue, in which some rows changed; pages without one of them are
// shared. A row that aged is forgotten, so that whoever shows it next asks for its item again.
func (b *briefs) with(next *catalog, changed []int32) *briefs {
	if b == nil {
		return nil
	}
	out := newBriefs(next, b.set)
	for i := range min(len(b.pages), len(out.pages)) {
		out.pages[i].Store(b.pages[i].Load())
	}
	own := make(map[int32]*briefPage)
	for _, row := range changed {
		at := row / briefRows
		p := own[at]
		if p == nil {
			old := out.pages[at].Load()
			if old == nil {
				continue
			}
			p = old.copied()
			own[at] = p
			out.pages[at].Store(p)
		}
		p[row%briefRows][0].Store(0)
	}
	return out
}

func (p *briefPage) copied() *briefPage {
	out := new(briefPage)
	for i := range p {
		if first := p[i][0].Load(); first != 0 {
			out[i][1].Store(p[i][1].Load())
			out[i][0].Store(first)
		}
	}
	return out
}

// of returns what the set knows of a row, unknown for one that is deleted.
func (b *briefs) of(row int32) rules.Brief {
	p := b.pages[row/briefRows].Load()
	if p != nil {
		at := &p[row%briefRows]
		if first := at[0].Load(); first != 0 {
			return rules.Brief{first, at[1].Load()}
		}
	}
	return b.learn(row)
}

// learn is of for a row that was not asked for yet.
func (b *briefs) learn(row int32) rules.Brief {
	it, facts := b.Known(row)
	if it.Deleted {
		return rules.Brief{}
	}
	page := &b.pages[row/briefRows]
	if page.Load() == nil {
		page.CompareAndSwap(nil, new(briefPage))
	}
	out, at := facts.Brief(), &page.Load()[row%briefRows]
	at[1].Store(out[1])
	at[0].Store(out[0])
	return out
}

// Known returns the item of a row and what the set knows of it.
func (b *briefs) Known(row int32) (*features.Item, *rules.Facts) {
	r := b.cat.rows[row]
	return r.item(), r.known(b.set)
}

// Find returns the row of an item.
func (b *briefs) Find(id string) (int32, bool) { return b.cat.find(id) }
