package train

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/sartorhq/sartor/models"
	"github.com/sartorhq/sartor/models/kernel"
)

// encoderTraining is the state of training and the work space of a step.
type encoderTraining struct {
	o        Options
	p        models.EncoderParams
	data     *sequences
	pieces   []piece
	catalog  []int32 // rows that may be foreseen
	targets  int64   // events of the data that are targets
	full     bool    // the softmax is over the whole catalogue
	state    EncoderState
	table    models.EncoderTable // of state.Values
	batch    gathering
	passing  *passing // nil where exposures do not count
	layers   []packedLayer
	recall   packedRecall
	tower    *itemTower   // nil = none
	residual *models.Head // the shape of the head; nil = none
	head     packedHead
	shared   int // numbers of the item and tower arrays, which come first among all
	scoring  scoring
	gathered []float32 // the step's item rows, when they do not stand in order in the table
	biases   []float32
	inverse  []float32 // what the rows were multiplied by to have length 1
	nets     []*net    // by worker
	parts    [shards]gradient
	blocks   []float64 // sums of squares
	places   []int32   // of the events of a piece
	cropped  []piece   // of a step
}

// gradient is the part of one shard.
type gradient struct {
	loss       float64
	item, bias []float32 // by place
	rest       []float32 // of all other arrays but the tower's, end to end
	table      models.EncoderTable
}

func newEncoderTraining(l *Log, o Options) (*encoderTraining, error) {
	a := &encoderTraining{o: o, p: o.encoderParams(), layers: make([]packedLayer, o.Encoder.Blocks)}
	var err error
	if a.data, err = sequence(l, a.p, o); err != nil {
		return nil, err
	}
	a.o.chooseRecall(a.data)
	a.p = a.o.encoderParams()
	if o.Encoder.From != nil {
		a.data.adopt(o.Encoder.From.Table(), o.Encoder.KeepCounts)
	}
	a.passing = newPassing(l, a.data, o)
	for j, id := range a.data.ids {
		if o.Encoder.Catalog == nil || o.Encoder.Catalog(id) {
			a.catalog = append(a.catalog, int32(j))
		}
		a.targets += a.data.count[j]
	}
	a.pieces = a.data.pieces(o.Encoder.Longest)
	if len(a.pieces) == 0 || len(a.catalog) < minItems {
		return nil, fmt.Errorf("train: %d histories foresee something, %d items may be foreseen: %w", len(a.pieces), len(a.catalog), ErrTooLittle)
	}
	events := 0
	for _, p := range a.pieces {
		events += int(p.to - p.from)
	}
	a.o.Encoder.Tokens = cmp.Or(a.o.Encoder.Tokens, min(4096, max(256, events/128)))
	// A short training has no time for a long warm-up: a tenth of it at most.
	s := &a.o.Encoder.Schedule
	s.Warmup = min(s.Warmup, o.Epochs*(events/a.o.Encoder.Tokens+1)/10)
	a.full = len(a.catalog) <= o.Encoder.Full
	a.batch.place = slices.Repeat([]int32{-1}, len(a.data.ids))
	if a.full {
		a.batch.whole(len(a.data.ids), a.catalog)
	}
	return a, a.allocate(l)
}

// allocate makes the weights, and the work space of the workers and the shards.
func (a *encoderTraining) allocate(l *Log) (err error) {
	if a.tower, err = newItemTower(l, a.data.ids, a.o); err != nil {
		return err
	}
	if a.residual, err = newHead(l, a.data, a.o); err != nil {
		return err
	}
	if err := a.begin(); err != nil {
		return err
	}
	var rows *headRows
	if a.residual != nil {
		rows = l.profile.rows(a.residual.Spec)
	}
	for range a.o.Workers {
		w := newNet(a.p, a.o.Encoder.Dropout)
		w.head.rows, w.head.dropout = rows, a.o.Encoder.Head.FeatureDropout
		a.nets = append(a.nets, w)
	}
	for _, x := range a.table.Arrays(a.p) {
		if shared(x.Name) {
			a.shared += x.Size()
		}
	}
	for i := range a.parts {
		a.parts[i].rest = make([]float32, len(a.state.Values)-a.shared)
		a.parts[i].table = models.EncoderTable{Blocks: make([]models.EncoderBlock, a.p.Blocks), Head: a.newHead()}
		endToEnd(&a.parts[i].table, a.p, a.parts[i].rest)
	}
	return nil
}

// shared tells whether the gradient by an array is made once a step, rather than by every shard.
func shared(name string) bool {
	return strings.HasPrefix(name, "item.") || strings.HasPrefix(name, "tower.")
}

// shape returns a table of this training without weights.
func (a *encoderTraining) shape() models.EncoderTable {
	t := models.EncoderTable{IDs: a.data.ids, Blocks: make([]models.EncoderBlock, a.p.Blocks), Head: a.newHead()}
	if a.tower != nil {
		t.Tower = a.tower.model()
	}
	return t
}

