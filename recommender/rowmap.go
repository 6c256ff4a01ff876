package recommender

// rowMap maps rows to small numbers. It is a table of slots with linear probing: a request makes one
// of a few hundred rows, for which a Go map costs several times the work.
type rowMap struct {
	slots []rowSlot // a power of two of them, at most half of them used
	used  int
}

// rowSlot holds row+1, so that 0 is a free slot, and the row's number.
type rowSlot struct{ row, number int32 }

func newRowMap(size int) (m rowMap) {
	m.reset(size)
	return m
}

// reset empties the map and makes room for size rows.
func (m *rowMap) reset(size int) {
	n := 64
	for n < 2*size {
		n *= 2
	}
	m.used = 0
	if cap(m.slots) < n {
		m.slots = make([]rowSlot, n)
		return
	}
	m.slots = m.slots[:n]
	clear(m.slots)
}

// slot returns the place of a row, or the free place where it belongs.
func (m *rowMap) slot(row int32) *rowSlot {
	mask := uint32(len(m.slots) - 1)
	for i := uint32(row) * 0x9E3779B1 >> 7; ; i++ {
		if s := &m.slots[i&mask]; s.row == row+1 || s.row == 0 {
			return s
		}
	}
}

func (m *rowMap) get(row int32) (int, bool) {
	s := m.slot(row)
	return int(s.number), s.row != 0
}

// place maps a row to a number unless it is in the map; it returns the number that the row had.
func (m *rowMap) place(row int32, number int) (had int, ok bool) {
	s := m.slot(row)
	if s.row != 0 {
		return int(s.number), true
	}
	if 2*m.used >= len(m.slots) {
		m.put(row, number)
		return 0, false
	}
	*s = rowSlot{row: row + 1, number: int32(number)}
	m.used++
	return 0, false
}

// put maps a row that is not in the map yet.
func (m *rowMap) put(row int32, number int) {
	if 2*m.used >= len(m.slots) {
		old := m.slots
		m.slots = make([]rowSlot, 2*len(old))
		for _, s := range old {
			if s.row != 0 {
				*m.slot(s.row - 1) = s
			}
		}
	}
	*m.slot(row) = rowSlot{row: row + 1, number: int32(number)}
	m.used++
}
