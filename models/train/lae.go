package train

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/sartorhq/sartor/models"
	"github.com/sartorhq/sartor/models/kernel"
)

// LAE trains a linear autoencoder on the log. A budget lowers the number of epochs once the first has
// shown what one costs, so that the learning rate still falls to 0. Cancelling ctx ends training with
// its error. The log is not changed.
func LAE(ctx context.Context, l *Log, o Options) (*models.LAE, Report, error) {
	o = o.laeDefaults()
	start := o.Now()
	if err := o.ValidateLAE(); err != nil {
		return nil, Report{}, err
	}
	p, err := weigh(l, o)
	if err != nil {
		return nil, Report{}, err
	}
	a, err := newAutoencoder(p, l, o)
	if err != nil {
		return nil, Report{}, err
	}
	run := &laeRun{a: a, o: o, start: start, began: o.Now(), best: math.Inf(-1)}
	run.report = Report{Users: p.byUser.rows(), Items: len(p.ids), Pairs: len(p.byUser.cols), Events: p.events}
	run.meta = func() models.Meta { return meta(l, o, run.report) }
	if err := run.epochs(ctx); err != nil {
		return nil, run.report, fmt.Errorf("train: %w", err)
	}
	m, err := run.model()
	return m, run.report, err
}

// laeRun is one training from epoch to epoch.
type laeRun struct {
	a            *autoencoder
	o            Options
	start, began time.Time
	report       Report
	meta         func() models.Meta
	best         float64
	bestTable    *models.LAETable // nil until something was judged
	worse        int              // judgements since the best
}

func (r *laeRun) epochs(ctx context.Context) error {
	first := r.a.state.Epoch
	for r.a.state.Epoch < r.a.state.Epochs {
		loss, err := r.a.epoch(ctx)
		if err != nil {
			return fmt.Errorf("epoch %d: %w", r.a.state.Epoch+1, err)
		}
		r.a.state.Epoch++
		done := r.a.state.Epoch
		r.report.Epochs, r.report.Loss = done, append(r.report.Loss, loss)
		if r.bestTable == nil {
			r.report.Best = done
		}
		r.report.Elapsed = r.o.Now().Sub(r.start)
		each := r.o.Now().Sub(r.began) / time.Duration(done-first)
		if done == first+1 {
			r.shorten(each)
		}
		left := r.a.state.Epochs - done
		if r.o.LAE.Stop > 0 {
			left = max(min(left, r.o.LAE.Stop-done), 0)
		}
		r.o.Progress(Progress{Epoch: done, Epochs: r.a.state.Epochs, Loss: loss, Elapsed: r.report.Elapsed, Rate: r.a.rate(),
			PerSecond: float64(len(r.a.users)) / max(each.Seconds(), 1e-9), Left: each * time.Duration(left)})
		if r.o.LAE.Checkpoint != nil {
			if err := r.o.LAE.Checkpoint(&r.a.state); err != nil {
				return fmt.Errorf("keep epoch %d: %w", done, err)
			}
		}
		if stop, err := r.judge(done, left == 0); err != nil || stop || left == 0 {
			return err
		}
	}
	return nil
}

// shorten lowers the number of epochs to what fits into the budget, at least those that ran.
func (r *laeRun) shorten(each time.Duration) {
	if r.o.Budget <= 0 {
		return
	}
	left := r.o.Budget - r.o.Now().Sub(r.start)
	if fit := r.a.state.Epoch + int(left/max(each, 1)); fit < r.a.state.Epochs {
		r.a.state.Epochs, r.report.Stopped = max(fit, r.a.state.Epoch), true
	}
}

// judge measures the model where that is due, and keeps the best.
func (r *laeRun) judge(epoch int, last bool) (stop bool, err error) {
	if r.o.LAE.Judge == nil || epoch%r.o.LAE.JudgeEvery != 0 && !last {
		return false, nil
	}
	table := r.a.table()
	table.In, table.Out = slices.Clone(table.In), slices.Clone(table.Out)
	m, err := models.NewLAE(r.meta(), r.o.laeParams(), table)
	if err != nil {
		return false, err
	}
	value, err := r.o.LAE.Judge(m)
	if err != nil {
		return false, fmt.Errorf("judge epoch %d: %w", epoch, err)
	}
	if value > r.best {
		r.best, r.bestTable, r.worse, r.report.Best = value, &table, 0, epoch
		return false, nil
	}
	r.worse++
	stop = r.o.LAE.Patience > 0 && r.worse >= r.o.LAE.Patience
	r.report.Stopped = r.report.Stopped || stop
	return stop, nil
}

