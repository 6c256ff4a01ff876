package main

import (
	"context"
	"slices"
	"time"

	"github.com/sartorhq/sartor/models"
	"github.com/sartorhq/sartor/models/train"
)

// modelKind is a sort of model that can be trained.
type modelKind struct {
	name     string    // for people
	ridges   []float64 // tried as lambda; empty when the kind has none
	kappas   []float64 // tried as the weight of the popularity term; empty when the kind has none
	validate func(train.Options) error
	fit      func(context.Context, *train.Log, train.Options) (models.Model, train.Report, error)
}

// kindAuto leaves the kind to the program.
const kindAuto = "auto"

// automatic lists what kindAuto tries, the cheaper first.
func automatic() []string { return []string{models.KindALS, models.KindLAE} }

// trainings is how many trainings one run makes: to choose, to judge and to keep.
func trainings(kind string) int {
	n := 2
	list := []string{kind}
	if kind == kindAuto {
		list = automatic()
	}
	for _, kind := range list {
		if k := modelKinds()[kind]; len(k.kappas)+len(k.ridges) > 0 {
			n += max(len(k.ridges), 1)
		}
		if kind == models.KindEncoder { // the one that chooses the number of epochs
			n++
		}
	}
	return n
}

// modelKinds lists what can be trained, by the name of the manifest.
func modelKinds() map[string]modelKind {
	return map[string]modelKind{
		models.KindALS: {name: "ALS", ridges: lambdas, kappas: []float64{0, 0.01, 0.03, 0.06, 0.1, 0.2, 0.4}, validate: train.Options.Validate,
			fit: func(ctx context.Context, l *train.Log, o train.Options) (models.Model, train.Report, error) {
				return asModel(train.ALS(ctx, l, o))
			}},
		models.KindLAE: {name: "LAE", kappas: []float64{0, 0.1, 0.2, 0.4, 0.55, 0.7, 0.85, 1, 1.5, 2, 3, 5}, validate: train.Options.ValidateLAE,
			fit: func(ctx context.Context, l *train.Log, o train.Options) (models.Model, train.Report, error) {
				return asModel(train.LAE(ctx, l, o))
			}},
		models.KindBlend: {name: "Blend", kappas: []float64{0, 0.1, 0.2, 0.4, 0.55, 0.7, 0.85, 1, 1.5, 2, 3, 5}, validate: train.Options.ValidateBlend, fit: fitBlend},
		models.KindEncoder: {name: "Encoder", validate: train.Options.ValidateEncoder,
			fit: func(ctx context.Context, l *train.Log, o train.Options) (models.Model, train.Report, error) {
				return asModel(train.Encoder(ctx, l, o))
			}},
		models.KindItemKNN: {name: "item-kNN", validate: train.Options.Validate,
			fit: func(ctx context.Context, l *train.Log, o train.Options) (models.Model, train.Report, error) {
				return asModel(train.ItemKNN(ctx, l, o))
			}},
		models.KindEASE: {name: "EASE", ridges: []float64{100, 300, 1000}, validate: train.Options.Validate,
			fit: func(ctx context.Context, l *train.Log, o train.Options) (models.Model, train.Report, error) {
				return asModel(train.EASE(ctx, l, o))
			}},
		models.KindPopularity: {name: "popular", validate: train.Options.Validate,
			fit: func(_ context.Context, l *train.Log, o train.Options) (models.Model, train.Report, error) {
				start := time.Now()
				m, err := train.Popularity(l, o)
				if err != nil {
					return nil, train.Report{}, err
				}
				meta := m.Meta()
				return m, train.Report{Users: meta.Users, Items: meta.Items, Events: meta.Events, Elapsed: time.Since(start)}, nil
			}},
	}
}

// compared lists what --compare puts beside popularity, in the order of the table. EASE is left out
// where the catalogue is too large for it; popularity is judged once more where it may have a repeat term.
func compared(items int, repeat bool) []string {
	list := []string{models.KindItemKNN, models.KindEASE, models.KindALS, models.KindLAE, models.KindEncoder}
	if items > models.MaxDenseItems {
		list = slices.DeleteFunc(list, func(kind string) bool { return kind == models.KindEASE })
	}
	if repeat {
		list = append([]string{models.KindPopularity}, list...)
	}
	return list
}

// publishable are the kinds that can be saved and served.
func publishable() []string {
	return []string{models.KindALS, models.KindLAE, models.KindEncoder, models.KindBlend, models.KindPopularity}
}

// asModel keeps a nil pointer from becoming a model.
func asModel[M models.Model](m M, r train.Report, err error) (models.Model, train.Report, error) {
	if err != nil {
		return nil, r, err
	}
	return m, r, nil
}

// fit trains once, shows the progress, and measures what it took. That is told and recorded, but is no part
// of a manifest, which says what the model is, not how busy the machine was.
func (t *trainer) fit(ctx context.Context, l *train.Log, what string) (models.Model, train.Report, error) {
	meter := newMeter()
	m, report, err := t.fitShown(ctx, l, what)
	if err != nil {
		return m, report, err
	}
	used := meter.cost()
	report.Processor, report.Memory = used.Processor, used.Memory
	t.o.History.add(line{What: "cost", Model: t.o.Kind, Phase: what, Epochs: report.Epochs, Seconds: report.Elapsed.Seconds(),
		Processor: used.Processor.Seconds(), Memory: used.Memory})
	return m, report, nil
}

// fitShown trains once and shows the progress.
func (t *trainer) fitShown(ctx context.Context, l *train.Log, what string) (models.Model, train.Report, error) {
	k, o := modelKinds()[t.o.Kind], t.o.Train
	if t.o.Budget > 0 {
		o.Budget = t.o.Budget / time.Duration(t.trainings)
	}
	o.LAE.Tower.Catalog, o.Encoder.Tower.Catalog = t.catalog, t.catalog
	var bar *step
	began := time.Now()
	o.Progress = func(p train.Progress) {
		t.o.History.epoch(what, t.o.Kind, p)
		if bar == nil && t.o.Progress != nil && t.o.Kind != models.KindEncoder { // which shows its steps
			bar = newStep(t.o.Progress, what, "epochs", int64(p.Epochs))
			bar.start = began
		}
		bar.set(int64(p.Epoch))
	}
	defer func() { bar.done() }()
	if t.o.Kind == models.KindEncoder {
		defer t.watch(&o, what)()
		return t.fitEncoder(ctx, l, o, what)
	}
	return k.fit(ctx, l, o)
}