// newHead returns a head of this training without weights; nil for none.
func (a *encoderTraining) newHead() *models.Head {
	if a.residual == nil {
		return nil
	}
	return &models.Head{Spec: a.residual.Spec, Hidden: a.residual.Hidden}
}

// layOut returns a table whose arrays lie end to end in values.
func (a *encoderTraining) layOut(values []float32) models.EncoderTable {
	t := a.shape()
	endToEnd(&t, a.p, values)
	return t
}

// endToEnd lets the arrays of the table lie end to end in values.
func endToEnd(t *models.EncoderTable, p models.EncoderParams, values []float32) {
	for _, x := range t.Arrays(p) {
		n := x.Size()
		*x.Values = values[:n:n]
		values = values[n:]
	}
}

// factor is what the group of an array multiplies the learning rate by.
func (a *encoderTraining) factor(name string) float64 {
	if rate, set := a.o.Encoder.Rates[name[:strings.LastIndexByte(name, '.')]]; set {
		return rate
	}
	return 1
}

// step learns from the pieces and returns the sums of the loss and of the goals' weights, and the norm
// of the gradient. When that or the loss is not finite nothing is changed and an error returned.
func (a *encoderTraining) step(pieces []piece, rate float64) (loss, weight, norm float64, err error) {
	step := uint64(a.state.Step)
	a.gather(rand.New(rand.NewPCG(a.o.Seed, 0xba7c4<<40+step)), pieces)
	a.prepare()
	parallel(a.o.Workers, shards, 1, func(worker, lo, hi int) {
		for i := lo; i < hi; i++ {
			a.learn(a.nets[worker], i, step)
		}
	})
	for i := range a.parts {
		loss += a.parts[i].loss
	}
	squares := a.add()
	factor, err := clipping(squares, a.o.Encoder.Clip)
	if err == nil && (math.IsNaN(loss) || math.IsInf(loss, 0)) {
		err = fmt.Errorf("the loss is %v: %w", loss, errDiverged)
	}
	if err != nil {
		return 0, 0, 0, err
	}
	a.move(rate, factor)
	return loss, a.batch.weight, math.Sqrt(squares), nil
}

// prepare brings items and weights into the forms that all workers read.
func (a *encoderTraining) prepare() {
	d, b, s := a.p.Dim, &a.batch, &a.scoring
	s.weight, s.frozen = b.weight, a.factor("item.embedding") == 0 && (a.tower == nil || a.factor("tower.embed") == 0)
	if a.passing != nil {
		s.left = a.passing.weight
	}
	s.table, s.bias, s.aloft = a.table.Item, a.table.Bias, a.aloft()
	if !a.ordered() || a.p.Unit || a.tower != nil {
		a.gathered, a.biases = resized(a.gathered, len(b.rows)*d), resized(a.biases, b.candidates)
		a.inverse = resized(a.inverse, len(b.rows))
		parallel(a.o.Workers, len(b.rows), 256, func(_, lo, hi int) {
			for i := lo; i < hi; i++ {
				to, row := a.gathered[i*d:(i+1)*d], a.table.Item[int(b.rows[i])*d:][:d]
				if a.p.Unit {
					a.inverse[i] = models.UnitRow(to, row)
				} else {
					copy(to, row)
				}
			}
		})
		for i := range a.biases {
			a.biases[i] = a.table.Bias[b.rows[i]]
			if !a.full {
				a.biases[i] += b.shift[i]
			}
		}
		if a.tower != nil {
			a.towerRows()
		}
		s.table, s.bias = a.gathered, a.biases
	}
	if a.table.Head != nil {
		a.head.pack(a.table.Head, d)
	}
	m := matrix(s.table, b.candidates, d)
	s.turned.Reset(d, b.candidates)
	s.plain.Reset(b.candidates, d)
	parallel(a.o.Workers, s.turned.Panels(), 8, func(_, lo, hi int) { s.turned.Fill(lo, hi, m, true) })
	parallel(a.o.Workers, s.plain.Panels(), 1, func(_, lo, hi int) { s.plain.Fill(lo, hi, m, false) })
	parallel(a.o.Workers, len(a.layers), 1, func(_, lo, hi int) {
		for k := lo; k < hi; k++ {
			a.layers[k].pack(&a.table.Blocks[k], a.p)
		}
	})
	if a.p.Recall > 0 {
		a.recall.pack(&a.table.Recall, a.p)
	}
}

// ordered tells whether the step's items are all items in the order of the table.
func (a *encoderTraining) ordered() bool { return a.full && len(a.catalog) == len(a.data.ids) }

