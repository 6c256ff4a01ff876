package kernel

// The matrix product is cut as usual: the right side is packed once into panels as wide as a register
// tile, the left side is read where it lies, chunk by chunk, and the tiles run over both in the first-
// and second-level caches. An element of the result is one chain of fused multiply-adds over k in blocks of depth, so
// that it does not depend on how the rows of the result are divided among workers.

const (
	depth = 256 // longest run over k of one packed block
	chunk = 192 // rows of the left side at a time, which stay in the cache; a multiple of every tile's height
)

// Packed is the right side of a product, brought into the order in which the tiles read it. Filling
// and reading may be divided among goroutines; a Packed can be used again.
type Packed struct {
	data   []float32
	k, n   int
	blocks int
	stride int       // between the rows of a panel
	view   []float32 // the matrix itself, when it is read where it lies
}

// Reset prepares for a matrix of k rows and n columns; Fill must follow.
func (p *Packed) Reset(k, n int) {
	p.k, p.n, p.blocks = k, n, (k+depth-1)/depth
	_, width := tileShape()
	p.stride, p.view = width, nil
	if need := k * p.Panels() * width; cap(p.data) < need {
		p.data = make([]float32, need)
	} else {
		p.data = p.data[:need]
	}
}

// View takes m, of k rows, as the right side where it lies, in place of Reset and Fill: for products with
// few rows on the left, where packing costs more than it saves. It packs after all when the columns do
// not fill the tiles. m must not change while the Packed is in use.
func (p *Packed) View(m Matrix, k int) {
	if _, width := tileShape(); m.Dim%width != 0 || k == 0 {
		p.Reset(k, m.Dim)
		p.Fill(0, p.Panels(), m, false)
		return
	}
	p.k, p.n, p.blocks = k, m.Dim, (k+depth-1)/depth
	p.stride, p.view = m.Stride, m.Data
}

// Panels returns in how many panels the columns lie.
func (p *Packed) Panels() int {
	_, width := tileShape()
	return (p.n + width - 1) / width
}

// block returns the bounds of block b of the rows: all blocks are about equally deep.
func (p *Packed) block(b int) (from, to int) { return p.k * b / p.blocks, p.k * (b + 1) / p.blocks }

func (p *Packed) panel(b, panel int) []float32 {
	_, width := tileShape()
	from, to := p.block(b)
	if p.view != nil {
		return p.view[from*p.stride+panel*width:]
	}
	return p.panels(b, panel)[:width*(to-from)]
}

// panels returns the panels of block b from the given one on.
func (p *Packed) panels(b, panel int) []float32 {
	_, width := tileShape()
	from, to := p.block(b)
	return p.data[from*p.Panels()*width+panel*width*(to-from):]
}

// Fill packs the panels lo <= i < hi of m, which has k rows of n; transposed, m has n rows of k.
func (p *Packed) Fill(lo, hi int, m Matrix, transposed bool) {
	_, width := tileShape()
	whole := min(hi, p.n/width) // panels that have all their columns
	for b := range p.blocks {
		from, to := p.block(b)
		if transposed {
			for i := lo; i < hi; i++ {
				first := i * width
				packColumns(p.panel(b, i), m, first, min(width, p.n-first), from, to, width)
			}
			continue
		}
		for i := lo; i < whole; i += panelsAtOnce {
			packRight(p.panels(b, i), m.Data[from*m.Stride+i*width:], m.Stride, to-from, min(panelsAtOnce, whole-i))
		}
		for i := max(lo, whole); i < hi; i++ {
			d, first := p.panel(b, i), i*width
			for k := from; k < to; k++ {
				at := d[(k-from)*width : (k-from+1)*width]
				clear(at[copy(at, m.Data[k*m.Stride+first:k*m.Stride+p.n]):])
			}
		}
	}
}

// panelsAtOnce is how many panels are filled row by row: reading on in a row is what memory is good at, and
// writing to many places that lie a multiple of 4 KiB apart is what the cache is not.
const panelsAtOnce = 4

