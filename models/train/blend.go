package train

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/sartorhq/sartor/models"
)

// BlendOptions say what a blend consists of.
type BlendOptions struct {
	// Of are the kinds of the parts; default lae and als. A kind that stands twice is trained from two seeds.
	Of []string
	// Mix are the weights of the scores of the parts after the first, which has 1; the last counts for all that
	// are left. Default 1.
	Mix []float64
}

// alsEpochs bounds the epochs of an ALS part, which needs fewer than the other kinds.
const alsEpochs = 16

func (o Options) blendDefaults() Options {
	if len(o.Blend.Of) == 0 {
		o.Blend.Of = []string{models.KindLAE, models.KindALS}
	}
	if len(o.Blend.Mix) == 0 {
		o.Blend.Mix = []float64{1}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// part returns the options of the training of one part.
func (o Options) part(k int) Options {
	kind, p := o.Blend.Of[k], o
	for _, before := range o.Blend.Of[:k] {
		if before == kind {
			p.Seed++
		}
	}
	p.Budget /= time.Duration(len(o.Blend.Of))
	if k > 0 {
		p.Kappa = 0 // the popularity term is the first part's
	}
	if kind == models.KindALS && p.Epochs > alsEpochs {
		p.Epochs = alsEpochs
	}
	return p
}

// ValidateBlend refuses options with which Blend cannot begin.
func (o Options) ValidateBlend() error {
	o = o.blendDefaults()
	if n := len(o.Blend.Of); n < 2 || len(o.Blend.Mix) >= n {
		return fmt.Errorf("train: a blend of %d models with %d weights: need at least 2 models, and at most one weight for each after the first", n, len(o.Blend.Mix))
	}
	for _, w := range o.Blend.Mix {
		if !(w > 0 && w <= 1e3) {
			return fmt.Errorf("train: the weight of a part is %v: need more than 0, at most 1000", w)
		}
	}
	for k, kind := range o.Blend.Of {
		var err error
		switch kind {
		case models.KindALS:
			err = o.part(k).Validate()
		case models.KindLAE:
			err = o.part(k).ValidateLAE()
		case models.KindEncoder:
			err = o.part(k).ValidateEncoder()
		default:
			err = fmt.Errorf("train: %q cannot be a part of a blend: it can be %q, %q or %q", kind, models.KindLAE, models.KindALS, models.KindEncoder)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Blend trains the parts one after the other on the same log and puts them side by side. Each learns for all of
// Epochs, an ALS part for 16 at most; a budget is divided among them. Cancelling ctx ends training with its error.
func Blend(ctx context.Context, l *Log, o Options) (*models.Blend, Report, error) {
	o = o.blendDefaults()
	var all Report
	if err := o.ValidateBlend(); err != nil {
		return nil, all, err
	}
	parts := make([]models.BlendPart, len(o.Blend.Of))
	for k := range parts {
		m, r, err := trainPart(ctx, l, o.part(k), o.Blend.Of[k])
		if err != nil {
			return nil, all, err
		}
		parts[k] = models.BlendPart{Model: m, Weight: 1}
		if k > 0 {
			parts[k].Weight = o.Blend.Mix[min(k, len(o.Blend.Mix))-1]
		}
		all = all.with(r)
	}
	m, err := models.NewBlend(meta(l, o, all), parts...)
	return m, all, err
}

// with adds what the training of a further part did.
func (r Report) with(part Report) Report {
	r.Users, r.Items, r.Pairs = max(r.Users, part.Users), max(r.Items, part.Items), max(r.Pairs, part.Pairs)
	r.Events = max(r.Events, part.Events)
	r.Epochs, r.Best = r.Epochs+part.Epochs, r.Epochs+part.Epochs
	r.Stopped = r.Stopped || part.Stopped
	r.Loss = append(slices.Clone(r.Loss), part.Loss...)
	r.Elapsed += part.Elapsed
	return r
}

func trainPart(ctx context.Context, l *Log, o Options, kind string) (models.Model, Report, error) {
	switch kind {
	case models.KindALS:
		m, r, err := ALS(ctx, l, o)
		return m, r, err
	case models.KindEncoder:
		m, r, err := Encoder(ctx, l, o)
		return m, r, err
	default:
		m, r, err := LAE(ctx, l, o)
		return m, r, err
	}
}
