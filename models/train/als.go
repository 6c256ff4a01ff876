package train

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sartorhq/sartor/models"
	"github.com/sartorhq/sartor/models/kernel"
)

// Options say how to train. The zero value of a field means its default.
type Options struct {
	Dim    int // factors, a multiple of 8; default 64
	Epochs int // default 16
	// Unobserved is alpha0, the weight of pairs without evidence. The default is UnobservedShare times
	// the mean confidence of all pairs: what fits a dense and a sparse shop differs a hundredfold.
	Unobserved float64
	// Steps of conjugate gradients take the place of the exact solution of each row: 3 are usual, cost a third
	// at 64 factors and a tenth at 256, and need an epoch or two more. 0 solves exactly.
	Steps  int
	Lambda float64 // ridge; default DefaultLambda
	Nu     float64 // exponent of the ridge's frequency scaling; default 1; negative = 0
	Kappa  float64 // weight of log(1 + popularity) in the score; default 0
	Signal models.Signal
	// PopularityHalfLife is how fast popularity fades; default 30 days, negative = never.
	PopularityHalfLife time.Duration
	Seed               uint64
	Workers            int // goroutines; default GOMAXPROCS; no effect on the result
	// Budget ends training after the last whole epoch that is expected to fit; 0 = no bound. The first
	// epoch always runs.
	Budget   time.Duration
	Progress func(Progress) // called after each epoch, from the goroutine of the caller
	Schema   string         // schema version, for the manifest
	Now      func() time.Time
	LAE      LAEOptions     // of the linear autoencoder only
	Encoder  EncoderOptions // of the encoder only
	Blend    BlendOptions   // of a blend only
}

// The defaults that were found to do well on several data sets; MODEL.md has the figures.
const (
	UnobservedShare = 8
	DefaultLambda   = 0.006
)

// maxSteps bounds Options.Steps: with more the exact solution is cheaper.
const maxSteps = 64

// Validate refuses options with which training cannot begin.
func (o Options) Validate() error {
	o = o.withDefaults()
	if o.Epochs < 1 {
		return fmt.Errorf("train: %d epochs: need at least 1", o.Epochs)
	}
	if o.Steps < 0 || o.Steps > maxSteps {
		return fmt.Errorf("train: %d steps of conjugate gradients: need 0 to %d", o.Steps, maxSteps)
	}
	o.Unobserved = cmp.Or(o.Unobserved, 1)
	if err := o.params().Validate(); err != nil {
		return fmt.Errorf("train: %w", err)
	}
	return nil
}

// Progress is where training stands after an epoch.
type Progress struct {
	Epoch, Epochs int
	// Loss is the value of the objective per pair with evidence, after the epoch.
	Loss    float64
	Elapsed time.Duration
	Left    time.Duration // expected
	// Rate is the learning rate of the next epoch and PerSecond the users shown in a second, where there
	// are such.
	Rate, PerSecond float64
}

// Report is what training did.
type Report struct {
	Users, Items, Pairs int
	Events              int64 // interactions that carried weight
	Epochs              int   // that ran
	Stopped             bool  // the budget ended training before the last epoch
	Best                int   // the epoch whose model is returned; the last one that ran, unless a judge preferred another
	BestEpoch           int   // whose weights were kept, where epochs are judged
	Loss                []float64
	Elapsed             time.Duration
	// Processor is the processor time of all threads, Memory the largest resident size of the process meanwhile
	// in bytes, where the caller has measured them: training asks no system for anything. 0 = not measured.
	Processor time.Duration
	Memory    int64
}

// String says in one line what training did.
func (r Report) String() string {
	s := fmt.Sprintf("%d events, %d users, %d items, %d pairs: %d epochs in %.1f s", r.Events, r.Users, r.Items, r.Pairs,
		r.Epochs, r.Elapsed.Seconds())
	if r.Stopped {
		s += " (stopped by the time budget)"
	}
	if r.Memory > 0 {
		s += fmt.Sprintf(", %.1f processor seconds, peak memory %.0f MiB", r.Processor.Seconds(), float64(r.Memory)/(1<<20))
	}
	return s
}

// ErrTooLittle says that the log cannot teach a model.
var ErrTooLittle = errors.New("not enough data")

// minUsers and minItems are the least that can be factored: with one of either there is nothing to
// compare.
const minUsers, minItems = 2, 2