// packRightGeneric deals k rows of from, which are step apart, to panels of width columns that lie one after
// another in to.
func packRightGeneric(to, from []float32, step, k, panels, width int) {
	for i := range k {
		row := from[i*step : i*step+panels*width]
		for p := range panels {
			copy(to[(p*k+i)*width:(p*k+i+1)*width], row[p*width:])
		}
	}
}

// square is the side of the squares that turnRight turns.
const square = 16

// packColumns writes n rows of m, from column from to column to, as columns of d, and zeros beside.
func packColumns(d []float32, m Matrix, first, n, from, to, width int) {
	done, long := 0, (to-from)/square*square // what is turned in squares
	if long > 0 && turnsRight() {
		for ; done+square <= n; done += square {
			turnRight(d[done:], m.Data[(first+done)*m.Stride+from:], m.Stride, long/square)
		}
	}
	for r := range n {
		row, at := m.Data[(first+r)*m.Stride+from:(first+r)*m.Stride+to], r
		if r < done {
			row, at = row[long:], r+long*width
		}
		for _, v := range row {
			d[at] = v
			at += width
		}
	}
	for r := n; r < width; r++ {
		for at := r; at < len(d); at += width {
			d[at] = 0
		}
	}
}

// turnRightGeneric turns squares: row r of from, step apart, becomes column r of to, whose rows are width apart.
func turnRightGeneric(to, from []float32, step, squares, width int) {
	for r := range square {
		for i, v := range from[r*step : r*step+squares*square] {
			to[i*width+r] = v
		}
	}
}

// Work is the space that Multiply needs; each goroutine has its own.
type Work struct {
	left []float32 // the last rows of the left side, when they do not fill a tile
	pack []float32 // a chunk of a transposed left side, tile by tile
	edge []float32 // a tile that reaches over the edge of the result
}

// Multiply sets the rows lo <= i < hi of c to those of the product of a and b. transposed says that a
// is stored with the rows of c as its columns. Workers may compute different rows of one c at once.
func Multiply(c Matrix, lo, hi int, a Matrix, transposed bool, b *Packed, w *Work) {
	multiply(c, lo, hi, a, transposed, b, w, false)
}

// MultiplyAdd adds the product to c instead of setting it; otherwise it is as Multiply.
func MultiplyAdd(c Matrix, lo, hi int, a Matrix, transposed bool, b *Packed, w *Work) {
	multiply(c, lo, hi, a, transposed, b, w, true)
}

func multiply(c Matrix, lo, hi int, a Matrix, transposed bool, b *Packed, w *Work, add bool) {
	height, width := tileShape()
	if w.left == nil {
		w.left, w.edge = make([]float32, height*depth), make([]float32, height*width)
	}
	if b.k == 0 && !add {
		for i := lo; i < hi; i++ {
			clear(c.Data[i*c.Stride : i*c.Stride+b.n])
		}
	}
	row, step := a.Stride, 1
	if transposed {
		row, step = 1, a.Stride
	}
	for block := range b.blocks {
		from, to := b.block(block)
		for i := lo; i < hi; i += chunk {
			end := min(i+chunk, hi)
			t := tiling{c: c, a: a.Data[from*step:], row: row, step: step, first: i, ldb: b.stride, k: to - from, add: add || block > 0}
			if transposed && turns(b.Panels()) {
				w.turn(&t, i, end)
			}
			for panel := range b.Panels() {
				t.column, t.columns = panel*width, min(width, b.n-panel*width)
				t.right = b.panel(block, panel)
				w.tiles(&t, i, end)
			}
		}
	}
}

// turns tells whether a transposed left side is packed: where it is used often. Where it is not, reading it once
// more to pack it takes longer than the tiles wait for it.
func turns(panels int) bool { return packsLeft() && panels > 2 }

