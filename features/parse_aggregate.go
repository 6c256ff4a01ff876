package features

import (
	"fmt"
	"math"
	"slices"
	"strconv"

	"go.yaml.in/yaml/v3"

	"github.com/sartorhq/sartor/streams"
)

// optionKeys lists the options of each aggregate.
func optionKeys(k kind) []string {
	switch k {
	case kindCount:
		return []string{"events", "where", "window"}
	case kindSum:
		return []string{"of", "events", "minus", "where", "window"}
	case kindAvg, kindMin, kindMax:
		return []string{"of", "events", "where", "window"}
	case kindDistinct:
		return []string{"of", "events", "where", "window"}
	case kindTally:
		return []string{"of", "events", "window"}
	case kindRate:
		return []string{"events", "per", "where", "window", "prior", "weight"}
	case kindDecay:
		return []string{"of", "events", "where", "half_life", "window"}
	case kindAge:
		return []string{"of", "unit"}
	case kindSession:
		return []string{"of", "events", "gap"}
	case kindTogether:
		return []string{"events", "where", "half_life", "remember", "within", "gap"}
	case kindRatio:
		return []string{"of", "by", "prior", "weight"}
	case kindFirst, kindLast:
		return []string{"events", "where"}
	case kindList:
		return []string{"events", "where", "from", "unless"}
	case kindTop:
		return []string{"of", "weights", "half_life"}
	case kindAgeBelow:
		return []string{"of", "age"}
	case kindTrend:
		return []string{"of", "events", "recent", "past", "smooth"}
	case kindMargin:
		return []string{"price", "cost"}
	}
	return nil
}

// options returns the options by key, or nil after a problem.
func (p *parser) options(at pair, path string) map[string]*yaml.Node {
	if at.value.Kind != yaml.MappingNode {
		p.fail(at.value, path, "must be a mapping, for example {%s: ...}", optionKeys(kind(at.key))[0])
		return nil
	}
	out := map[string]*yaml.Node{}
	for _, o := range p.pairs(at.value, path) {
		if known := optionKeys(kind(at.key)); !slices.Contains(known, o.key) {
			p.unknown(o, path, known...)
			continue
		}
		out[o.key] = o.value
	}
	return out
}

// aggregateOptions decodes the options of the field's aggregate and checks that none is missing.
func (p *parser) aggregateOptions(f *field, opts map[string]*yaml.Node, at *yaml.Node, path string) {
	for _, key := range requiredOptions(f.Kind) {
		if opts[key] == nil {
			p.fail(at, path, "%s is missing", key)
		}
	}
	f.Measure = measureCount
	for _, key := range optionKeys(f.Kind) { // in a fixed order, for the messages
		n := opts[key]
		if n == nil {
			continue
		}
		sub := join(path, key)
		switch key {
		case "events":
			f.Events = p.events(n, sub)
		case "minus", "unless", "per":
			f.Minus = p.events(n, sub)
		case "where":
			f.Where = p.filter(n, sub)
		case "remember":
			f.Remember = p.integer(n, sub, 1, 1000)
		case "within":
			if f.Within = p.text(n, sub); f.Within != withinSession {
				p.fail(n, sub, "must be session; leave it out for items of one event")
			}
		case "unit", "gap":
			f.Window = p.duration(n, sub)
		case "window", "recent":
			f.Window = p.window(n, sub)
		case "past":
			f.Past = p.window(n, sub)
		case "half_life", "age":
			if f.Kind == kindTop || f.Kind == kindAgeBelow {
				f.Window = p.duration(n, sub)
			} else {
				f.HalfLife = p.duration(n, sub)
			}
		case "prior":
			f.Prior = p.number(n, sub, 0, 1e9)
		case "weight", "smooth":
			f.Weight = p.number(n, sub, 0, 1e9)
		case "weights":
			f.Weights = p.weights(n, sub)
		case "from":
			f.From = p.text(n, sub)
		case "by", "cost":
			f.By = p.text(n, sub)
		case "price":
			f.Of = p.text(n, sub)
		case "of":
			p.of(f, n, sub)
		}
	}
}

// requiredOptions lists the options without which an aggregate means nothing.
func requiredOptions(k kind) []string {
	switch k {
	case kindCount:
		return []string{"events"}
	case kindSum, kindAvg, kindMin, kindMax:
		return []string{"of", "events"}
	case kindDistinct, kindTally:
		return []string{"of", "events"}
	case kindRate:
		return []string{"events", "per"}
	case kindDecay:
		return []string{"of", "events", "half_life", "window"}
	case kindAge:
		return []string{"of", "unit"}
	case kindSession:
		return []string{"of", "gap"}
	case kindTogether:
		return []string{"events", "remember"}
	case kindRatio:
		return []string{"of", "by"}
	case kindTop:
		return []string{"of", "weights", "half_life"}
	case kindAgeBelow:
		return []string{"of", "age"}
	case kindTrend:
		return []string{"of", "events", "recent", "past"}
	case kindMargin:
		return []string{"price", "cost"}
	}
	return nil
}

// of reads what is measured, or the field that a derived value is made of.
func (p *parser) of(f *field, n *yaml.Node, path string) {
	allowed := map[kind][]measure{
		kindSum:   {measureUnits, measureAmount},
		kindAvg:   {measureRating},
		kindTrend: {measureCount, measureUnits},
		kindMin:   {measureUnits, measureAmount, measureRating},
		kindMax:   {measureUnits, measureAmount, measureRating},
		kindDecay: {measureCount, measureUnits, measureAmount},
	}[f.Kind]
	v := p.text(n, path)
	if allowed == nil {
		f.Of = v
		return
	}
	if !slices.Contains(allowed, measure(v)) {
		p.fail(n, path, "must be one of %v", allowed)
	}
	f.Measure = measure(v)
}

// weights reads event weights.
func (p *parser) weights(n *yaml.Node, path string) map[streams.Type]float64 {
	out := map[streams.Type]float64{}
	for _, at := range p.pairs(n, path) {
		if !counted(streams.Type(at.key)) || streams.Type(at.key) == streams.Exposure {
			p.fail(at.node, join(path, at.key), "%q is not an event of the history", at.key)
			continue
		}
		out[streams.Type(at.key)] = p.number(at.value, join(path, at.key), 0, 1e6)
	}
	return out
}

// formatNumber writes a number the short way.
func formatNumber(v float64) string {
	if v == math.Trunc(v) && math.Abs(v) < 1e15 {
		return strconv.FormatInt(int64(v), 10)
	}
	return fmt.Sprint(v)
}
