package recommender

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/sartorhq/sartor/models/index"
	"github.com/sartorhq/sartor/rules"
)

// Portion is a source of a scenario's candidates and the part of the list that it is to have.
type Portion struct {
	// Source is rules.SourceModel, or one of the sources that rules know, or SourceList.
	Source rules.Source
	// Share is the part, greater than 0; shares count in proportion to each other.
	Share float64
	// Window is "1h", "24h", "7d" or "30d" for rules.SourceHot; "" = 7d.
	Window string
	// ByCountry limits rules.SourceHot to the country of the visit, else of the user.
	ByCountry bool
	// Items are the ids of SourceList, in their order.
	Items []string
}

// SourceList marks candidates from the list of a Portion.
const SourceList rules.Source = "list"

// MaxPortions is how many sources a scenario may have.
const MaxPortions = 16

// blendable are the sources of portions. What is popular fills lists anyway, and comes last for that.
var blendable = []rules.Source{rules.SourceModel, rules.SourceSimilar, rules.SourceBought, rules.SourceTrending, rules.SourceHot,
	rules.SourceNew, SourceList}

// check returns what is wrong with a portion.
func (p *Portion) check() error {
	hot := slices.ContainsFunc(windows, func(w struct {
		name string
		key  sortKey
	}) bool {
		return w.name == p.Window
	})
	switch {
	case !slices.Contains(blendable, p.Source):
		return fmt.Errorf("unknown source %q: there are %v", p.Source, blendable)
	case !(p.Share > 0 && p.Share <= 1e6):
		return fmt.Errorf("source %s: the share must be greater than 0", p.Source)
	case p.Window != "" && (p.Source != rules.SourceHot || !hot):
		return fmt.Errorf("source %s: the window %q is for hot, and one of 1h, 24h, 7d, 30d", p.Source, p.Window)
	case p.ByCountry && p.Source != rules.SourceHot:
		return fmt.Errorf("source %s: only hot goes by country", p.Source)
	case (p.Source == SourceList) != (len(p.Items) > 0):
		return fmt.Errorf("source %s: a list has items, and nothing else has", p.Source)
	}
	return nil
}

// SetBlends says which sources the candidates of scenarios come from; scenarios that are not named have
// the model's, else what is hot. It replaces all earlier ones, or none when one is wrong. Rules act on the
// blend as on the model's candidates: they may replace it, add to it and take from it.
func (r *Recommender) SetBlends(blends map[string][]Portion) error {
	kept := make(map[string][]Portion, len(blends))
	for scenario, portions := range blends {
		if !isName(scenario) || len(portions) == 0 || len(portions) > MaxPortions {
			return fmt.Errorf("blend of scenario %q: need a name of a-z, 0-9, - and _, and 1 to %d sources", scenario, MaxPortions)
		}
		for i := range portions {
			if err := portions[i].check(); err != nil {
				return fmt.Errorf("blend of scenario %q: %w", scenario, err)
			}
		}
		kept[scenario] = slices.Clone(portions)
	}
	r.write.Lock()
	defer r.write.Unlock()
	next := *r.current.Load()
	next.blends, next.builtAt = kept, r.opts.Now()
	r.current.Store(&next)
	r.metrics.swapped("blends")
	return nil
}

// blended is a candidate of a blend: the turn at which it comes says how the sources alternate.
type blended struct {
	row    int32
	source rules.Source
	turn   float64
}

// blend adds the candidates of the scenario's sources. The i-th of a source with share s comes at turn
// (i + 1/2) / s, so that of any beginning of the list each source has its share; one that runs out leaves
// its turns to the others. Their base scores are those of the model's candidates, best first, as far as
// they go: the blend changes who stands where, not how far apart the places are.
func (w *work) blend(portions []Portion, depth int) modelScores {
	total := 0.0
	for i := range portions {
		total += portions[i].Share
	}
	var all []blended
	var model modelScores
	for i := range portions {
		p := &portions[i]
		rows, scores := w.portion(p, depth)
		if p.Source == rules.SourceModel {
			model = scores
		}
		for n, row := range rows {
			all = append(all, blended{row: row, source: p.Source, turn: (float64(n) + 0.5) * total / p.Share})
		}
	}
	slices.SortStableFunc(all, func(a, b blended) int { return cmp.Compare(a.turn, b.turn) })
	places := 0
	for _, c := range all {
		if w.pool.has(c.row) {
			w.pool.add(c.row, 0, c.source) // an earlier source has placed it
			continue
		}
		if places >= depth {
			continue
		}
		w.pool.add(c.row, w.placeBase(places, depth, model.bases), c.source)
		places++
	}
	return model
}

// placeBase is the base score of a place of a blend.
func (w *work) placeBase(place, depth int, model []float64) float64 {
	if len(model) == 0 {
		return max(1-float64(place)/float64(depth), floorBase)
	}
	if place < len(model) {
		return model[place]
	}
	// Behind the model's last one they fall on.
	return model[len(model)-1] * float64(depth-place) / float64(depth-len(model)+1)
}

// portion returns the candidates of one source, best first.
func (w *work) portion(p *Portion, depth int) (rows []int32, model modelScores) {
	if p.Source == rules.SourceModel {
		var hits []index.Hit
		hits, model = w.retrieve(depth)
		for _, h := range hits {
			rows = append(rows, int32(h.Row))
		}
		return rows, model
	}
	f := rules.Fetch{Source: p.Source, Window: p.Window, Items: p.Items}
	if p.ByCountry {
		f = w.contextual()
		f.Window = p.Window
	}
	for _, r := range w.drawn(f, depth) {
		rows = append(rows, r.row)
	}
	return rows, model
}
