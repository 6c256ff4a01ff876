package features

import (
	"math"
	"slices"
	"strings"

	"github.com/sartorhq/sartor/streams"
)

// DocumentField is the Field of a Remove that takes back an item's document only: what was counted
// about the item stays, because orders and catalogue arrive on different topics in any order.
const DocumentField = "document"

// maxAmount bounds one event's contribution to a sum of money or units, so that no single event
// can bring a counter near the end of int64.
const maxAmount = 1_000_000_000_000_000

// ratingScale turns a rating into the whole millionths that are stored.
const ratingScale = 1_000_000

// Fold returns what the event does to the features of the user and of each item in it. It is pure
// and looks at event time only, so folding the log again gives the same state. The same fold makes
// serving features and training examples. The event must have passed the codec's validation.
func (s *Schema) Fold(e *streams.Event) []Delta {
	ms := e.Time.UnixMilli()
	switch e.Type {
	case streams.UserUpsert, streams.UserDelete:
		if e.Subject() == "" {
			return nil
		}
		op := Op{Code: Remove, Time: ms}
		if e.Type == streams.UserUpsert {
			op = Op{Code: Put, Text: encodeDocument(e.Attributes), Time: ms}
		}
		return []Delta{{Entity{UserEntity, e.Subject()}, []Op{op}}}
	case streams.ItemUpsert, streams.ItemDelete:
		return s.foldCatalog(e, ms)
	case streams.UserMerge:
		return foldMerge(e, ms)
	}
	if !counted(e.Type) {
		return nil
	}
	lines := mergeLines(e.Items)
	out := make([]Delta, 0, len(lines)+1)
	if plan, ok := s.folds[UserEntity][e.Type]; ok && e.Subject() != "" {
		out = append(out, Delta{Entity{UserEntity, e.Subject()}, s.foldUser(&plan, e, lines, ms)})
	}
	for _, l := range lines {
		out = append(out, Delta{Entity{ItemEntity, l.id}, s.foldItem(e, l, lines, ms)})
	}
	if plan := s.folds[ItemEntity][e.Type]; len(plan.visit) > 0 && len(e.Visit) > 0 {
		out = plan.visits(out, e, lines, ms)
	}
	return out
}

// itemLine is what one event says about one item: its lines added up.
type itemLine struct {
	id            string
	units, amount int64
}

// mergeLines adds up the lines of each item, in order of first appearance.
func mergeLines(lines []streams.Line) []itemLine {
	out := make([]itemLine, 0, len(lines))
	at := make(map[string]int, len(lines))
	for _, l := range lines {
		if l.ItemID == "" {
			continue
		}
		i, ok := at[l.ItemID]
		if !ok {
			i = len(out)
			at[l.ItemID] = i
			out = append(out, itemLine{id: l.ItemID})
		}
		out[i].units = bounded(float64(out[i].units) + float64(l.Quantity))
		out[i].amount = sumBounded(out[i].amount, product(l.Quantity, l.Price))
	}
	return out
}

// product multiplies within the bounds of one event.
func product(a, b int64) int64 {
	if f := float64(a) * float64(b); math.Abs(f) >= maxAmount {
		return bounded(f)
	}
	return a * b
}

func sumBounded(a, b int64) int64 { return min(max(a+b, -maxAmount), maxAmount) }

func bounded(f float64) int64 {
	switch {
	case f >= maxAmount:
		return maxAmount
	case f <= -maxAmount:
		return -maxAmount
	}
	return int64(f)
}

func (s *Schema) foldCatalog(e *streams.Event, ms int64) []Delta {
	if len(e.Items) == 0 || e.Items[0].ItemID == "" {
		return nil
	}
	line := e.Items[0]
	op := Op{Code: Remove, Field: DocumentField, Time: ms}
	if e.Type == streams.ItemUpsert {
		doc := e.Attributes
		if line.Price > 0 && doc["price"] == nil || e.Currency != "" && doc["currency"] == nil {
			doc = make(map[string]any, len(e.Attributes)+2)
			for k, v := range e.Attributes {
				doc[k] = v
			}
			if line.Price > 0 && doc["price"] == nil {
				doc["price"] = float64(line.Price)
			}
			if e.Currency != "" && doc["currency"] == nil {
				doc["currency"] = e.Currency
			}
		}
		op = Op{Code: Put, Text: encodeDocument(doc), Time: ms}
	}
	return []Delta{{Entity{ItemEntity, line.ItemID}, []Op{op}}}
}

// values is what one event adds to each measure of one entity.
type values struct {
	units, amount, rating int64
	currency              string // "" = the schema's own
}

func (v values) of(m measure) int64 {
	switch m {
	case measureUnits:
		return v.units
	case measureAmount:
		return v.amount
	case measureRating:
		return v.rating
	}
	return 1
}

func (s *Schema) foldUser(plan *foldPlan, e *streams.Event, lines []itemLine, ms int64) []Op {
	v := s.valuesOf(e)
	for _, l := range lines {
		v.units = sumBounded(v.units, l.units)
		v.amount = sumBounded(v.amount, l.amount)
	}
	if e.Total != nil {
		v.amount = sumBounded(*e.Total, 0)
	}
	ops := plan.ops(e, v, ms)
	for _, list := range plan.lists {
		if !list.where.takes(e) {
			continue
		}
		for _, l := range lines {
			text := l.id
			if list.log {
				text = historyMember(e.Type, ms, l.id)
			}
			ops = append(ops, Op{Code: Push, Field: list.name, Text: text, Time: ms})
		}
	}
	return ops
}

