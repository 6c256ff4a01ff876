package recommender

import (
	"slices"
	"strings"

	"github.com/sartorhq/sartor/models"
	"github.com/sartorhq/sartor/models/index"
	"github.com/sartorhq/sartor/rules"
)

// pool collects the candidates of one request, each item once.
type pool struct {
	cat  *catalog
	set  *rules.Set
	at   rowMap // row -> index in list
	list []rules.Candidate
	// model has the items' vectors, nil unless a rule compares them.
	model *modelView
	// known has the candidates' briefs; nil when they come with items and facts, since somebody reads all of
	// them.
	known *briefs
	room  *poolRoom
}

// poolRoom is the memory of a pool, which requests use one after the other: most of what one takes.
type poolRoom struct {
	at    rowMap
	list  []rules.Candidate
	order []baseKey
	hits  []index.Hit
	bases []float64
	// repeated is the model's repeat term, raised the same by the rows of the catalogue; see repeats.
	repeated []models.Repeated
	raised   []raised
	// alone holds one list per source, shared by all candidates that have no other. They outlive the request.
	alone [][]rules.Source
}

// baseKey is what decides about a candidate's place before rules.
type baseKey struct {
	base float64
	at   int32
}

// newPool returns an empty pool with room for size candidates; release gives its memory back.
func (w *work) newPool(size int) *pool {
	s := w.s
	room, _ := w.r.rooms.Get().(*poolRoom)
	if room == nil {
		room = &poolRoom{}
	}
	room.at.reset(size)
	p := &pool{cat: s.cat, set: s.rules, room: room, at: room.at, list: slices.Grow(room.list[:0], size)}
	if w.m != nil && s.rules.Vectors() {
		p.model = w.m
	}
	if w.trail == nil && w.r.opts.Considered == nil {
		p.known = s.known
	}
	return p
}

// add offers a row from a source. An item that is offered twice keeps its higher base score and
// lists both sources, the one with that score first.
func (p *pool) add(row int32, base float64, src rules.Source) {
	i, ok := p.at.place(row, len(p.list))
	if !ok {
		p.join(row, base, p.only(src))
		return
	}
	c := &p.list[i]
	switch {
	case base > c.Base:
		sources := []rules.Source{src}
		for _, s := range c.Sources {
			if s != src {
				sources = append(sources, s)
			}
		}
		c.Base, c.Sources = base, sources
	case !slices.Contains(c.Sources, src):
		c.Sources = append(slices.Clip(c.Sources), src)
	}
}

// addHits offers what the model found, best first, to an empty pool.
func (p *pool) addHits(hits []index.Hit, bases []float64) {
	sources := p.only(rules.SourceModel)
	for i, h := range hits {
		if _, ok := p.at.place(int32(h.Row), len(p.list)); !ok {
			p.join(int32(h.Row), bases[i], sources)
		}
	}
}

// join appends a candidate.
func (p *pool) join(row int32, base float64, sources []rules.Source) {
	n := len(p.list)
	if n == cap(p.list) {
		p.list = slices.Grow(p.list, n+1)
	}
	p.list = p.list[:n+1]
	c := &p.list[n] // empty: the room was cleared
	c.Row, c.Base, c.Sources = row, base, sources
	if p.known != nil {
		if c.Brief = p.known.of(row); c.Brief.Known() {
			return
		}
		p.complete()
		return
	}
	c.Vector = p.vector(row)
	p.look(c)
}

// look fills in the item of a candidate and what the rules know of it.
func (p *pool) look(c *rules.Candidate) {
	r := p.cat.rows[c.Row]
	c.Item, c.Facts = r.item(), r.known(p.set)
}

// complete gives up briefs: from now on candidates come with items and facts.
func (p *pool) complete() {
	p.known = nil
	for i := range p.list {
		p.look(&p.list[i])
	}
}

// vector is what rules compare an item by, nil when it has none or nobody asks.
func (p *pool) vector(row int32) []float32 {
	vec := p.model.vector(row)
	if vec == nil {
		return nil
	}
	return tasteOf(p.model.items, vec)
}

// maxAlone bounds the lists that a room keeps: sources of rules have names of their own.
const maxAlone = 16

func (p *pool) only(src rules.Source) []rules.Source {
	for _, list := range p.room.alone {
		if list[0] == src {
			return list
		}
	}
	list := []rules.Source{src}
	if len(p.room.alone) == maxAlone {
		p.room.alone = nil
	}
	p.room.alone = append(p.room.alone, list)
	return list
}

func (p *pool) has(row int32) bool {
	_, ok := p.at.get(row)
	return ok
}

// ranked numbers the candidates from 1 in the order before rules, by base score, ties by item id, and
// returns them as they stand.
func (p *pool) ranked() []rules.Candidate {
	order, falling := p.room.order[:0], true
	for i := range p.list {
		base := p.list[i].Base
		falling = falling && (i == 0 || base < order[i-1].base)
		order = append(order, baseKey{base: base, at: int32(i)})
	}
	if !falling { // as they do when they come from one search
		slices.SortFunc(order, func(a, b baseKey) int {
			switch {
			case a.base > b.base:
				return -1
			case a.base < b.base:
				return 1
			}
			return strings.Compare(p.id(a.at), p.id(b.at))
		})
	}
	for i, k := range order {
		p.list[k.at].Rank = i + 1
	}
	p.room.order = order
	return p.list
}

// id is that of the item of a candidate.
func (p *pool) id(at int32) string { return p.cat.rows[p.list[at].Row].id }

// release ends the work: its place among the workers and its pool, whose outcome holds copies.
func (w *work) release() {
	if w.leave != nil {
		w.leave()
	}
	if w.pool == nil {
		return
	}
	room := w.pool.room
	room.at, room.list = w.pool.at, w.pool.list
	clear(room.list)
	w.pool = nil
	w.r.rooms.Put(room)
}

// lowest returns the smallest base score in the pool, 1 for an empty pool.
func (p *pool) lowest() float64 {
	low := 1.0
	for i := range p.list {
		low = min(low, p.list[i].Base)
	}
	return low
}