// learn computes the gradient of one shard.
func (a *encoderTraining) learn(w *net, i int, step uint64) {
	sh, g, d := &a.batch.shards[i], &a.parts[i], a.p.Dim
	clear(g.rest)
	g.item, g.bias, g.loss = resized(g.item, len(a.batch.rows)*d), resized(g.bias, a.batch.candidates), 0
	clear(g.item)
	clear(g.bias)
	if len(sh.items) == 0 {
		return
	}
	w.forward(sh, &a.table, a.scoring.table, a.layers, a.o.Seed, step*shards+uint64(i))
	w.remember(sh, &a.table.Recall, &a.recall, a.scoring.table)
	part := step*shards + uint64(i)
	w.headForward(sh, a.table.Head, &a.head, a.o.Seed, part)
	g.loss = w.softmax(sh, &a.scoring, g.item, g.bias)
	w.headBack(sh, g.table.Head, &a.head)
	if a.scoring.aloft {
		return
	}
	w.rememberBack(sh, &a.table.Recall, &g.table.Recall, &a.recall, a.scoring.table, g.item)
	w.backward(sh, &a.table, &g.table, a.layers)
	if a.scoring.frozen {
		return
	}
	for t, item := range sh.items {
		if sh.hidden(t) {
			continue
		}
		kernel.Axpy(1, w.d[t*d:(t+1)*d], g.item[int(item)*d:int(item+1)*d])
	}
}

// aloft tells whether only the head and what the softmax alone makes learn, so that nothing below needs a gradient.
func (a *encoderTraining) aloft() bool {
	for _, name := range groups(a.o) {
		if name != groupHead && a.factor(name+".") > 0 {
			return false
		}
	}
	return true
}

// addBlock is how many numbers are added up at a time.
const addBlock = 1 << 13

// add sums the shards' gradients into the first, in their order, and returns the sum of the squares of
// what is not frozen.
func (a *encoderTraining) add() float64 {
	total := 0.0
	if !a.scoring.frozen {
		total += a.addPart(func(g *gradient) []float32 { return g.item })
		total += a.addPart(func(g *gradient) []float32 { return g.bias })
	}
	for _, x := range a.table.Arrays(a.p) {
		if a.factor(x.Name) == 0 && !shared(x.Name) {
			from := a.offset(x) - a.shared
			for i := range a.parts {
				clear(a.parts[i].rest[from : from+x.Size()])
			}
		}
	}
	rest := a.addPart(func(g *gradient) []float32 { return g.rest })
	a.tangent()
	if a.tower != nil && !a.scoring.frozen {
		return rest + a.towerBack()
	}
	return total + rest
}

func (a *encoderTraining) addPart(of func(*gradient) []float32) (sum float64) {
	first := of(&a.parts[0])
	n := (len(first) + addBlock - 1) / addBlock
	a.blocks = slices.Grow(a.blocks[:0], n)[:n]
	parallel(a.o.Workers, n, 1, func(_, block, _ int) {
		lo, hi := block*addBlock, min((block+1)*addBlock, len(first))
		for i := 1; i < shards; i++ {
			kernel.Axpy(1, of(&a.parts[i])[lo:hi], first[lo:hi])
		}
		a.blocks[block] = kernel.SquareSum(first[lo:hi])
	})
	for _, v := range a.blocks {
		sum += v
	}
	return sum
}

// offset is where the array begins among all values.
func (a *encoderTraining) offset(x models.EncoderArray) int {
	at := 0
	for _, y := range a.table.Arrays(a.p) {
		if y.Name == x.Name {
			return at
		}
		at += y.Size()
	}
	return at
}

// move makes the step of AdamW against the gradients times factor. With a sampled softmax the rows of
// the step's items alone move, and fade; the moments of the others rest.
func (a *encoderTraining) move(rate float64, factor float32) {
	m := &moments{a.state.Values, a.state.Mean, a.state.Square}
	from := 0
	for _, x := range a.table.Arrays(a.p) {
		n, group := x.Size(), a.factor(x.Name)
		decay := 0.0
		if x.Weight {
			decay = a.o.Encoder.WeightDecay
		}
		adam := kernel.NewAdamW(rate*group, decay, a.state.Step+1)
		g := a.parts[0].rest
		switch {
		case group == 0:
		case x.Name == "item.embedding":
			a.moveRows(m, adam, from, a.p.Dim, len(a.batch.rows), a.parts[0].item, factor)
		case x.Name == "item.bias":
			a.moveRows(m, adam, from, 1, a.batch.candidates, a.parts[0].bias, factor)
		case strings.HasPrefix(x.Name, "tower."):
			a.moveTower(x.Name, m, adam, from, factor)
		default:
			at := from - a.shared
			scaled(g[at:at+n], factor)
			m.step(adam, from, from+n, g[at:at+n])
		}
		from += n
	}
}

// moveRows moves the rows of the step's items, of which the first stands at from.
func (a *encoderTraining) moveRows(m *moments, adam kernel.Adam, from, width, rows int, g []float32, factor float32) {
	ordered := a.ordered()
	parallel(a.o.Workers, rows, 512, func(_, lo, hi int) {
		scaled(g[lo*width:hi*width], factor)
		if ordered {
			m.step(adam, from+lo*width, from+hi*width, g[lo*width:hi*width])
			return
		}
		for i := lo; i < hi; i++ {
			at := from + int(a.batch.rows[i])*width
			m.step(adam, at, at+width, g[i*width:(i+1)*width])
		}
	})
}
