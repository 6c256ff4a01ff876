package kernel

// The matrix product is cut as usual: the right side is packed once into panels as wide as a register
// tile, the left side chunk by chunk, and the tiles run over both in the first- and second-level
// caches. An element of the result is one chain of fused multiply-adds over k in blocks of depth, so
// that it does not depend on how the rows of the result are divided among workers.

const (
	depth = 256 // longest run over k of one packed block
	chunk = 96  // rows of the left side that are packed at a time; a multiple of every tile's height
)

// Packed is the right side of a product, brought into the order in which the tiles read it. Filling
// and reading may be divided among goroutines; a Packed can be used again.
type Packed struct {
	data   []float32
	k, n   int
	blocks int
}

// Reset prepares for a matrix of k rows and n columns; Fill must follow.
func (p *Packed) Reset(k, n int) {
	p.k, p.n, p.blocks = k, n, (k+depth-1)/depth
	_, width := tileShape()
	if need := k * p.Panels() * width; cap(p.data) < need {
		p.data = make([]float32, need)
	} else {
		p.data = p.data[:need]
	}
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
	at := from*p.Panels()*width + panel*width*(to-from)
	return p.data[at : at+width*(to-from)]
}

// Fill packs the panels lo <= i < hi of m, which has k rows of n; transposed, m has n rows of k.
func (p *Packed) Fill(lo, hi int, m Matrix, transposed bool) {
	_, width := tileShape()
	for b := range p.blocks {
		from, to := p.block(b)
		for i := lo; i < hi; i++ {
			d, first := p.panel(b, i), i*width
			n := min(width, p.n-first)
			if transposed {
				packColumns(d, m, first, n, from, to, width)
				continue
			}
			for k := from; k < to; k++ {
				at := d[(k-from)*width : (k-from+1)*width]
				clear(at[copy(at, m.Data[k*m.Stride+first:k*m.Stride+first+n]):])
			}
		}
	}
}

// packColumns writes n rows of m, from column from to column to, as columns of d, and zeros beside.
func packColumns(d []float32, m Matrix, first, n, from, to, width int) {
	for r := range n {
		row := m.Data[(first+r)*m.Stride+from : (first+r)*m.Stride+to]
		at := r
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

// Work is the space that Multiply needs; each goroutine has its own.
type Work struct {
	left []float32 // a packed chunk
	edge []float32 // a tile that reaches over the edge of the result
}

// Multiply sets the rows lo <= i < hi of c to those of the product of a and b. transposed says that a
// is stored with the rows of c as its columns. Workers may compute different rows of one c at once.
func Multiply(c Matrix, lo, hi int, a Matrix, transposed bool, b *Packed, w *Work) {
	height, width := tileShape()
	if w.left == nil {
		w.left, w.edge = make([]float32, chunk*depth), make([]float32, height*width)
	}
	for i := lo; i < hi; i++ {
		clear(c.Data[i*c.Stride : i*c.Stride+b.n])
	}
	for block := range b.blocks {
		from, to := b.block(block)
		for i := lo; i < hi; i += chunk {
			rows := min(chunk, hi-i)
			packLeft(w.left, a, transposed, i, rows, from, to, height)
			for panel := range b.Panels() {
				w.tiles(c, i, rows, panel*width, min(width, b.n-panel*width), to-from, b.panel(block, panel))
			}
		}
	}
}

// packLeft packs rows of the left side in groups of height.
func packLeft(d []float32, a Matrix, transposed bool, first, rows, from, to, height int) {
	k := to - from
	for r := 0; r < rows; r += height {
		n := min(height, rows-r)
		group := d[r*k : r*k+height*k]
		if !transposed {
			packColumns(group, a, first+r, n, from, to, height)
			continue
		}
		for i := range k {
			at := group[i*height : (i+1)*height]
			row := a.Data[(from+i)*a.Stride+first+r:]
			clear(at[copy(at, row[:n]):])
		}
	}
}

// tiles adds one panel's products to the rows first..first+rows of c.
func (w *Work) tiles(c Matrix, first, rows, column, columns, k int, panel []float32) {
	height, width := tileShape()
	for r := 0; r < rows; r += height {
		left := w.left[r*k : r*k+height*k]
		to := c.Data[(first+r)*c.Stride+column:]
		n := min(height, rows-r)
		if n == height && columns == width {
			mulTile(left, panel, to, k, c.Stride)
			continue
		}
		clear(w.edge)
		mulTile(left, panel, w.edge, k, width)
		for i := range n {
			for j, v := range w.edge[i*width : i*width+columns] {
				to[i*c.Stride+j] += v
			}
		}
	}
}

// mulTileGeneric is the twin of the assembly tiles.
func mulTileGeneric(a, b, c []float32, k, ldc, height, width int) {
	for r := range height {
		to := c[r*ldc : r*ldc+width]
		for j := 0; j < width; j += 4 {
			var s0, s1, s2, s3 float32
			for i := range k {
				x, p := a[i*height+r], b[i*width+j:i*width+j+4:i*width+j+4]
				s0 += x * p[0]
				s1 += x * p[1]
				s2 += x * p[2]
				s3 += x * p[3]
			}
			to[j] += s0
			to[j+1] += s1
			to[j+2] += s2
			to[j+3] += s3
		}
	}
}
