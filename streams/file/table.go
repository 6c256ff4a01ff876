package file

import (
	"bufio"
	"compress/gzip"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// input is an opened file, unpacked when it is gzip.
type input struct {
	io.Reader
	name string
	file *os.File
}

func (in *input) close() error { return in.file.Close() }

// openInput opens a file and looks at its first bytes to see whether it is gzip.
func openInput(path string) (*input, error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return nil, fmt.Errorf("%s is a folder", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	in := &input{name: filepath.Base(path), file: f}
	buffered := bufio.NewReaderSize(f, 1<<16)
	in.Reader = buffered
	if magic, _ := buffered.Peek(2); len(magic) == 2 && magic[0] == 0x1f && magic[1] == 0x8b {
		unpacked, err := gzip.NewReader(buffered)
		if err != nil {
			_ = f.Close()
			return nil, fmt.Errorf("unpack %s: %w (it begins like a gzip file: was it copied to its end?)", path, err)
		}
		in.Reader = unpacked
	}
	return in, nil
}

// locate finds the data set's main file: path itself, or in the folder path the first of the names
// that exists, plain or with .gz.
func locate(path string, names ...string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if !info.IsDir() {
		return path, nil
	}
	for _, name := range names {
		if found := sibling(filepath.Join(path, "x"), name); found != "" {
			return found, nil
		}
	}
	return "", fmt.Errorf("folder %s has no %s, plain or .gz", path, strings.Join(names, " or "))
}

// sibling returns the path of the file of that name, plain or .gz, in the folder of path, or "".
func sibling(path, name string) string {
	for _, suffix := range []string{".gz", ""} {
		p := filepath.Join(filepath.Dir(path), name+suffix)
		if info, err := os.Stat(p); err == nil && info.Mode().IsRegular() {
			return p
		}
	}
	return ""
}

// table is a CSV file with a header row, of which the named columns are read.
type table struct {
	in      *input
	csv     *csv.Reader
	columns []string
	index   []int // of columns in the record
	record  []string
	rows    int64
	dateRaw string // the last date and its value: neighbours are often equal
	date    time.Time
}

// openTable opens a table that must have all the columns, in any order, beside others.
func openTable(path string, comma rune, columns ...string) (*table, error) {
	in, err := openInput(path)
	if err != nil {
		return nil, err
	}
	t := &table{in: in, csv: csv.NewReader(in), columns: columns}
	t.csv.Comma, t.csv.ReuseRecord = comma, true
	header, err := t.csv.Read()
	if err != nil {
		_ = in.close()
		if errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("%s is empty: it needs a header row with %s", in.name, strings.Join(columns, ", "))
		}
		return nil, t.wrap(err)
	}
	header[0] = strings.TrimPrefix(header[0], "\ufeff")
	var missing []string
	for _, c := range columns {
		i := slices.Index(header, c)
		if i < 0 {
			missing = append(missing, c)
		}
		t.index = append(t.index, i)
	}
	if missing != nil {
		_ = in.close()
		return nil, fmt.Errorf("%s has no column %s; its header is %q", in.name,
			strings.Join(missing, ", "), strings.Join(header, string(comma)))
	}
	return t, nil
}

// next reads the next row; io.EOF at the end.
func (t *table) next() error {
	record, err := t.csv.Read()
	if err != nil {
		return t.wrap(err)
	}
	t.record = record
	t.rows++
	return nil
}

// wrap names the file and the line of an error of the csv or gzip reader.
func (t *table) wrap(err error) error {
	var parse *csv.ParseError
	switch {
	case errors.Is(err, io.EOF):
		return err
	case errors.As(err, &parse):
		return &RowError{File: t.in.name, Line: parse.Line, Problem: parse.Err.Error()}
	}
	return t.in.broken(int(t.rows)+1, err)
}

// line is the line on which the current row begins.
func (t *table) line() int {
	if t.record == nil {
		return 1
	}
	line, _ := t.csv.FieldPos(0)
	return line
}

// text returns the i-th of the opened columns. It shares the row's memory: clone it to keep it long.
func (t *table) text(i int) string { return t.record[t.index[i]] }

// id returns a text that must not be empty.
func (t *table) id(i int) (string, error) {
	s := t.text(i)
	if s == "" {
		return "", t.fail(i, "is empty")
	}
	return s, nil
}

func (t *table) integer(i int) (int64, error) {
	n, err := strconv.ParseInt(t.text(i), 10, 64)
	if err != nil {
		return 0, t.fail(i, fmt.Sprintf("%q is not a whole number", t.text(i)))
	}
	return n, nil
}

// seconds reads Unix seconds.
func (t *table) seconds(i int) (time.Time, error) {
	n, err := t.integer(i)
	if err != nil {
		return time.Time{}, err
	}
	return time.Unix(n, 0).UTC(), nil
}

// time reads a date of the layout; one without a zone is taken as UTC.
func (t *table) time(i int, layout string) (time.Time, error) {
	raw := t.text(i)
	if raw == t.dateRaw && raw != "" {
		return t.date, nil
	}
	d, err := time.Parse(layout, raw)
	if err != nil {
		return time.Time{}, t.fail(i, fmt.Sprintf("%q is not a time like %s", raw, layout))
	}
	t.dateRaw, t.date = strings.Clone(raw), d.UTC()
	return t.date, nil
}

// cents reads a decimal amount as hundredths.
func (t *table) cents(i int) (int64, error) {
	c, ok := parseCents(t.text(i))
	if !ok {
		return 0, t.fail(i, fmt.Sprintf("%q is not an amount", t.text(i)))
	}
	return c, nil
}

func (t *table) fail(i int, problem string) error {
	return &RowError{File: t.in.name, Line: t.line(), Column: t.columns[i], Problem: problem}
}

func (t *table) at() (string, int) { return t.in.name, t.line() }
func (t *table) close() error      { return t.in.close() }

// closeAll closes those tables that are open.
func closeAll(tables ...*table) error {
	var errs []error
	for _, t := range tables {
		if t != nil {
			errs = append(errs, t.close())
		}
	}
	return errors.Join(errs...)
}

// parseCents reads a decimal number exactly and rounds it to hundredths, half away from zero.
func parseCents(s string) (int64, bool) {
	digits, negative := strings.CutPrefix(s, "-")
	whole, fraction, dotted := strings.Cut(digits, ".")
	if whole == "" || len(whole) > 13 || dotted && fraction == "" {
		return 0, false
	}
	var c int64
	for _, r := range whole {
		if r < '0' || r > '9' {
			return 0, false
		}
		c = c*10 + int64(r-'0')
	}
	c *= 100
	for i, r := range fraction {
		if r < '0' || r > '9' {
			return 0, false
		}
		switch d := int64(r - '0'); i {
		case 0:
			c += 10 * d
		case 1:
			c += d
		case 2:
			c += d / 5
		}
	}
	if negative {
		c = -c
	}
	return c, true
}

// perUnit divides an amount by a positive quantity, rounding half away from zero.
func perUnit(amount, quantity int64) int64 {
	if amount < 0 {
		return -perUnit(-amount, quantity)
	}
	return (2*amount + quantity) / (2 * quantity)
}
