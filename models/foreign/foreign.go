// Package foreign reads item vectors that other programs trained: embedding tables that PyTorch wrote as
// safetensors, and the item factors that Spark's ALS wrote as Parquet. It turns them into models that
// encode users here, and trains nothing.
package foreign

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/parquet-go/parquet-go"

	"github.com/sartorhq/sartor/models"
)

// Vectors are the rows of a table by item; row j of Values, of Dim numbers, belongs to IDs[j].
type Vectors struct {
	IDs    []string
	Dim    int
	Values []float32
}

// The bounds of what is read.
const (
	maxItems = 1 << 26
	maxDim   = 1 << 16 // of a list in Parquet, whose run lengths can claim any number
	maxFile  = 8 << 30
)

// Safetensors reads one matrix of the file; name is the tensor, "" the only matrix. ids name its rows: a
// file with one id a line.
func Safetensors(path, name, ids string) (Vectors, error) {
	file, err := readAll(path)
	if err != nil {
		return Vectors{}, err
	}
	v := Vectors{}
	if v.Values, v.Dim, err = models.Matrix(file, name); err != nil {
		return v, fmt.Errorf("%s: %w", path, err)
	}
	if v.IDs, err = IDs(ids); err != nil {
		return v, err
	}
	if rows := len(v.Values) / v.Dim; rows != len(v.IDs) {
		return v, fmt.Errorf("%s has %d rows, %s names %d: one id a line, in the order of the rows", path, rows, ids, len(v.IDs))
	}
	return v, nil
}

// readAll reads a file of bounded size.
func readAll(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxFile {
		return nil, fmt.Errorf("%s has %d bytes, more than %d", path, info.Size(), int64(maxFile))
	}
	return os.ReadFile(path)
}

// IDs reads a file with one id a line.
func IDs(path string) ([]string, error) {
	data, err := readAll(path)
	if err != nil {
		return nil, err
	}
	lines := strings.Split(strings.ReplaceAll(string(data), "\r\n", "\n"), "\n")
	if lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	for i, id := range lines {
		if id == "" {
			return nil, fmt.Errorf("%s: line %d is empty", path, i+1)
		}
	}
	return lines, nil
}

// Parquet reads a column of ids and a column of lists of numbers, from a file or from a folder of part
// files, such as the item factors of Spark's ALSModel (id, features). Ids may be numbers or texts.
func Parquet(path, id, features string) (Vectors, error) {
	files, err := parts(path)
	if err != nil {
		return Vectors{}, err
	}
	var v Vectors
	for _, f := range files {
		if err := v.file(f, id, features); err != nil {
			return v, fmt.Errorf("%s: %w", f, err)
		}
	}
	if len(v.IDs) == 0 {
		return v, fmt.Errorf("%s holds no item", path)
	}
	return v, nil
}

// parts lists the Parquet files of a path, in order.
func parts(path string) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return []string{path}, nil
	}
	files, err := filepath.Glob(filepath.Join(path, "*.parquet"))
	if err == nil && len(files) == 0 {
		err = fmt.Errorf("no *.parquet file in %s", path)
	}
	slices.Sort(files)
	return files, err
}

// file appends the rows of one file.
func (v *Vectors) file(path, id, features string) (err error) {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	// The library means well with damaged files, but a page that lies about its size can make it panic.
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the file is damaged: %v", p)
		}
	}()
	p, err := parquet.OpenFile(f, info.Size(), parquet.SkipBloomFilters(true))
	if err != nil {
		return fmt.Errorf("this is no Parquet file, or it was not copied to its end: %w", err)
	}
	at, list := -1, -1
	for i, path := range p.Schema().Columns() {
		switch path[0] {
		case id:
			at = i
		case features:
			list = i
		}
	}
	if at < 0 || list < 0 {
		return fmt.Errorf("no columns %q and %q: the file has %v", id, features, p.Schema().Columns())
	}
	for _, group := range p.RowGroups() {
		if err := v.rows(group, at, list); err != nil {
			return err
		}
	}
	return nil
}