// turn packs the rows lo <= r < hi of a transposed left side.
func (w *Work) turn(t *tiling, lo, hi int) {
	height, _ := tileShape()
	tiles := (hi - lo + height - 1) / height
	if need := chunk * depth; len(w.pack) < need {
		w.pack = make([]float32, need)
	}
	packLeft(w.pack[:tiles*height*t.k], t.a[lo:], t.step, t.k, hi-lo)
	t.packed = true
}

// packLeftGeneric deals n columns of from, whose k rows are step apart, to tiles of height columns, and fills the
// last tile with zeros.
func packLeftGeneric(to, from []float32, step, k, n, height int) {
	clear(to)
	for i := range k {
		for j, v := range from[i*step : i*step+n] {
			to[(j/height*k+i)*height+j%height] = v
		}
	}
}

// tiling is one panel of the right side against rows of the left.
type tiling struct {
	c               Matrix
	column, columns int
	a               []float32 // row r at step i stands at r*row + i*step
	row, step       int
	packed          bool // the left side is in Work.pack, from row first on
	first           int
	right           []float32
	ldb             int // between the rows of right
	k               int
	add             bool
}

// tiles computes the rows lo <= r < hi of the panel's columns.
func (w *Work) tiles(t *tiling, lo, hi int) {
	whole, width := tileShape()
	for r := lo; r < hi; r += whole {
		n := min(whole, hi-r)
		height := tileHeight(n)
		left, row, step := w.leftRows(t, r, n, height)
		to := t.c.Data[r*t.c.Stride+t.column:]
		if n == height && t.columns == width {
			mulTile(height, left, row, step, t.right, t.ldb, to, t.c.Stride, t.k, t.add)
			continue
		}
		mulTile(height, left, row, step, t.right, t.ldb, w.edge, width, t.k, false)
		for i := range n {
			from, at := w.edge[i*width:i*width+t.columns], to[i*t.c.Stride:i*t.c.Stride+t.columns]
			if !t.add {
				copy(at, from)
				continue
			}
			for j, v := range from {
				at[j] += v
			}
		}
	}
}

// leftRows returns where a tile of the given height finds n rows of the left side from row r on.
func (w *Work) leftRows(t *tiling, r, n, height int) (left []float32, row, step int) {
	switch {
	case t.packed:
		whole, _ := tileShape()
		return w.pack[(r-t.first)*t.k:], 1, whole
	case n < height: // the tile reads whole heights
		return w.padded(t, r, n, height), t.k, 1
	}
	return t.a[r*t.row:], t.row, t.step
}

// padded copies n rows of the left side, and zeros in place of the rows that are missing.
func (w *Work) padded(t *tiling, first, n, height int) []float32 {
	d := w.left[:height*t.k]
	for r := range n {
		to, at := d[r*t.k:(r+1)*t.k], (first+r)*t.row
		if t.step == 1 {
			copy(to, t.a[at:at+t.k])
			continue
		}
		for i := range to {
			to[i] = t.a[at+i*t.step]
		}
	}
	clear(d[n*t.k:])
	return d
}

// mulTileGeneric is the twin of the assembly tiles.
func mulTileGeneric(a []float32, row, step int, b []float32, ldb int, c []float32, ldc, k int, add bool, height, width int) {
	for r := range height {
		to := c[r*ldc : r*ldc+width]
		for j := 0; j < width; j += 4 {
			var s0, s1, s2, s3 float32
			for i := range k {
				x, p := a[r*row+i*step], b[i*ldb+j:i*ldb+j+4:i*ldb+j+4]
				s0 += x * p[0]
				s1 += x * p[1]
				s2 += x * p[2]
				s3 += x * p[3]
			}
			if add {
				s0, s1, s2, s3 = to[j]+s0, to[j+1]+s1, to[j+2]+s2, to[j+3]+s3
			}
			to[j], to[j+1], to[j+2], to[j+3] = s0, s1, s2, s3
		}
	}
}
