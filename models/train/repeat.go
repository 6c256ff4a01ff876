package train

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/models"
)

// anotherVisit is the time after which an event on the same item is a coming back, not the same visit.
const anotherVisit = 6 * time.Hour

// ratePrior is the number of average users that an item's rate of repeats is drawn to the average by.
const ratePrior = 10

// RepeatRates returns, for each of the ids, how often the users of the log come back to the item after
// another visit, for each user who wanted it at all, against the average item: 1 where nothing is known.
// weights says which types of events count: those above 0.
func RepeatRates(l *Log, ids []string, weights map[string]float64) []float32 {
	byType := make([]float64, len(l.types))
	for i, t := range l.types {
		byType[i] = max(weights[string(t)], 0)
	}
	order, starts := groupByUser(l, byType)
	users, again := make([]float64, len(l.items.list)), make([]float64, len(l.items.list))
	var mine []Interaction
	for u := range len(starts) - 1 {
		mine = mine[:0]
		for _, i := range order[starts[u]:starts[u+1]] {
			mine = append(mine, l.At(int(i)))
		}
		slices.SortFunc(mine, func(a, b Interaction) int {
			if a.Item != b.Item {
				return int(a.Item) - int(b.Item)
			}
			return cmp.Compare(a.Time, b.Time)
		})
		for k := range mine {
			switch {
			case k == 0 || mine[k].Item != mine[k-1].Item:
				users[mine[k].Item]++
			case mine[k].Time-mine[k-1].Time >= anotherVisit.Milliseconds():
				again[mine[k].Item]++
			}
		}
	}
	return ratesOf(l, ids, users, again)
}

// ratesOf draws each item's rate to that of all.
func ratesOf(l *Log, ids []string, users, again []float64) []float32 {
	had, back := 0.0, 0.0
	for i := range users {
		had, back = had+users[i], back+again[i]
	}
	rates := slices.Repeat([]float32{1}, len(ids))
	if back == 0 {
		return rates
	}
	average := back / had
	for j, id := range ids {
		if i, ok := l.ItemNumber(id); ok {
			rate := (again[i] + ratePrior*average) / (users[i] + ratePrior) / average
			rates[j] = float32(min(max(rate, 0.01), 100))
		}
	}
	return rates
}

// Repeat gives a model that was trained on the log a repeat term with the log's rates of repeats.
func Repeat(l *Log, m models.Model, p models.RepeatParams) (models.Model, error) {
	return models.WithRepeat(m, p, RepeatRates(l, m.Items().IDs, p.Weights))
}

// RepeatCase is a user on whom the constants of a repeat term are chosen.
type RepeatCase struct {
	User *features.User
	Now  time.Time
	// Rows are the model's best rows for the user without a repeat term, best first, ties by row: as many as
	// are judged and as the history has items, and then those of the history that are not among them.
	Rows   []int32
	Scores []float32
	Truth  []int32
}

// RepeatChoice is what ChooseRepeat found.
type RepeatChoice struct {
	Params models.RepeatParams
	// Before and After are what the cases measure without and with the term, case by case.
	Before, After []float64
	Tried         int // settings of the constants
}

// The settings that ChooseRepeat tries of each constant, one after the other. Weights are in units of how
// far the scores of a list reach.
var (
	repeatWeights = []float64{0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.45, 0.7, 1, 1.5, 2, 3, 5, 8, 12, 20}
	repeatSlow    = []time.Duration{7 * day, 15 * day, 30 * day, 60 * day, 120 * day, 240 * day, 0}
	repeatFast    = []time.Duration{10 * time.Minute, time.Hour, 6 * time.Hour, day, 4 * day}
	repeatPowers  = []float64{0.25, 0.5, 0.75, 1, 1.5}
	repeatRates   = []float64{0, 0.25, 0.5, 0.75, 1}
	repeatFactors = []float64{0.25, 4}
)

const day = 24 * time.Hour

// repeatRounds is how often each constant is looked at again at most.
const repeatRounds = 3

// repeatSearch is one call of ChooseRepeat.
type repeatSearch struct {
	model   models.Model
	rates   []float32
	cases   []RepeatCase
	measure func(ranked, truth []int32) float64
	k       int
	best    RepeatChoice
	mean    float64
}

// ChooseRepeat looks for the constants of a repeat term with which the lists of k rows of the cases measure
// best on average: one constant after the other, from the weights of event types given, with rates as
// RepeatRates returns them. The cases must be later than what the model was trained on. The choice is the
// same each time. Without a setting that measures better than none both weights of the Params are 0.
func ChooseRepeat(m models.Model, rates []float32, weights map[string]float64, cases []RepeatCase, k int, measure func(ranked, truth []int32) float64) (RepeatChoice, error) {
	s := &repeatSearch{model: m, rates: rates, cases: cases, measure: measure, k: k}
	s.best.Params = models.RepeatParams{Slow: models.RepeatScale{HalfLife: 60 * day}, Fast: models.RepeatScale{HalfLife: day}, Power: 0.75, Weights: weights}
	s.best.Before = s.values(nil)
	s.best.After, s.mean = s.best.Before, mean(s.best.Before)
	steps := s.steps()
	for range repeatRounds {
		was := s.mean
		for _, settings := range steps {
			for _, p := range settings(s.best.Params) {
				if err := s.try(p); err != nil {
					return s.best, err
				}
			}
		}
		if s.mean == was {
			break
		}
	}
	return s.best, nil
}