// withDefaults fills in what is zero.
func (o Options) withDefaults() Options {
	o.Dim, o.Epochs = cmp.Or(o.Dim, 64), cmp.Or(o.Epochs, 16)
	o.Lambda, o.Nu = cmp.Or(o.Lambda, DefaultLambda), max(cmp.Or(o.Nu, 1), 0)
	o.PopularityHalfLife = max(cmp.Or(o.PopularityHalfLife, 30*24*time.Hour), 0)
	if o.Signal.Weights == nil {
		o.Signal = models.DefaultSignal()
	}
	o.Workers = max(cmp.Or(o.Workers, runtime.GOMAXPROCS(0)), 1)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Progress == nil {
		o.Progress = func(Progress) {}
	}
	return o
}

func (o Options) params() models.ALSParams {
	return models.ALSParams{Factors: o.Dim, Unobserved: o.Unobserved, Lambda: o.Lambda, Nu: o.Nu, Kappa: o.Kappa, Signal: o.Signal}
}

// prepare checks the options, weighs the log and fills in what depends on it.
func prepare(l *Log, o *Options) (*problem, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	p, err := weigh(l, *o)
	if err == nil && o.Unobserved == 0 {
		o.Unobserved = min(max(UnobservedShare*p.byUser.density(len(p.ids)), 1e-6), 1)
	}
	return p, err
}

// weigh turns the log into pairs, if there are enough.
func weigh(l *Log, o Options) (*problem, error) {
	p := newProblem(l, o.Signal, models.Signal{HalfLife: o.PopularityHalfLife})
	if users, items := p.byUser.rows(), len(p.ids); users < minUsers || items < minItems {
		return nil, fmt.Errorf("train: need at least %d users and %d items with events that carry weight, have %d and %d (%d events in the log): %w",
			minUsers, minItems, users, items, l.Len(), ErrTooLittle)
	}
	return p, nil
}

// ALS trains an implicit ALS model on the log; "now" is its newest event. Cancelling ctx ends training
// with its error. The log is not changed.
func ALS(ctx context.Context, l *Log, o Options) (*models.ALS, Report, error) {
	o = o.withDefaults()
	start := o.Now()
	p, err := prepare(l, &o)
	if err != nil {
		return nil, Report{}, err
	}
	f := newFactorisation(p, o)
	report := Report{Users: p.byUser.rows(), Items: len(p.ids), Pairs: len(p.byUser.cols), Events: p.events}
	began := o.Now()
	for epoch := 1; epoch <= o.Epochs; epoch++ {
		loss, err := f.epoch(ctx)
		if err != nil {
			return nil, report, fmt.Errorf("train: epoch %d: %w", epoch, err)
		}
		report.Epochs, report.Loss = epoch, append(report.Loss, loss)
		report.Elapsed = o.Now().Sub(start)
		each := o.Now().Sub(began) / time.Duration(epoch)
		o.Progress(Progress{Epoch: epoch, Epochs: o.Epochs, Loss: loss, Elapsed: report.Elapsed,
			Left: each * time.Duration(o.Epochs-epoch)})
		if o.Budget > 0 && epoch < o.Epochs && report.Elapsed+each > o.Budget {
			report.Stopped = true
			break
		}
	}
	m, err := models.NewALS(meta(l, o, report), o.params(),
		models.ItemTable{IDs: p.ids, Factors: f.items.Data, Popularity: p.popularity})
	return m, report, err
}

// Popularity builds the baseline from the same log and options.
func Popularity(l *Log, o Options) (*models.Popularity, error) {
	o = o.withDefaults()
	p, err := prepare(l, &o)
	if err != nil {
		return nil, err
	}
	report := Report{Users: p.byUser.rows(), Events: p.events}
	return models.NewPopularity(meta(l, o, report), p.ids, p.popularity)
}

func meta(l *Log, o Options, r Report) models.Meta {
	return models.Meta{Users: r.Users, Events: r.Events, CreatedAt: o.Now().UTC().Truncate(time.Second),
		TrainedThrough: l.Newest(), Schema: o.Schema, Seed: o.Seed}
}

// factorisation is the state of training: a factor row per user and per item.
type factorisation struct {
	p            *problem
	o            Options
	params       models.ALSParams
	users, items kernel.Matrix
	solvers      []rowSolver // one per worker
	fits         []float64   // by item: by how much its row lowers the objective
}

func newFactorisation(p *problem, o Options) *factorisation {
	f := &factorisation{p: p, o: o, params: o.params()}
	if p.byItem == nil {
		p.turn()
	}
	f.users = kernel.Matrix{Data: make([]float32, p.byUser.rows()*o.Dim), Dim: o.Dim, Stride: o.Dim}
	f.items = kernel.Matrix{Data: make([]float32, len(p.ids)*o.Dim), Dim: o.Dim, Stride: o.Dim}
	// Only the item side needs a start: the first half-step solves for the users.
	rng := rand.New(rand.NewPCG(o.Seed, 0x5a7705))
	scale := 0.1 / math.Sqrt(float64(o.Dim))
	for i := range f.items.Data {
		f.items.Data[i] = float32(rng.NormFloat64() * scale)
	}
	f.fits = make([]float64, len(p.ids))
	for range o.Workers {
		f.solvers = append(f.solvers, newRowSolver(o))
	}
	return f
}