func (r *laeRun) model() (*models.LAE, error) {
	table := r.a.table()
	if r.bestTable != nil {
		table = *r.bestTable
	}
	return models.NewLAE(r.meta(), r.o.laeParams(), table)
}

// autoencoder is the state of training and the work space of a step.
type autoencoder struct {
	p       *problem
	o       Options
	users   []int32   // rows of p.byUser with at least two items and something to foresee
	wanted  []float32 // users of each item
	gain    []float32 // by item
	target  []float32 // weight of each pair of p.byUser as a target; nil = 1
	catalog []int32   // items that may be foreseen
	state   LAEState
	batch   *batch
	spare   *batch // filled while a step of the other is made; nil = none
	passes  passes
	tower   *tower // nil = none
	// timelines are those of the users of the problem, for ordered examples; the weights as evidence and as
	// targets are by the log's number of the event type.
	timelines   []timeline
	kindWeights []float64
	kindAims    []float32
	shown       []trace   // work space
	ignored     [][]int32 // by user of the problem: what was shown without being taken up; nil = none
}

func newAutoencoder(p *problem, l *Log, o Options) (*autoencoder, error) {
	a := &autoencoder{p: p, o: o}
	params := o.laeParams()
	a.count()
	for j := range p.ids {
		a.gain = append(a.gain, params.Gain(a.wanted[j]))
		if o.LAE.Catalog == nil || o.LAE.Catalog(p.ids[j]) {
			a.catalog = append(a.catalog, int32(j))
		}
	}
	a.weighTargets(l)
	for u := range p.byUser.rows() {
		if a.maskable(u) {
			a.users = append(a.users, int32(u))
		}
	}
	if o.LAE.Order > 0 {
		a.order(l)
	}
	if x := o.LAE.Exposures; x != nil {
		a.ignored = x.unclicked(l, p)
	}
	if len(a.users) < minUsers || len(a.catalog) < minItems {
		return nil, fmt.Errorf("train: %d users have two items of which one is to be foreseen, %d items may be: %w",
			len(a.users), len(a.catalog), ErrTooLittle)
	}
	a.batch = newBatch(len(p.ids))
	var err error
	if a.tower, err = newTower(p, l, o); err != nil {
		return nil, err
	}
	if o.Workers > 1 && a.tower == nil { // a tower draws for one step at a time
		a.spare = newBatch(len(p.ids))
	}
	return a, a.begin()
}

// begin sets the tables to their start: random, from a model, or from a state.
func (a *autoencoder) begin() error {
	n := len(a.p.ids) * a.o.Dim
	if s := a.o.LAE.Resume; s != nil {
		a.state = *s
		for _, t := range []*[]float32{&a.state.In, &a.state.InMean, &a.state.InSquare, &a.state.Out, &a.state.OutMean, &a.state.OutSquare} {
			if len(*t) != n || !kernel.Finite(*t) {
				return fmt.Errorf("train: resume: the state does not belong to this log and these options: begin anew")
			}
			*t = slices.Clone(*t)
		}
		return a.resumeTower()
	}
	a.state = LAEState{Epochs: a.o.Epochs, In: make([]float32, n), InMean: make([]float32, n), InSquare: make([]float32, n),
		Out: make([]float32, n), OutMean: make([]float32, n), OutSquare: make([]float32, n)}
	const spread = 0.05
	rng := rand.New(rand.NewPCG(a.o.Seed, 0x1ae))
	for _, t := range [][]float32{a.state.In, a.state.Out} {
		for i := range t {
			t[i] = float32(rng.NormFloat64() * spread)
		}
	}
	if a.o.LAE.From != nil {
		a.warm(a.o.LAE.From.Table())
	}
	if t := a.tower; t != nil {
		a.state.Tower, a.state.TowerMean, a.state.TowerSquare = t.weights, t.mean, t.square
	}
	return nil
}

