package file

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sartorhq/sartor/streams"
	"github.com/sartorhq/sartor/streams/codec"
	"github.com/sartorhq/sartor/streams/foreign"
)

// mapped reads the files that a mapping names: first what items and users are, as of the first event, then the events in order of
// time. Unless the mapping says that the files are in that order, all events are held in memory.
type mapped struct {
	m         *mapping
	documents []*mappedTable
	events    []*mappedTable
	now       *mappedTable
	pending   *streams.Event  // an order whose lines may go on
	count     map[string]int  // events of each order, by their id
	ready     []streams.Event // to be returned next
	held      heldEvents      // of files that are in no order: all events
	loaded    bool
	first     time.Time
	last      time.Time
}

// mappedTable is one file. Its rows are opened when it is its turn, so that a folder of thousands of parts does not hold thousands of
// open files.
type mappedTable struct {
	*mappedFile
	path string
	rows tableRows
	row  int64
	// left is the order whose lines are left out, and why.
	left struct{ order, column, value string }
	// emptyLines are the lines of quantity 0 of the current row of several lines.
	emptyLines int
}

func openMapped(path string) (reader, error) {
	m, err := readMapping(path)
	if err != nil {
		return nil, err
	}
	r := &mapped{m: m, count: map[string]int{}}
	for i := range m.Files {
		f := &m.Files[i]
		pattern := f.Path
		if !filepath.IsAbs(pattern) {
			pattern = filepath.Join(filepath.Dir(path), pattern)
		}
		names, err := filepath.Glob(pattern)
		if err != nil || len(names) == 0 {
			return nil, fmt.Errorf("%s: files[%d]: there is no %s", path, i, pattern)
		}
		for _, name := range names {
			t := &mappedTable{mappedFile: f, path: name}
			if err := t.open(); err != nil { // wrong columns are said before anything is read
				return nil, fmt.Errorf("%s: files[%d]: %w", path, i, err)
			}
			if err := t.close(); err != nil {
				return nil, err
			}
			if r.now = t; f.document() && f.Columns["time"] == "" {
				r.documents = append(r.documents, t)
			} else {
				r.events = append(r.events, t)
			}
		}
	}
	return r, nil
}

// open opens the file and checks that it has the columns that are named.
func (t *mappedTable) open() (err error) {
	if t.rows, err = openRows(t.path, t.mappedFile); err != nil {
		return err
	}
	var missing []string
	need := func(column string) {
		if column != "" && !t.rows.has(column) && !slices.Contains(missing, column) {
			missing = append(missing, column)
		}
	}
	need(t.TypeFrom)
	for _, column := range t.Columns {
		need(column)
	}
	for _, column := range t.Document {
		need(column)
	}
	for column := range t.Skip {
		need(column)
	}
	if missing == nil {
		return nil
	}
	slices.Sort(missing)
	text := fmt.Sprintf("%s has no column %s", filepath.Base(t.path), strings.Join(missing, ", "))
	if d, ok := t.rows.(*delimited); ok {
		text += "; it has " + d.names()
	}
	return errors.Join(errors.New(text), t.close())
}

// names lists the columns in their order.
func (t *delimited) names() string {
	names := make([]string, len(t.record))
	for name, i := range t.columns {
		names[i] = name
	}
	return fmt.Sprintf("%q, with %q between", names, t.comma)
}

func (t *mappedTable) close() error {
	if t.rows == nil {
		return nil
	}
	err := t.rows.close()
	t.rows = nil
	return err
}

func (r *mapped) at() (string, int) {
	if r.now.rows == nil {
		return filepath.Base(r.now.path), 1
	}
	return r.now.rows.at()
}

func (r *mapped) close() error {
	var errs []error
	for _, t := range slices.Concat(r.documents, r.events) {
		errs = append(errs, t.close())
	}
	return errors.Join(errs...)
}

// read takes a step: a row, or an event that is held.
func (r *mapped) read(s *Source) error {
	switch {
	case !r.loaded:
		return r.load(s)
	case len(r.documents) > 0:
		return r.document(s)
	case len(r.ready) > 0:
		e := r.ready[0]
		r.ready[0] = streams.Event{} // what was returned need not stay in memory
		r.ready = r.ready[1:]
		s.queue = append(s.queue, e) // add has checked it
		return nil
	case r.held.left() > 0:
		e, err := r.held.take()
		r.ready = append(r.ready[:0], e)
		return err
	case len(r.events) > 0:
		return r.event(s)
	}
	return io.EOF
}

// load reads and sorts all events; of files that are in order only the first, whose time the documents get.
func (r *mapped) load(s *Source) error {
	for len(r.events) > 0 && (!r.m.Sorted || len(r.ready) == 0) {
		if err := r.event(s); err != nil {
			return err
		}
		if r.m.Sorted {
			continue
		}
		for i := range r.ready {
			if err := r.held.add(&r.ready[i]); err != nil {
				return err
			}
		}
		clear(r.ready)
		r.ready = r.ready[:0]
	}
	r.held.sort()
	if r.held.left() > 0 {
		e, err := r.held.take()
		if err != nil {
			return err
		}
		r.ready = append(r.ready, e)
	}
	r.loaded, r.first = true, time.Unix(1, 0).UTC()
	if len(r.ready) > 0 {
		r.first = r.ready[0].Time
	}
	return nil
}