// epoch solves all users, then all items, and returns the loss per pair.
func (f *factorisation) epoch(ctx context.Context) (float64, error) {
	if err := f.half(ctx, f.p.byUser, f.users, f.items, nil); err != nil {
		return 0, fmt.Errorf("solve users: %w", err)
	}
	if err := f.half(ctx, f.p.byItem, f.items, f.users, f.fits); err != nil {
		return 0, fmt.Errorf("solve items: %w", err)
	}
	loss := f.loss()
	if math.IsNaN(loss) || math.IsInf(loss, 0) {
		return 0, fmt.Errorf("the loss is %v: %w", loss, errUnstable)
	}
	return loss, nil
}

var errUnstable = errors.New("numerically unstable: raise lambda or lower the event weights")

// half solves every row of x against the fixed y. fits, unless nil, gets kernel.Solver.Fit of each row.
func (f *factorisation) half(ctx context.Context, m *csr, x, y kernel.Matrix, fits []float64) error {
	others := len(y.Data) / y.Stride
	gram := f.gram(y)
	for i := range gram {
		gram[i] *= f.params.Unobserved
	}
	fixed := mirrored(gram, kernel.Pad(y.Dim))
	var unstable atomic.Bool
	f.parallel(m.rows(), 64, func(worker, lo, hi int) {
		s, system := f.solvers[worker], kernel.System{Gram: fixed, Rows: y}
		for r := lo; r < hi && ctx.Err() == nil; r++ {
			system.IDs, system.Weights = m.row(r)
			system.Ridge = f.params.Ridge(m.sums[r], others)
			if !s.solve(x.Row(r), &system) {
				unstable.Store(true)
			}
			if fits != nil {
				fits[r] = s.Fit()
			}
		}
	})
	if err := ctx.Err(); err != nil {
		return err
	}
	if unstable.Load() {
		return errUnstable
	}
	return nil
}

// mirrored returns the square whose upper triangle is given.
func mirrored(upper []float64, n int) []float32 {
	all := make([]float32, len(upper))
	for i := range n {
		for j := i; j < n; j++ {
			all[i*n+j], all[j*n+i] = float32(upper[i*n+j]), float32(upper[i*n+j])
		}
	}
	return all
}

// stripes is the fixed number of parts into which sums over rows are cut. Parts are added in order,
// so that the sum does not depend on the number of workers.
const stripes = 16

// gram returns the Gramian of y, upper triangle.
func (f *factorisation) gram(y kernel.Matrix) []float64 {
	pad, rows := kernel.Pad(y.Dim), len(y.Data)/y.Stride
	parts := make([][]float64, stripes)
	f.parallel(stripes, 1, func(_, lo, hi int) {
		for s := lo; s < hi; s++ {
			parts[s] = make([]float64, pad*pad)
			kernel.Gram(parts[s], y, rows*s/stripes, rows*(s+1)/stripes)
		}
	})
	sum := parts[0]
	for _, part := range parts[1:] {
		for i, v := range part {
			sum[i] += v
		}
	}
	return sum
}

// loss is the objective per pair after the items were solved. Written by one item's row y, it is the sum of its
// confidences + y'Ay - 2b'y, that is the sum less the fit; the users' ridge is all that no item has.
func (f *factorisation) loss() float64 {
	total := f.ridge(f.p.byUser, f.users, len(f.p.ids))
	for i, confidence := range f.p.byItem.sums {
		total += confidence - f.fits[i]
	}
	return total / float64(len(f.p.byUser.cols))
}

func (f *factorisation) ridge(m *csr, x kernel.Matrix, others int) float64 {
	sum := 0.0
	for r, confidence := range m.sums {
		row := x.Row(r)
		sum += float64(f.params.Ridge(confidence, others)) * float64(kernel.Dot(row, row))
	}
	return sum
}

// parallel calls do for consecutive ranges of 0..n-1, each at most step long, from all workers, and
// waits.
func (f *factorisation) parallel(n, step int, do func(worker, lo, hi int)) {
	parallel(f.o.Workers, n, step, do)
}

func parallel(workers, n, step int, do func(worker, lo, hi int)) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for worker := range workers {
		wg.Go(func() {
			for {
				hi := int(next.Add(int64(step)))
				lo := hi - step
				if lo >= n {
					return
				}
				do(worker, lo, min(hi, n))
			}
		})
	}
	wg.Wait()
}
