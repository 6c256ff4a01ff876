package rules

import (
	"math"
	"strings"
)

// varietySpec makes neighbours in the list differ: maximal marginal relevance.
type varietySpec struct {
	by       []*node // the item fields that two alike items share
	vectors  bool    // alike are also items whose vectors point the same way
	strength float64 // 0 = by score alone, 1 = by difference alone
	within   int     // first positions; 0 = the whole list
}

// varietyDepth is how many of the best items that are free compete for a place.
const varietyDepth = 100

func (r *actionReader) diversify(a *action) {
	s := &varietySpec{strength: 0.3, within: r.int("within", 0, 1, 1000)}
	if f := r.find("by"); f != nil {
		list := f.List
		if !f.Value.Empty() {
			list = []Expr{f.Value}
		}
		for _, e := range list {
			if strings.TrimSpace(e.Text) == bySimilarity {
				s.vectors = true
				continue
			}
			if n := r.fieldNode(e); n != nil {
				s.by = append(s.by, n)
			}
		}
	}
	if !r.has("by") {
		r.missing("by")
	}
	if r.has("strength") {
		s.strength = r.share("strength")
	}
	a.variety = s
}

// variety is the rule in force while the list is made.
type variety struct {
	*varietySpec
	rule   *rule
	action *action
	hits   []bool
	top    float64   // the best score
	near   []float64 // per candidate: likeness to the most alike item placed
	length []float64 // per candidate: of its vector; nil unless vectors are compared
	acted  int
}

// readVariety takes the first rule that asks for variety; the others have no say.
func (a *arrangement) readVariety() {
	for i, ru := range a.state.active {
		for k := range ru.actions {
			act := &ru.actions[k]
			switch {
			case act.variety == nil:
			case a.variety != nil:
				a.losers = append(a.losers, Fired{Rule: ru.id, Action: act.name, Detail: a.variety.rule.id + " has decided"})
			default:
				hits, _ := a.matched(i)
				a.variety = &variety{varietySpec: act.variety, rule: ru, action: act, hits: hits, near: make([]float64, len(a.cands)), top: math.SmallestNonzeroFloat64}
				if act.variety.vectors {
					a.variety.length = make([]float64, len(a.cands))
					for j := range a.cands {
						a.variety.length[j] = length(a.cands[j].Vector)
					}
				}
				for j, hit := range hits {
					if hit {
						a.resolved(j) // its fields are compared
					}
				}
				for _, j := range a.order {
					a.variety.top = max(a.variety.top, a.cands[j].score)
				}
			}
		}
	}
}

// decides tells whether variety has a say in who gets a position.
func (v *variety) decides(pos int) bool {
	return v != nil && v.strength > 0 && (v.within == 0 || pos <= v.within)
}

// worth is what a candidate counts in the choice for a place: its score as a part of the best one's,
// less its likeness to what is placed.
func (v *variety) worth(j int, c *cand) float64 {
	return (1-v.strength)*c.score/v.top - v.strength*v.near[j]
}

// placed notes how alike the free candidates are to the one that got a place.
func (v *variety) placed(cands []cand, j int) {
	if !v.hits[j] {
		return
	}
	for k := range cands {
		if v.hits[k] && !cands[k].taken() {
			v.near[k] = max(v.near[k], v.likeness(cands, j, k))
		}
	}
}

// likeness is the share of the fields in which two items agree. Empty values agree with nothing;
// lists agree by the part of their values that they share, vectors by the cosine of their angle, which
// counts as nothing below zero.
func (v *variety) likeness(cands []cand, j, k int) float64 {
	a, b, sum, parts := cands[j].values(), cands[k].values(), 0.0, len(v.by)
	if v.vectors {
		parts++
		sum += max(0, cosine(cands[j].Vector, cands[k].Vector, v.length[j]*v.length[k]))
	}
	for _, n := range v.by {
		switch x := a[n.ref.at].(type) {
		case string:
			if x != "" && x == b[n.ref.at].(string) {
				sum++
			}
		case []string:
			sum += shared(x, b[n.ref.at].([]string))
		default:
			if x == b[n.ref.at] {
				sum++
			}
		}
	}
	return sum / float64(parts)
}

// shared is the size of what two lists share over that of what they hold together.
func shared(a, b []string) float64 {
	both := 0
	for _, s := range a {
		if contains(b, s) {
			both++
		}
	}
	if both == 0 {
		return 0
	}
	return float64(both) / float64(len(a)+len(b)-both)
}

// choice collects the candidates that may have a place, best score first, and picks one.
type choice struct {
	variety *variety
	best    int
	first   int
	worth   float64
	seen    int
}

// offer takes a candidate in; it tells whether the choice is made.
func (c *choice) offer(a *arrangement, j int) (done bool) {
	if c.variety == nil {
		c.best = j
		return true
	}
	cd := &a.cands[j]
	if c.best >= 0 {
		if first := &a.cands[c.first]; cd.fill != first.fill || cd.bottom != first.bottom {
			return true
		}
	} else {
		c.first = j
	}
	if w := c.variety.worth(j, cd); c.best < 0 || w > c.worth {
		c.best, c.worth = j, w
	}
	c.seen++
	return c.seen == varietyDepth
}

// varied tells the story of a choice that was not the first by score.
func (a *arrangement) varied(c *choice) int {
	if c.best >= 0 && c.variety != nil && c.best != c.first {
		c.variety.acted++
		if a.explain {
			cd := &a.cands[c.best]
			cd.effects = append(cd.effects, Effect{Rule: c.variety.rule.id, Action: "diversify", Detail: "goes before " + a.cands[c.first].Item.ID + " for variety"})
		}
	}
	return c.best
}

// varies tells whether a rule wants variety by vectors.
func varies(rules []*rule) bool {
	for _, r := range rules {
		for i := range r.actions {
			if v := r.actions[i].variety; v != nil && v.vectors {
				return true
			}
		}
	}
	return false
}