// take reads a row of the first of the files. It returns false at the end of the file, and for a row that is left out.
func (r *mapped) take(s *Source, list *[]*mappedTable) (bool, error) {
	t := (*list)[0]
	if r.now = t; t.rows == nil {
		if err := t.open(); err != nil {
			return false, err
		}
	}
	err := t.rows.next()
	if errors.Is(err, io.EOF) {
		*list = (*list)[1:]
		return false, t.close()
	}
	var wrong *RowError
	if err != nil && !errors.As(err, &wrong) {
		return false, err
	}
	s.row()
	t.row++
	if err != nil {
		return false, r.bad(s, wrong, "broken row")
	}
	if reason := t.skipped(); reason != "" {
		s.skip(reason)
		return false, nil
	}
	return true, nil
}

// skipped returns why the mapping leaves the row out, or "".
func (t *mappedTable) skipped() string {
	order, _ := t.get("order")
	for _, column := range slices.Sorted(maps.Keys(t.Skip)) {
		text, _ := textOf(t.rows.value(column))
		if goesOn := order != "" && order == t.left.order && column == t.left.column; goesOn && text == "" {
			text = t.left.value // exports say the status of an order in its first line only
		}
		if slices.Contains(t.Skip[column], text) {
			t.left.order, t.left.column, t.left.value = order, column, text
			return column + " " + text
		}
	}
	return ""
}

// bad counts a row that cannot be used, or stops, as the mapping says.
func (r *mapped) bad(s *Source, err *RowError, reason string) error {
	if r.m.skipBad {
		s.skip(reason)
		return nil
	}
	if !strings.Contains(err.Problem, "bad_rows") {
		err.Problem += " (bad_rows: skip in the mapping leaves such rows out and counts them)"
	}
	return err
}

// document emits what a row says of an item or user.
func (r *mapped) document(s *Source) error {
	ok, err := r.take(s, &r.documents)
	if !ok {
		return err
	}
	e, problem := r.now.describe(r.m)
	e.Time = r.first
	if problem == nil {
		problem = invalid(&e)
	}
	if problem != nil {
		return r.bad(s, problem.at(r), problem.reason())
	}
	s.queue = append(s.queue, e)
	return nil
}

// event takes a row of what happened. Consecutive rows of one order become one event.
func (r *mapped) event(s *Source) error {
	ok, err := r.take(s, &r.events)
	if !ok {
		if len(r.events) == 0 || r.now.rows == nil { // an order does not go on in the next file
			r.flush()
		}
		return err
	}
	e, leave, problem := r.now.event(r.m, r.pending)
	for ; r.now.emptyLines > 0; r.now.emptyLines-- {
		s.reduced(SkipQuantity)
	}
	if leave != "" {
		s.skip(leave)
		return nil
	}
	if problem == nil {
		problem = invalid(&e)
	}
	if problem == nil && r.m.Sorted && e.Time.Before(r.last) {
		problem = &rowProblem{column: r.now.Columns["time"], kind: "is earlier than in the row before; leave sorted out of the mapping"}
	}
	if problem != nil {
		return r.bad(s, problem.at(r), problem.reason())
	}
	r.last = e.Time
	if p := r.pending; p != nil && sameOrder(p, &e) && len(p.Items)+len(e.Items) <= s.maxLines {
		p.Items = append(p.Items, e.Items...)
		if p.Total == nil {
			p.Total = e.Total
		}
		return nil
	}
	r.flush()
	r.pending = &e
	return nil
}

// sameOrder tells whether two rows are lines of one event.
func sameOrder(a, b *streams.Event) bool {
	return a.Type == b.Type && a.Type.Stream() == streams.Orders && a.OrderID == b.OrderID && a.Subject() == b.Subject() && a.Time.Equal(b.Time) &&
		a.Currency == b.Currency && a.Country == b.Country
}

// flush holds the pending event ready.
func (r *mapped) flush() {
	p := r.pending
	if p == nil {
		return
	}
	r.pending = nil
	id := p.ID
	for i, e := range fitting(*p) {
		if p.Type.Stream() == streams.Orders && p.OrderID != "" || i > 0 {
			n := max(r.count[id], i) + 1
			if r.count[id] = n; n > 1 {
				e.ID = foreign.ID(id, fmt.Sprint(n))
			}
		}
		r.ready = append(r.ready, e)
	}
}

// rowProblem is what is wrong with a row.
type rowProblem struct {
	column, kind string
	value        string // what was there, "" = nothing to show
}

func (p *rowProblem) reason() string {
	kind, _, _ := strings.Cut(p.kind, ":")
	if p.column == "" {
		return kind
	}
	return p.column + " " + kind
}

func (p *rowProblem) at(r *mapped) *RowError {
	file, line := r.at()
	problem := p.kind
	if p.value != "" {
		problem = fmt.Sprintf("%.80q %s", p.value, p.kind)
	}
	return &RowError{File: file, Line: line, Column: p.column, Problem: problem}
}

// invalid returns why no consumer would accept the event. One with many items is judged with one: it may be split.
func invalid(e *streams.Event) *rowProblem {
	problems := codec.Validate(e)
	if problems == nil {
		one := *e
		if one.Items = e.Items[:min(1, len(e.Items))]; tooLarge(&one) {
			return &rowProblem{kind: fmt.Sprintf("the row makes an event of more than %d bytes", codec.MaxBytes)}
		}
		return nil
	}
	texts := make([]string, len(problems))
	for i, p := range problems {
		texts[i] = p.String()
	}
	return &rowProblem{kind: "the row makes no valid event: " + strings.Join(texts, "; ")}
}