func (s *Schema) foldItem(e *streams.Event, l itemLine, lines []itemLine, ms int64) []Op {
	v := s.valuesOf(e)
	v.units, v.amount = l.units, l.amount
	plan := s.folds[ItemEntity][e.Type]
	ops := plan.ops(e, v, ms)
	ops = plan.pairs(ops, e, l, lines, ms)
	if code := countryKey(e.Country); code != "" && v.units != 0 {
		units := v.units
		switch e.Type {
		case streams.Return:
			units = -units
			fallthrough
		case streams.Order:
			ops = append(ops, Op{Code: Add, Field: countryBucket(floorDiv(ms, dayMillis), code), Value: units, Time: ms})
		}
	}
	return ops
}

func (s *Schema) valuesOf(e *streams.Event) values {
	v := values{rating: bounded(math.Round(e.Rating * ratingScale))}
	if s.currency != "" && e.Currency != "" && e.Currency != s.currency {
		v.currency = e.Currency
		if !currencyCode.MatchString(v.currency) {
			v.currency = "XXX" // ISO 4217: no currency
		}
	}
	return v
}

// maxPaired is how many items of one event are paired with each other: the first ones. A wholesale
// order of hundreds of lines says little about each pair, and pairs grow with the square.
const maxPaired = 20

// visits appends what the event makes items have in common with what came before it in its visit. An item
// that was there already is paired with nothing again, so that each pair counts once a visit.
func (fp *foldPlan) visits(out []Delta, e *streams.Event, lines []itemLine, ms int64) []Delta {
	push := func(list, item, other string) {
		op := Op{Code: Push, Field: list, Text: historyMember(e.Type, ms, other), Time: ms}
		i := slices.IndexFunc(out, func(d Delta) bool { return d.Entity == Entity{ItemEntity, item} })
		if i < 0 {
			out = append(out, Delta{Entity{ItemEntity, item}, []Op{op}})
			return
		}
		out[i].Ops = append(out[i].Ops, op)
	}
	for _, p := range fp.visit {
		var before []string
		for _, t := range e.Visit {
			if slices.Contains(p.events, t.Type) && !slices.Contains(before, t.ItemID) && len(before) < maxPaired {
				before = append(before, t.ItemID)
			}
		}
		for _, l := range lines[:min(len(lines), maxPaired)] {
			if slices.Contains(before, l.id) {
				continue
			}
			for _, other := range before {
				push(p.name, l.id, other)
				push(p.name, other, l.id)
			}
		}
	}
	return out
}

// pairs appends, for one item of the event, the other items.
func (fp *foldPlan) pairs(ops []Op, e *streams.Event, l itemLine, lines []itemLine, ms int64) []Op {
	if len(fp.together) == 0 || len(lines) < 2 {
		return ops
	}
	lines = lines[:min(len(lines), maxPaired)]
	if !slices.ContainsFunc(lines, func(o itemLine) bool { return o.id == l.id }) {
		return ops
	}
	for _, list := range fp.together {
		if !list.where.takes(e) {
			continue
		}
		for _, other := range lines {
			if other.id != l.id {
				ops = append(ops, Op{Code: Push, Field: list.name, Text: historyMember(e.Type, ms, other.id), Time: ms})
			}
		}
	}
	return ops
}

// ops returns the operations of the plan for one event.
func (fp *foldPlan) ops(e *streams.Event, v values, ms int64) []Op {
	ops := make([]Op, 0, 3*len(fp.counters)+len(fp.first)+len(fp.last)+4)
	for i := range fp.counters {
		c := &fp.counters[i]
		if !c.where.takes(e) {
			continue
		}
		name, n := c.name, v.of(c.measure)
		if c.measure == measureAmount && v.currency != "" {
			name += "~" + v.currency
		}
		if c.total {
			ops = append(ops, Op{Code: c.code, Field: name, Value: n, Time: ms})
		}
		if c.hourly {
			ops = append(ops, Op{Code: c.code, Field: bucketName(name, hourly, floorDiv(ms, hourMillis)), Value: n, Time: ms})
		}
		if c.daily {
			ops = append(ops, Op{Code: c.code, Field: bucketName(name, daily, floorDiv(ms, dayMillis)), Value: n, Time: ms})
		}
	}
	for _, m := range fp.first {
		if m.where.takes(e) {
			ops = append(ops, Op{Code: Min, Field: m.name, Value: ms, Time: ms})
		}
	}
	for _, m := range fp.last {
		if m.where.takes(e) {
			ops = append(ops, Op{Code: Max, Field: m.name, Value: ms, Time: ms})
		}
	}
	return ops
}

// countryKey returns the country as it is kept in counter names: two letters become upper case,
// anything longer than 32 bytes is left out so that names stay bounded.
func countryKey(c string) string {
	c = strings.TrimSpace(c)
	if len(c) > 32 {
		return ""
	}
	if len(c) == 2 {
		return strings.ToUpper(c)
	}
	return c
}