// rows appends the rows of one group; columns at and list hold the id and the numbers.
func (v *Vectors) rows(group parquet.RowGroup, at, list int) (err error) {
	rows := group.Rows()
	defer func() { err = errors.Join(err, rows.Close()) }()
	buffer := make([]parquet.Row, 64)
	for {
		n, err := rows.ReadRows(buffer)
		for _, row := range buffer[:n] {
			if err := v.row(row, at, list); err != nil {
				return fmt.Errorf("item %d: %w", len(v.IDs), err)
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// row appends one row.
func (v *Vectors) row(row parquet.Row, at, list int) error {
	id, from := "", len(v.Values)
	for _, x := range row {
		switch {
		case x.Column() == at:
			id = text(x)
		case x.Column() == list:
			if x.IsNull() {
				return errors.New("a number of the vector is missing")
			}
			if len(v.Values)-from == maxDim {
				return fmt.Errorf("more than %d numbers", maxDim)
			}
			n, ok := number(x)
			if !ok {
				return fmt.Errorf("the vector holds a %s that is no finite number", x.Kind())
			}
			v.Values = append(v.Values, n)
		}
	}
	n := len(v.Values) - from
	switch {
	case id == "":
		return errors.New("the id is missing")
	case v.Dim == 0:
		v.Dim = n
	}
	if n == 0 || n != v.Dim {
		return fmt.Errorf("%d numbers, the first item has %d", n, v.Dim)
	}
	if len(v.IDs) == maxItems {
		return fmt.Errorf("more than %d items", maxItems)
	}
	v.IDs = append(v.IDs, id)
	return nil
}

// text is an id as text; "" for a value that cannot be one.
func text(x parquet.Value) string {
	if x.IsNull() {
		return ""
	}
	switch x.Kind() {
	case parquet.Int32:
		return strconv.Itoa(int(x.Int32()))
	case parquet.Int64:
		return strconv.FormatInt(x.Int64(), 10)
	case parquet.ByteArray, parquet.FixedLenByteArray:
		return string(x.ByteArray())
	}
	return ""
}

func number(x parquet.Value) (float32, bool) {
	var v float64
	switch x.Kind() {
	case parquet.Float:
		v = float64(x.Float())
	case parquet.Double:
		v = x.Double()
	default:
		return 0, false
	}
	return float32(v), !math.IsNaN(v) && math.Abs(v) <= math.MaxFloat32
}

// Padded returns the values with zeros up to a multiple of 8 dimensions, for which the kernels are made, and
// the new dimension. Inner products stay the same.
func (v Vectors) Padded() (values []float32, dim int) {
	dim = (v.Dim + 7) &^ 7
	values = make([]float32, len(v.IDs)*dim)
	for j := range v.IDs {
		copy(values[j*dim:], v.Values[j*v.Dim:(j+1)*v.Dim])
	}
	return values, dim
}

// ALS makes a model whose users are solved from their histories, as Spark's ALS with implicit preferences
// solves them. popularity is by item, nil = 0.
func (v Vectors) ALS(meta models.Meta, p models.ALSParams, popularity []float32) (*models.ALS, error) {
	values, dim := v.Padded()
	p.Factors = dim
	if popularity == nil {
		popularity = make([]float32, len(v.IDs))
	}
	return models.NewALS(meta, p, models.ItemTable{IDs: v.IDs, Factors: values, Popularity: popularity})
}

// LAE makes a model whose users are the sums of the vectors of their histories, for vectors that any
// other model learned: two towers, word2vec over sessions, a text encoder.
func (v Vectors) LAE(meta models.Meta, p models.LAEParams, popularity []float32) (*models.LAE, error) {
	values, dim := v.Padded()
	p.Factors = dim
	if popularity == nil {
		popularity = make([]float32, len(v.IDs))
	}
	return models.NewLAE(meta, p, models.LAETable{IDs: v.IDs, In: values, Out: slices.Clone(values), Users: make([]float32, len(v.IDs)), Popularity: popularity})
}
