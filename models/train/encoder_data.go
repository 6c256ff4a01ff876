package train

import (
	"fmt"
	"math"
	"slices"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/models"
)

// sequences are the histories that an encoder learns from: what serving would show it, event by event.
type sequences struct {
	ids         []string
	itemNumbers []int32   // of the log, by row
	popularity  []float32 // by row
	count       []int64   // events as a target, by row
	starts      []int     // of each user's events
	users       []int32   // numbers of the log
	items       []int32   // rows
	kinds       []uint8   // rows of the type embedding
	gaps        []uint8   // rows of the gap embedding
	ticks       []float32 // nil without a clock
	goals       []float32 // weight of the event as a target; 0 = none
	same        []bool    // of one type and moment with the event before; nil when that does not matter
	rows        []int32   // of the profile, by event; nil without one
	events      int64
}

// sequence collects the events whose type carries weight, by user and time; of one moment by type and
// item, and an event that is there twice once, as the stored history is kept. Items without a positive
// event are left out: nothing could be learned about them as targets.
func sequence(l *Log, p models.EncoderParams, o Options) (*sequences, error) {
	kinds, weights := map[string]uint8{}, make([]float64, len(l.types))
	for i, name := range p.Types() {
		kinds[name] = uint8(i)
	}
	for i, t := range l.types {
		weights[i] = p.Signal.Weights[string(t)]
	}
	order, starts := groupByUser(l, weights)
	s := &sequences{starts: []int{0}, events: int64(len(order))}
	s.reserve(len(order), p.Clock > 0, !o.Encoder.Augment.Ordered, l.profile != nil)
	number := s.number(l, weights, models.Signal{HalfLife: o.PopularityHalfLife}, o.Encoder.Catalog)
	had := make([]int32, len(s.ids)) // the last user, plus 1, who had the item
	for u := range len(starts) - 1 {
		mine := order[starts[u]:starts[u+1]]
		slices.SortStableFunc(mine, func(a, b int32) int { return -features.CompareEntries(l.entry(a), l.entry(b)) })
		last := int64(math.MinInt64)
		for k, i := range mine {
			x := l.events.at(int(i))
			row := number[x.item]
			if row < 0 || k > 0 && x == l.events.at(int(mine[k-1])) {
				continue
			}
			since := int64(0)
			if last != math.MinInt64 {
				since = x.time() - last
			}
			last = x.time()
			s.items, s.kinds = append(s.items, row), append(s.kinds, kinds[string(l.types[x.kind()])])
			s.gaps = append(s.gaps, uint8(models.GapRow(since)))
			if !o.Encoder.Augment.Ordered { // since is 0 for a user's first event, too, of which there is none before
				s.same = append(s.same, len(s.items)-1 > s.starts[len(s.starts)-1] && since == 0 && s.kinds[len(s.kinds)-1] == s.kinds[len(s.kinds)-2])
			}
			if l.profile != nil {
				s.rows = append(s.rows, l.rows.at(int(i)))
			}
			if p.Clock > 0 {
				s.ticks = append(s.ticks, p.Ticks(since))
			}
			goal := goalWeight(string(l.types[x.kind()]), weights[x.kind()], o.Encoder.Objective)
			if o.Encoder.Catalog != nil && !o.Encoder.Catalog(s.ids[row]) {
				goal = 0
			}
			if o.Encoder.Fresh && had[row] == int32(u+1) {
				goal = 0
			}
			had[row] = int32(u + 1)
			s.goals = append(s.goals, goal)
			if goal > 0 {
				s.count[row]++
			}
		}
		if n := len(s.items); n > s.starts[len(s.starts)-1] {
			s.starts, s.users = append(s.starts, n), append(s.users, l.events.at(int(mine[0])).user)
		}
	}
	if users := len(s.starts) - 1; users < minUsers || len(s.ids) < minItems {
		return nil, fmt.Errorf("train: need at least %d users and %d items with events that carry weight, have %d and %d (%d events in the log): %w",
			minUsers, minItems, users, len(s.ids), l.Len(), ErrTooLittle)
	}
	return s, nil
}

// reserve makes room for n events: growing would for a moment take more than all of them again.
func (s *sequences) reserve(n int, ticks, same, rows bool) {
	s.items, s.kinds, s.gaps, s.goals = make([]int32, 0, n), make([]uint8, 0, n), make([]uint8, 0, n), make([]float32, 0, n)
	if ticks {
		s.ticks = make([]float32, 0, n)
	}
	if same {
		s.same = make([]bool, 0, n)
	}
	if rows {
		s.rows = make([]int32, 0, n)
	}
}

// row is that of the profile for an event, -1 without one.
func (s *sequences) row(event int32) int32 {
	if s.rows == nil {
		return -1
	}
	return s.rows[event]
}

// entry is interaction i as the stored history holds it.
func (l *Log) entry(i int32) features.Entry {
	x := l.events.at(int(i))
	return features.Entry{Type: l.types[x.kind()], ItemID: l.items.list[x.item], Time: x.time()}
}

// goalWeight is what an event counts as a target: 1 where its type is evidence of taste, or what the
// objective says.
func goalWeight(kind string, weight float64, objective map[string]float64) float32 {
	switch {
	case objective != nil:
		return float32(max(objective[kind], 0))
	case weight > 0:
		return 1
	}
	return 0
}

// number gives rows to the items with a positive event, in the order of the log's numbers, and returns
// the row by number, -1 for none.
func (s *sequences) number(l *Log, weights []float64, fade models.Signal, catalog func(string) bool) []int32 {
	popularity, wanted := make([]float64, len(l.items.list)), make([]bool, len(l.items.list))
	now := l.Newest().UnixMilli()
	for _, x := range l.events.all() {
		if weights[x.kind()] > 0 {
			popularity[x.item] += fade.Fade(now - x.time())
			wanted[x.item] = true
		}
	}
	number := make([]int32, len(wanted))
	for item, yes := range wanted {
		number[item] = -1
		if yes {
			number[item] = int32(len(s.ids))
			s.ids, s.itemNumbers = append(s.ids, l.items.list[item]), append(s.itemNumbers, int32(item))
			s.popularity = append(s.popularity, float32(popularity[item]))
		}
	}
	s.count = make([]int64, len(s.ids))
	return number
}

// adopt gives rows to the items of a model that the log does not show, so that they stay in the model.
func (s *sequences) adopt(t models.EncoderTable, keepCounts bool) {
	rows := make(map[string]int, len(s.ids))
	for j, id := range s.ids {
		rows[id] = j
	}
	for from, id := range t.IDs {
		j, ok := rows[id]
		if !ok {
			s.ids, s.itemNumbers = append(s.ids, id), append(s.itemNumbers, -1)
			s.popularity, s.count = append(s.popularity, t.Popularity[from]), append(s.count, 0)
		} else if keepCounts {
			s.popularity[j] = t.Popularity[from]
		}
	}
}

// piece is a run of one user's events, from..to-1, of which each foresees the next.
type piece struct{ from, to int32 }

// pieces cuts histories into runs of at most longest events, the newest whole, so that every event but a
// user's first is a target once. Runs without a target are left out.
func (s *sequences) pieces(longest int) []piece {
	var list []piece
	for u := range len(s.starts) - 1 {
		first, last := s.starts[u], s.starts[u+1]-1
		for to := last; to > first; {
			from := max(first, to-longest)
			if slices.ContainsFunc(s.goals[from+1:to+1], func(w float32) bool { return w > 0 }) {
				list = append(list, piece{int32(from), int32(to)})
			}
			to = from
		}
	}
	return list
}
