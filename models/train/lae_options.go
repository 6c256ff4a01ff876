package train

import (
	"cmp"
	"fmt"

	"github.com/sartorhq/sartor/models"
)

// LAEOptions say how to train a linear autoencoder, beside Options. The zero value of a field means its
// default.
type LAEOptions struct {
	Batch     int     // users in a step; default 256
	Negatives int     // items drawn uniformly, beside the targets of the batch; default 2048
	Rate      float64 // learning rate of Adam before it falls along a cosine; default 0.01
	Keep      float64 // share of a user's items that is shown; the rest is to be foreseen; default 0.5
	Tau       float64 // temperature; default 0.1
	Beta      float64 // damping of popular inputs; default 0
	// Objective is the weight of an item as a target by the type of its events, the best one counting;
	// nil = every item alike. Items whose weight is 0 are shown and never foreseen.
	Objective map[string]float64
	// RateIn, RateOut and RateTower multiply the learning rate of the input table, the output table and the
	// tower; default 1.
	RateIn, RateOut, RateTower float64
	// Exposures are what users were shown without taking it up: negatives that count ExposureWeight times
	// as much as others, default 4.
	Exposures      *Exposures
	ExposureWeight float64
	// Order is the share of examples that are ordered: what came before a moment is shown, and of what the
	// user wanted next, new to the user unless Again, the first Ahead items are to be foreseen. The rest
	// shows a random part, by Keep. Default 0; Ahead is 3.
	Order float64
	Ahead int
	Again bool
	// Catalog limits what is foreseen, and against what, to the items for which it is true; nil = all.
	Catalog func(item string) bool
	// From is the model to start from; its dimension, temperature and damping are kept. Items that it
	// does not know start afresh; its items that are not in the log stay in the model as they were.
	From *models.LAE
	// KeepCounts leaves the numbers of users and the popularity of the items of From as they were: for
	// tuning on a part of the data.
	KeepCounts bool
	// FreezeIn and FreezeOut leave a table as it was.
	FreezeIn, FreezeOut bool
	// Stop ends training after so many epochs, with the learning rates of Epochs; 0 = Epochs.
	Stop int
	// Judge measures the model after every JudgeEvery epochs, and after the last; the best is kept. A
	// Patience above 0 ends training after so many measurements without a better one.
	Judge      func(*models.LAE) (float64, error)
	JudgeEvery int // default 5
	Patience   int
	Tower      TowerOptions // what the items' documents say
	// Resume goes on from a state, with the same log and options to the same result; Checkpoint gets the
	// state after every epoch, which is valid during the call only.
	Resume     *LAEState
	Checkpoint func(*LAEState) error
}

// LAEState is training after an epoch: the tables A and B and their moments.
type LAEState struct {
	Epoch, Epochs, Step     int
	In, InMean, InSquare    []float32
	Out, OutMean, OutSquare []float32
	// Tower, TowerMean and TowerSquare are the weights of the item feature tower; empty without one.
	Tower, TowerMean, TowerSquare []float32
}

func (o Options) laeDefaults() Options {
	o.Epochs, o.Dim = cmp.Or(o.Epochs, 40), cmp.Or(o.Dim, 64)
	o = o.withDefaults()
	l := &o.LAE
	l.Batch, l.Negatives = cmp.Or(l.Batch, 256), cmp.Or(l.Negatives, 2048)
	l.Rate, l.Keep, l.Tau = cmp.Or(l.Rate, 0.01), cmp.Or(l.Keep, 0.5), cmp.Or(l.Tau, 0.1)
	l.Ahead, l.ExposureWeight = cmp.Or(l.Ahead, 3), cmp.Or(l.ExposureWeight, 4)
	l.RateIn, l.RateOut, l.RateTower = cmp.Or(l.RateIn, 1), cmp.Or(l.RateOut, 1), cmp.Or(l.RateTower, 1)
	l.JudgeEvery = cmp.Or(l.JudgeEvery, 5)
	l.Tower.Hidden, l.Tower.IDDropout, l.Tower.FeatureDropout = cmp.Or(l.Tower.Hidden, 64), cmp.Or(l.Tower.IDDropout, 0.3), cmp.Or(l.Tower.FeatureDropout, 0.1)
	if l.From != nil {
		p := l.From.Params()
		o.Dim, l.Tau, l.Beta = p.Factors, p.Tau, p.Beta
	}
	return o
}

func (o Options) laeParams() models.LAEParams {
	return models.LAEParams{Factors: o.Dim, Tau: o.LAE.Tau, Beta: o.LAE.Beta, Kappa: o.Kappa, Signal: o.Signal}
}

// ValidateLAE refuses options with which LAE cannot begin.
func (o Options) ValidateLAE() error {
	o = o.laeDefaults()
	l := o.LAE
	switch {
	case o.Epochs < 1:
		return fmt.Errorf("train: %d epochs: need at least 1", o.Epochs)
	case l.Batch < 1 || l.Batch > 1<<14:
		return fmt.Errorf("train: batches of %d users: need 1 to %d", l.Batch, 1<<14)
	case l.Negatives < 1 || l.Negatives > 1<<20:
		return fmt.Errorf("train: %d negatives: need 1 to %d", l.Negatives, 1<<20)
	case !(l.Rate > 0 && l.Rate <= 1):
		return fmt.Errorf("train: the learning rate is %v: need more than 0, at most 1", l.Rate)
	case !(l.Keep > 0 && l.Keep < 1):
		return fmt.Errorf("train: a share of %v is shown: need more than 0 and less than 1", l.Keep)
	case !(l.RateIn > 0 && l.RateOut > 0 && l.RateTower > 0) || l.RateIn > 100 || l.RateOut > 100 || l.RateTower > 100:
		return fmt.Errorf("train: the rates of the groups are %v, %v and %v of the learning rate: need more than 0, at most 100; freeze a group to leave it", l.RateIn, l.RateOut, l.RateTower)
	case !(l.ExposureWeight >= 1 && l.ExposureWeight <= 1e3):
		return fmt.Errorf("train: an exposure counts %v times: need 1 to 1000", l.ExposureWeight)
	case !(l.Order >= 0 && l.Order <= 1) || l.Ahead < 1:
		return fmt.Errorf("train: a share of %v of the examples is ordered, foreseeing %d items: need 0 to 1, and at least 1", l.Order, l.Ahead)
	case l.FreezeIn && l.FreezeOut && (l.Tower.Freeze || l.Tower.Catalog == nil && (l.From == nil || l.From.Table().Tower == nil)):
		return fmt.Errorf("train: both item tables are frozen: nothing could be learned")
	case l.Tower.Hidden < 8 || l.Tower.Hidden > 1024 || l.Tower.Hidden%8 != 0:
		return fmt.Errorf("train: a hidden layer of %d: need a multiple of 8 from 8 to 1024", l.Tower.Hidden)
	case !(l.Tower.IDDropout >= 0 && l.Tower.IDDropout < 1 && l.Tower.FeatureDropout < 1):
		return fmt.Errorf("train: dropout of ids %v and of features %v: need less than 1", l.Tower.IDDropout, l.Tower.FeatureDropout)
	}
	if err := o.laeParams().Validate(); err != nil {
		return fmt.Errorf("train: %w", err)
	}
	return nil
}
