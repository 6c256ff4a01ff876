package train

import (
	"math/rand/v2"
	"slices"

	"github.com/sartorhq/sartor/models"
	"github.com/sartorhq/sartor/models/kernel"
)

// itemTower is the tower of an encoder in training: one side, whose output is added to the rows of the
// item table, as input and as output. Its weights are arrays of the encoder's table.
type itemTower struct {
	tower
	gradient []float32 // of the touched rows of the embedding, end to end
}

// newItemTower returns the tower of the options, or nil. A model to start from brings its own.
func newItemTower(l *Log, ids []string, o Options) (*itemTower, error) {
	t := &itemTower{tower: tower{d: o.Dim, h: o.Encoder.Tower.Hidden, crew: newCrew(o.Workers)}}
	var from *models.Tower
	var known []string
	if o.Encoder.From != nil {
		from, known = o.Encoder.From.Table().Tower, o.Encoder.From.Table().IDs
	}
	if ok, err := t.read(l, ids, o.Encoder.Tower, from, known); !ok || err != nil {
		return nil, err
	}
	t.sides[outSide].slot = slices.Repeat([]int32{-1}, len(t.spec.Features))
	return t, nil
}

// model returns the tower as a table keeps it, without weights.
func (t *itemTower) model() *models.Tower {
	return &models.Tower{Spec: t.spec, Hidden: t.h, Starts: t.starts, Of: t.of}
}

// side is the tower's only side.
func (t *itemTower) side() *towerSide { return &t.sides[outSide] }

// towerRows computes the vectors and biases of the step's items: a row that is dropped counts 0, with its
// bias, so that the tower learns to speak alone.
func (a *encoderTraining) towerRows() {
	t, b, d := a.tower, &a.batch, a.p.Dim
	side := t.side()
	side.w = a.table.Tower.Out
	t.draw(outSide, rand.New(rand.NewPCG(a.o.Seed, 0x70e75<<40+uint64(a.state.Step))), b.rows, a.o.Encoder.Tower)
	t.forward(outSide)
	t.crew.each(len(b.rows), func(lo, hi int) {
		for i := lo; i < hi; i++ {
			row := int(b.rows[i])
			copy(a.gathered[i*d:(i+1)*d], t.row(outSide, i, a.table.Item[row*d:(row+1)*d]))
			if a.p.Unit {
				a.inverse[i] = models.UnitRow(a.gathered[i*d:(i+1)*d], a.gathered[i*d:(i+1)*d])
			}
		}
	})
	for i := range a.biases {
		if side.dropped[i] {
			a.biases[i] = 0
			if !a.full {
				a.biases[i] = b.shift[i]
			}
		}
	}
}

// towerBack turns the sum of the shards' gradients by the step's item vectors into those by the tower's
// weights, takes what was dropped out of them, and returns the sum of the squares of all that moves.
func (a *encoderTraining) towerBack() (sum float64) {
	t, side, d := a.tower, a.tower.side(), a.p.Dim
	item, bias := a.parts[0].item, a.parts[0].bias
	if a.factor("tower.embed") > 0 {
		t.backward(outSide, matrix(item, len(a.batch.rows), d))
		t.gradient = resized(t.gradient, len(side.touched)*d)
		t.crew.each(len(side.touched), func(lo, hi int) {
			for i := lo; i < hi; i++ {
				side.gradientOf(i, t.gradient[i*d:(i+1)*d])
			}
		})
		sum += a.squares(t.gradient) + kernel.SquareSum(side.db1)
		for i := range t.h {
			sum += kernel.SquareSum(side.dW1.Row(i))
		}
		for i := range d {
			sum += kernel.SquareSum(side.dW2.Row(i))
		}
	}
	if a.factor("item.embedding") == 0 {
		return sum
	}
	for i, dropped := range side.dropped {
		if dropped {
			clear(item[i*d : (i+1)*d])
			if i < len(bias) {
				bias[i] = 0
			}
		}
	}
	return sum + a.squares(item) + a.squares(bias)
}

// squares returns the sum of the squares of x, added up in blocks of a fixed size.
func (a *encoderTraining) squares(x []float32) (sum float64) {
	for block := range slices.Chunk(x, addBlock) {
		sum += kernel.SquareSum(block)
	}
	return sum
}

// moveTower moves one of the tower's arrays, which begins at from; of the embedding the rows that were used.
func (a *encoderTraining) moveTower(name string, m *moments, adam kernel.Adam, from int, factor float32) {
	t, side, d := a.tower, a.tower.side(), a.p.Dim
	rows := func(g kernel.Matrix, n int) {
		for i := range n {
			scaled(g.Row(i), factor)
			m.step(adam, from+i*g.Dim, from+(i+1)*g.Dim, g.Row(i))
		}
	}
	switch name {
	case "tower.embed":
		t.crew.each(len(side.touched), func(lo, hi int) {
			for i := lo; i < hi; i++ {
				g, at := t.gradient[i*d:(i+1)*d], from+int(side.touched[i])*d
				scaled(g, factor)
				m.step(adam, at, at+d, g)
			}
		})
	case "tower.w1":
		rows(side.dW1, t.h)
	case "tower.b1":
		scaled(side.db1, factor)
		m.step(adam, from, from+t.h, side.db1)
	case "tower.w2":
		rows(side.dW2, d)
	}
}