// resumeTower takes the tower's weights from the state.
func (a *autoencoder) resumeTower() error {
	t := a.tower
	want := 0
	if t != nil {
		want = len(t.weights)
	}
	for _, x := range []*[]float32{&a.state.Tower, &a.state.TowerMean, &a.state.TowerSquare} {
		if len(*x) != want || !kernel.Finite(*x) {
			return fmt.Errorf("train: resume: the state's tower does not belong to this catalogue and these options: begin anew")
		}
		*x = slices.Clone(*x)
	}
	if t != nil {
		t.weights, t.mean, t.square = a.state.Tower, a.state.TowerMean, a.state.TowerSquare
		t.view()
	}
	return nil
}

// warm copies the rows of the items that the other model knows.
func (a *autoencoder) warm(t models.LAETable) {
	d, rows := a.o.Dim, make(map[string]int, len(t.IDs))
	for j, id := range t.IDs {
		rows[id] = j
	}
	for j, id := range a.p.ids {
		if from, ok := rows[id]; ok {
			copy(a.state.In[j*d:(j+1)*d], t.In[from*d:])
			copy(a.state.Out[j*d:(j+1)*d], t.Out[from*d:])
		}
	}
}

// count takes the items of the model to start from into the problem and counts the users of each item.
func (a *autoencoder) count() {
	p := a.p
	counts := make([]int, len(p.ids))
	for _, j := range p.byUser.cols {
		counts[j]++
	}
	for _, n := range counts {
		a.wanted = append(a.wanted, float32(n))
	}
	if a.o.LAE.From == nil {
		return
	}
	rows := make(map[string]int, len(p.ids))
	for j, id := range p.ids {
		rows[id] = j
	}
	t := a.o.LAE.From.Table()
	for from, id := range t.IDs {
		j, ok := rows[id]
		if !ok {
			p.ids, p.itemNumbers, p.popularity = append(p.ids, id), append(p.itemNumbers, -1), append(p.popularity, t.Popularity[from])
			a.wanted = append(a.wanted, t.Users[from])
		} else if a.o.LAE.KeepCounts {
			a.wanted[j], p.popularity[j] = t.Users[from], t.Popularity[from]
		}
	}
}

func (a *autoencoder) table() models.LAETable {
	t := models.LAETable{IDs: a.p.ids, In: a.state.In, Out: a.state.Out, Popularity: a.p.popularity, Users: a.wanted}
	if a.tower != nil {
		t.Tower = a.tower.model()
	}
	return t
}

// rate is the learning rate of the epoch that comes next.
func (a *autoencoder) rate() float64 {
	return a.o.LAE.Rate * 0.5 * (1 + math.Cos(math.Pi*float64(a.state.Epoch)/float64(a.state.Epochs)))
}

// epoch shows every user once, in a random order that depends on the seed and the epoch only.
func (a *autoencoder) epoch(ctx context.Context) (float64, error) {
	rng := rand.New(rand.NewPCG(a.o.Seed, 0xe90c+uint64(a.state.Epoch)))
	order := slices.Clone(a.users)
	rng.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	loss, targets, rate := 0.0, 0.0, a.rate()
	draw := func(b *batch) {
		n := min(a.o.LAE.Batch, len(order))
		a.draw(b, rng, order[:n])
		order = order[n:]
	}
	for draw(a.batch); a.batch.users > 0 && ctx.Err() == nil; {
		var ahead sync.WaitGroup
		if a.spare != nil { // drawing is for one goroutine: the others need not wait for it
			ahead.Go(func() { draw(a.spare) })
		}
		a.state.Step++
		sum, count := a.step(a.movers(rate))
		loss, targets = loss+sum, targets+count
		ahead.Wait()
		if a.spare == nil {
			draw(a.batch)
			continue
		}
		a.batch, a.spare = a.spare, a.batch
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	loss /= max(targets, 1e-9)
	if math.IsNaN(loss) || math.IsInf(loss, 0) {
		return 0, fmt.Errorf("the loss is %v: lower the learning rate: %w", loss, errUnstable)
	}
	return loss, nil
}
