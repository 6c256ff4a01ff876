package main

import (
	"context"
	"slices"
	"time"

	"github.com/spf13/pflag"

	"github.com/sartorhq/sartor/models"
	"github.com/sartorhq/sartor/models/eval"
	"github.com/sartorhq/sartor/models/train"
	"github.com/sartorhq/sartor/streams"
)

// withDocumentStreams puts the documents of users and items before what users did. These topics keep the
// newest document of each alone: what a user was called later is then known from the beginning.
func withDocumentStreams(which []streams.Stream) []streams.Stream {
	for _, s := range []streams.Stream{streams.Catalog, streams.Users} {
		if !slices.Contains(which, s) {
			which = append([]streams.Stream{s}, which...)
		}
	}
	return which
}

// encoderFlags binds the constants of the encoder.
func encoderFlags(flags *pflag.FlagSet, e *train.EncoderOptions) {
	encoderShape(flags, e)
	flags.IntVar(&e.Head.Hidden, "head", 0, "encoder: units of a residual network on the user's vector, of what is known of the user (attributes, aggregates) and of the visit (country, device, hour); 0 = none, 64 is usual")
	flags.Float64Var(&e.Tower.IDDropout, "id-dropout", 0, "encoder with --features: share of the items of a step that are known by their documents alone; 0 = 0.1")
	flags.Float64Var(&e.Augment.Mask, "mask", 0, "encoder: share of the events whose item is hidden where it is read, but not where it is foreseen")
	flags.BoolVar(&e.Augment.Ordered, "keep-order", false, "encoder: leave the lines of an order in the order of their ids, instead of shuffling them in every step")
	flags.Float64Var(&e.Augment.Crop, "crop", 0, "encoder: share of the histories of a step that begin at a later event than they did")
	flags.IntVar(&e.Tokens, "tokens", 0, "encoder: events in a step; 0 = 4096, fewer for little data")
	flags.Float64Var(&e.Dropout, "dropout", 0.2, "encoder: share that is dropped; negative = nothing")
	flags.Float64Var(&e.WeightDecay, "weight-decay", 0.01, "encoder: weight decay of AdamW; negative = none")
	flags.StringVar(&e.Schedule.Shape, "schedule", train.Cosine, "encoder: learning rate: cosine, plateau or constant, after a warm-up")
	flags.IntVar(&e.Schedule.Warmup, "warmup", 200, "encoder: steps in which the learning rate grows; negative = none")
	flags.IntVar(&e.Full, "full-softmax", 20000, "encoder: largest catalogue with a full softmax; above it --negatives items are drawn")
	flags.IntVar(&e.JudgeEvery, "judge-every", 5, "encoder: epochs between two looks at the newest part of the training data, of which the best is kept")
	flags.IntVar(&e.Patience, "patience", 0, "encoder: looks without a better one after which training ends; 0 = never")
	flags.IntVar(&e.CheckpointEvery, "checkpoint-every", 0, "encoder: steps between two checkpoints, beside one after every epoch")
}

// encoderShape binds what an encoder consists of.
func encoderShape(flags *pflag.FlagSet, e *train.EncoderOptions) {
	flags.IntVar(&e.Hidden, "hidden", 128, "encoder: states of the recurrence, a multiple of 8")
	flags.IntVar(&e.Inner, "inner", 256, "encoder: units of the feed-forward layers, a multiple of 8")
	flags.IntVar(&e.Blocks, "blocks", 2, "encoder: blocks")
	flags.DurationVar(&e.Clock, "clock", 0, "encoder: time that counts as one where the state fades with time as well as with events; 0 = with events only")
	flags.IntVar(&e.Recall, "recall", 0, "encoder: heads that come back to the items of the history; 0 = 8, with --unit, where people return to what they had, else none; negative = none")
	flags.BoolVar(&e.Unit, "unit", false, "encoder: vectors of items have length 1, so that a rare one can be come back to like any other")
}

// fitEncoder trains an encoder. To be judged, it is first trained without the newest part of the data,
// on which the number of epochs is chosen, and then on all of it for so many. Where the last event of
// each user is held out it stays with the first training, as published figures do; their models see the
// events of the validation as history only. What is published is trained for as many epochs.
func (t *trainer) fitEncoder(ctx context.Context, l *train.Log, o train.Options, what string) (models.Model, train.Report, error) {
	if what == "train" {
		o.Encoder.StopAfter = t.epochs
		return asModel(train.Encoder(ctx, l, o))
	}
	v := t.cut(l)
	if t.o.Split != splitLast {
		v.limit = maxChoosers
	}
	users, _ := v.testUsers()
	if len(users) == 0 {
		return asModel(train.Encoder(ctx, l, o))
	}
	chosen := o
	chosen.Encoder.Judge = t.look(ctx, v)
	m, report, err := train.Encoder(ctx, v.before, chosen)
	if err != nil {
		return nil, report, err
	}
	t.epochs, t.older = report.BestEpoch, m
	t.say("Epoch %d of %d did best on the newest part of the training data, %s users.\n", report.BestEpoch, report.Epochs, thousands(int64(len(users))))
	if t.o.Split == splitLast {
		return m, report, nil
	}
	o.Encoder.StopAfter = t.epochs
	return asModel(train.Encoder(ctx, l, o))
}

// look measures a model on the held-out part by its NDCG.
func (t *trainer) look(ctx context.Context, v *holdout) func(*models.Encoder) (float64, error) {
	return func(m *models.Encoder) (float64, error) {
		popularity, err := train.Popularity(v.before, t.o.Train)
		if err != nil {
			return 0, err
		}
		j, err := v.judge(ctx, t.o.K, popularity, m)
		if err != nil {
			return 0, err
		}
		mean := eval.Mean(j.measures[1])
		t.o.History.add(line{What: "look", Model: models.KindEncoder, Metrics: j.metricsOf(1, len(popularity.Items().IDs))})
		return mean.NDCG, nil
	}
}

// watch shows and records the steps of an encoder's training.
func (t *trainer) watch(o *train.Options, what string) (done func()) {
	var bar *step
	began := time.Now()
	o.Encoder.OnStep = func(s train.Step) {
		t.o.History.step(what, s)
		if bar != nil && int64(s.Step) < bar.count { // another training begins
			bar.done()
			bar, began = nil, time.Now()
		}
		if bar == nil && t.o.Progress != nil {
			bar = newStep(t.o.Progress, what, "steps", int64(float64(s.Step)/max(s.Done, 1e-9)))
			bar.start = began
		}
		bar.set(int64(s.Step))
	}
	return func() { bar.done() }
}
