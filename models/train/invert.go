package train

import (
	"context"
	"fmt"
	"math"

	"github.com/sartorhq/sartor/models/kernel"
)

// pivotBlock is the width of the blocks by which a matrix is inverted.
const pivotBlock = 64

// invert replaces the symmetric positive definite matrix by its inverse: Gauss-Jordan elimination by
// blocks, without pivoting, which such a matrix does not need. Blocks are inverted in float64; the rest,
// almost all of the work, is a matrix product.
func invert(ctx context.Context, a kernel.Matrix, workers int) error {
	n := a.Dim
	var right kernel.Packed
	work, change := make([]kernel.Work, workers), make([]kernel.Matrix, workers)
	panel := kernel.Matrix{Data: make([]float32, pivotBlock*n), Dim: n, Stride: n}
	left := kernel.Matrix{Data: make([]float32, n*pivotBlock), Dim: pivotBlock, Stride: pivotBlock}
	for from := 0; from < n; from += pivotBlock {
		if err := ctx.Err(); err != nil {
			return err
		}
		to := min(from+pivotBlock, n)
		k := to - from
		pivot, err := invertSmall(a, from, to)
		if err != nil {
			return err
		}
		scalePanel(panel, a, pivot, from, to)
		for i := range n {
			copy(left.Row(i), a.Row(i)[from:to])
			clear(a.Row(i)[from:to]) // so that the product below leaves -left * pivot there
		}
		right.Reset(k, n)
		parallel(workers, right.Panels(), 8, func(_, lo, hi int) { right.Fill(lo, hi, panel, false) })
		parallel(workers, n, 96, func(w, lo, hi int) {
			if change[w].Data == nil {
				change[w] = kernel.Matrix{Data: make([]float32, 96*n), Dim: n, Stride: n}
			}
			rows := kernel.Matrix{Data: left.Data[lo*left.Stride:], Dim: k, Stride: left.Stride}
			kernel.Multiply(change[w], 0, hi-lo, rows, false, &right, &work[w])
			for i := lo; i < hi; i++ {
				if i < from || i >= to {
					kernel.Axpy(-1, change[w].Row(i-lo), a.Row(i))
				}
			}
		})
		for i := from; i < to; i++ {
			copy(a.Row(i), panel.Row(i-from))
		}
	}
	return nil
}

// scalePanel sets panel to the rows from..to of a, multiplied from the left by the inverted pivot
// block, which takes the place of the block itself.
func scalePanel(panel, a kernel.Matrix, pivot [][]float64, from, to int) {
	for i := range to - from {
		row := panel.Row(i)
		clear(row)
		for r := range to - from {
			kernel.Axpy(float32(pivot[i][r]), a.Row(from+r), row)
		}
		for j := range to - from {
			row[from+j] = float32(pivot[i][j])
		}
	}
}

// invertSmall returns the inverse of the diagonal block from..to.
func invertSmall(a kernel.Matrix, from, to int) ([][]float64, error) {
	n := to - from
	m := make([][]float64, n)
	for i := range m {
		m[i] = make([]float64, n)
		for j := range m[i] {
			m[i][j] = float64(a.Row(from + i)[from+j])
		}
	}
	for k := range n {
		p := m[k][k]
		if !(p > 0) || math.IsInf(p, 0) {
			return nil, fmt.Errorf("pivot %d is %v: %w", from+k, p, errUnstable)
		}
		m[k][k] = 1
		for j := range m[k] {
			m[k][j] /= p
		}
		for i := range m {
			if i == k {
				continue
			}
			f := m[i][k]
			m[i][k] = 0
			for j := range m[i] {
				m[i][j] -= f * m[k][j]
			}
		}
	}
	return m, nil
}