// steps returns, constant by constant, the settings to try from where the search stands.
func (s *repeatSearch) steps() []func(models.RepeatParams) []models.RepeatParams {
	unit := s.reach()
	vary := func(n int, set func(p *models.RepeatParams, i int)) func(models.RepeatParams) []models.RepeatParams {
		return func(p models.RepeatParams) (list []models.RepeatParams) {
			for i := range n {
				c := p
				set(&c, i)
				list = append(list, c)
			}
			return list
		}
	}
	list := []func(models.RepeatParams) []models.RepeatParams{
		vary(len(repeatWeights), func(p *models.RepeatParams, i int) { p.Slow.Weight = unit * repeatWeights[i] }),
		vary(len(repeatSlow), func(p *models.RepeatParams, i int) { p.Slow.HalfLife = repeatSlow[i] }),
		vary(len(repeatPowers), func(p *models.RepeatParams, i int) { p.Power = repeatPowers[i] }),
		vary(len(repeatRates), func(p *models.RepeatParams, i int) { p.Rate = repeatRates[i] }),
		vary(len(repeatWeights), func(p *models.RepeatParams, i int) { p.Fast.Weight = unit * repeatWeights[i] }),
		vary(len(repeatFast), func(p *models.RepeatParams, i int) { p.Fast.HalfLife = repeatFast[i] }),
	}
	if types := s.types(); len(types) > 1 {
		for _, name := range types {
			list = append(list, vary(len(repeatFactors), func(p *models.RepeatParams, i int) {
				p.Weights = maps.Clone(p.Weights)
				p.Weights[name] *= repeatFactors[i]
			}))
		}
	}
	return list
}

// types returns the types of events with weight that the cases' histories hold, in order.
func (s *repeatSearch) types() []string {
	seen := map[string]bool{}
	for i := range s.cases {
		for _, e := range s.cases[i].User.History {
			if s.best.Params.Weights[string(e.Type)] != 0 {
				seen[string(e.Type)] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(seen))
}

// reach is how far the scores of a list reach from its first to its last place, on average: the unit of
// weights, since models score on scales of their own.
func (s *repeatSearch) reach() float64 {
	sum, n := 0.0, 0
	for i := range s.cases {
		c := &s.cases[i]
		if at := min(s.k, len(c.Scores)) - 1; at > 0 {
			sum, n = sum+float64(c.Scores[0]-c.Scores[at]), n+1
		}
	}
	if !(sum > 0) {
		return 1
	}
	return sum / float64(n)
}

// try keeps the setting when it measures better than the best so far.
func (s *repeatSearch) try(p models.RepeatParams) error {
	if p.Slow.Weight == 0 && p.Fast.Weight == 0 {
		return nil
	}
	m, err := models.WithRepeat(s.model, p, s.rates)
	if err != nil {
		return err
	}
	s.best.Tried++
	values := s.values(m)
	if v := mean(values); v > s.mean+1e-6 {
		s.best.Params, s.best.After, s.mean = p, values, v
	}
	return nil
}

func mean(values []float64) float64 {
	sum := 0.0
	for _, v := range values {
		sum += v
	}
	return sum / math.Max(float64(len(values)), 1)
}

// repeater is a model with a repeat term.
type repeater interface {
	Repeats(u *features.User, now time.Time, room []models.Repeated) []models.Repeated
}

// values measures the cases with the term of m; nil = without.
func (s *repeatSearch) values(m models.Model) []float64 {
	out := make([]float64, len(s.cases))
	var room []models.Repeated
	list := make([]int32, 0, s.k)
	for i := range s.cases {
		c := &s.cases[i]
		if r, ok := m.(repeater); ok {
			room = r.Repeats(c.User, c.Now, room[:0])
		}
		list = c.rank(room, list[:0], s.k)
		out[i] = s.measure(list, c.Truth)
	}
	return out
}

// rank appends to list the best k rows when the raised ones have their whole score. All others stay in the
// order in which they are.
func (c *RepeatCase) rank(raised []models.Repeated, list []int32, k int) []int32 {
	whole := make([]models.Repeated, 0, len(raised)) // those of the case
	for i, row := range c.Rows {
		if at, ok := findRepeated(raised, row); ok {
			whole = append(whole, models.Repeated{Row: row, Score: c.Scores[i] + raised[at].Score})
		}
	}
	slices.SortFunc(whole, func(a, b models.Repeated) int {
		return cmp.Or(cmp.Compare(b.Score, a.Score), cmp.Compare(a.Row, b.Row))
	})
	for i, row := range c.Rows {
		if _, ok := findRepeated(raised, row); ok {
			continue
		}
		for len(whole) > 0 && len(list) < k && (whole[0].Score > c.Scores[i] || whole[0].Score == c.Scores[i] && whole[0].Row < row) {
			list, whole = append(list, whole[0].Row), whole[1:]
		}
		if len(list) == k {
			return list
		}
		list = append(list, row)
	}
	for _, r := range whole[:min(len(whole), k-len(list))] {
		list = append(list, r.Row)
	}
	return list
}

func findRepeated(list []models.Repeated, row int32) (at int, ok bool) {
	return slices.BinarySearchFunc(list, row, func(r models.Repeated, row int32) int { return cmp.Compare(r.Row, row) })
}
