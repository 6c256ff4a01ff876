package train

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/parquet-go/parquet-go"

	"github.com/sartorhq/sartor/streams"
)

// The parts of a prepared log.
const (
	PartTrain      = "train"
	PartValidation = "validation"
	PartTest       = "test"
	PartStrong     = "strong" // all events of users who are left out of the other parts: strong generalisation
	PartDocument   = "document"
)

// SplitOptions say how a prepared log is parted. The zero value of a field means its default.
type SplitOptions struct {
	Validation float64 // share of the events, newest before the test part; default 0.1
	Test       float64 // share of the events, the newest; default 0.1
	Strong     float64 // share of the users; default 0
	Seed       uint64  // which users
}

// The numbers under which parts are counted.
const (
	partTrain = iota
	partValidation
	partTest
	partStrong
	partDocument
	partCount
)

func partNames() [partCount]string {
	return [partCount]string{PartTrain, PartValidation, PartTest, PartStrong, PartDocument}
}

// Splitter parts a log by time: it counts events by the hour in a first pass and places the cuts between
// hours. Memory grows with the hours and the items (16 bytes each and a hash table's air).
type Splitter struct {
	o      SplitOptions
	salt   string // of the choice of users
	hasher hasher
	hours  map[int64]int64
	hour   int64 // the one that inHour counts, until another comes
	inHour int64
	first  byHash[int64] // Unix milliseconds of the first event of an item, for new items
	fresh  int           // items that come up in the test part only
	cuts   [2]int64      // beginnings of validation and test, Unix milliseconds
	ready  bool
	count  [partCount]int64
}

// NewSplitter returns a splitter, or what is wrong with the options.
func NewSplitter(o SplitOptions) (*Splitter, error) {
	if o.Validation == 0 && o.Test == 0 {
		o.Validation, o.Test = 0.1, 0.1
	}
	if !(o.Validation >= 0 && o.Test >= 0 && o.Validation+o.Test < 1 && o.Strong >= 0 && o.Strong < 1) {
		return nil, fmt.Errorf("train: shares of %v for validation, %v for the test and %v of the users: need 0 or more, less than 1 together", o.Validation, o.Test, o.Strong)
	}
	return &Splitter{o: o, salt: fmt.Sprintf("%d\x00", o.Seed), hasher: newHasher(), hours: map[int64]int64{}}, nil
}

// Observe sees an event that stays.
func (s *Splitter) Observe(e *streams.Event) {
	if !counted(e) {
		return
	}
	ms := e.Time.UnixMilli()
	if hour := int64(math.Floor(float64(ms) / float64(time.Hour.Milliseconds()))); hour != s.hour {
		s.endHour()
		s.hour = hour
	}
	s.inHour++
	for i := range e.Items {
		if at, fresh := s.first.at(s.hasher.text(e.Items[i].ItemID)); fresh || ms < *at {
			*at = ms
		}
	}
}

func (s *Splitter) endHour() {
	if s.inHour > 0 {
		s.hours[s.hour] += s.inHour
		s.inHour = 0
	}
}

// cut places the cuts.
func (s *Splitter) cut() {
	s.ready = true
	s.endHour()
	total := int64(0)
	hours := make([]int64, 0, len(s.hours))
	for h, n := range s.hours {
		hours = append(hours, h)
		total += n
	}
	slices.Sort(hours)
	s.cuts = [2]int64{math.MaxInt64, math.MaxInt64}
	sum := int64(0)
	for _, h := range hours {
		begin := h * time.Hour.Milliseconds()
		if s.cuts[0] == math.MaxInt64 && float64(sum) >= (1-s.o.Validation-s.o.Test)*float64(total) {
			s.cuts[0] = begin
		}
		if s.cuts[1] == math.MaxInt64 && float64(sum) >= (1-s.o.Test)*float64(total) {
			s.cuts[1] = begin
		}
		sum += s.hours[h]
	}
	for _, at := range s.first.all() {
		if *at >= s.cuts[1] {
			s.fresh++
		}
	}
}

// Part returns the part of an event, after all were observed.
func (s *Splitter) Part(e *streams.Event) string {
	if !s.ready {
		s.cut()
	}
	part, ms := partTrain, e.Time.UnixMilli()
	switch {
	case !counted(e):
		part = partDocument
	case s.o.Strong > 0 && s.strong(e.Subject()):
		part = partStrong
	case ms >= s.cuts[1]:
		part = partTest
	case ms >= s.cuts[0]:
		part = partValidation
	}
	s.count[part]++
	return partNames()[part]
}

// strong tells whether the user is one of those who are left out.
func (s *Splitter) strong(user string) bool {
	// FNV's high bits are poor for short texts: a multiplication spreads them.
	return float64((fnv1a(s.salt, user)*0x9E3779B97F4A7C15)>>11)/(1<<53) < s.o.Strong
}

// fnv1a is FNV-1a of 64 bits over two texts; hash/fnv would copy them for each event.
func fnv1a(a, b string) uint64 {
	sum := uint64(14695981039346656037)
	for _, text := range [2]string{a, b} {
		for i := range len(text) {
			sum = (sum ^ uint64(text[i])) * 1099511628211
		}
	}
	return sum
}

// Cold tells whether an item comes up in the test part only.
func (s *Splitter) Cold(item string) bool {
	at := s.first.find(s.hasher.text(item))
	return at != nil && *at >= s.cuts[1]
}

// SplitReport says how a log was parted.
type SplitReport struct {
	Validation time.Time        `json:"validation_from"`
	Test       time.Time        `json:"test_from"`
	Events     map[string]int64 `json:"events"` // by part
	Cold       int              `json:"cold_items"`
}

// Report says how the log was parted.
func (s *Splitter) Report() SplitReport {
	r := SplitReport{Events: map[string]int64{}, Cold: s.fresh}
	for part, n := range s.count {
		if n > 0 {
			r.Events[partNames()[part]] = n
		}
	}
	for i, to := range []*time.Time{&r.Validation, &r.Test} {
		if s.cuts[i] != math.MaxInt64 {
			*to = time.UnixMilli(s.cuts[i]).UTC()
		}
	}
	return r
}

// PreparedRow is one line of an event in the columnar standard format; events without lines have one row
// with an empty item. Rows of one event stand together and share Event.
type PreparedRow struct {
	Event       int64   `parquet:"event,delta"` // counts events from 0
	Part        string  `parquet:"part,dict"`
	Cold        bool    `parquet:"cold"` // the item comes up in the test part only
	ID          string  `parquet:"event_id"`
	Type        string  `parquet:"type,dict"`
	Time        int64   `parquet:"time,delta,timestamp(millisecond)"`
	UserID      string  `parquet:"user_id,dict"`
	AnonymousID string  `parquet:"anonymous_id,dict"`
	SessionID   string  `parquet:"session_id,dict"`
	OrderID     string  `parquet:"order_id,dict"`
	ItemID      string  `parquet:"item_id,dict"`
	Quantity    int64   `parquet:"quantity"`
	Price       int64   `parquet:"price"` // minor units
	Position    int32   `parquet:"position"`
	Currency    string  `parquet:"currency,dict"`
	Total       *int64  `parquet:"total,optional"`
	Rating      float64 `parquet:"rating"`
	Query       string  `parquet:"query,dict"`
	Country     string  `parquet:"country,dict"`
	Scenario    string  `parquet:"scenario,dict"`
	Attributes  string  `parquet:"attributes"` // JSON
}

// rowGroup bounds the rows that the writer holds, rowBatch those that it hands on together.
const (
	rowGroup = 1 << 16
	rowBatch = 256
)

// PreparedWriter writes events as Parquet, which Spark, pandas and DuckDB read, too. Memory is bounded by a
// group of rows. Close ends the file.
type PreparedWriter struct {
	w      *parquet.GenericWriter[PreparedRow]
	buffer []PreparedRow
	events int64
	split  *Splitter
}

// NewPreparedWriter writes to w; split may be nil.
func NewPreparedWriter(w io.Writer, split *Splitter) *PreparedWriter {
	o := []parquet.WriterOption{parquet.Compression(&parquet.Zstd), parquet.MaxRowsPerRowGroup(rowGroup)}
	for _, id := range []string{"event_id", "user_id", "anonymous_id", "session_id", "order_id", "item_id", "query", "attributes"} {
		o = append(o, parquet.SkipPageBounds(id)) // every page has ids from first to last: the bounds would tell a reader nothing
	}
	return &PreparedWriter{split: split, w: parquet.NewGenericWriter[PreparedRow](w, o...)}
}

// Write appends an event, of which texts are kept until its group of rows is written.
func (p *PreparedWriter) Write(e *streams.Event) error {
	first := len(p.buffer)
	p.buffer = append(p.buffer, PreparedRow{Event: p.events, Part: PartTrain, ID: e.ID, Type: string(e.Type), Time: e.Time.UnixMilli(), UserID: e.UserID,
		AnonymousID: e.AnonymousID, SessionID: e.SessionID, OrderID: e.OrderID, Currency: e.Currency, Total: e.Total, Rating: e.Rating, Query: e.Query,
		Country: e.Country, Scenario: e.Scenario})
	row := &p.buffer[first]
	if len(e.Attributes) > 0 {
		text, err := json.Marshal(e.Attributes)
		if err != nil {
			return fmt.Errorf("write event %d: %w", p.events, err)
		}
		row.Attributes = string(text)
	}
	if p.split != nil {
		row.Part = p.split.Part(e)
	}
	p.events++
	for i, line := range e.Items {
		if i > 0 {
			p.buffer = append(p.buffer, p.buffer[first])
		}
		r := &p.buffer[first+i]
		r.ItemID, r.Quantity, r.Price, r.Position = line.ItemID, line.Quantity, line.Price, int32(line.Position)
		r.Cold = p.split != nil && p.split.Cold(line.ItemID)
	}
	if len(p.buffer) < rowBatch {
		return nil
	}
	return p.flush()
}

func (p *PreparedWriter) flush() error {
	_, err := p.w.Write(p.buffer)
	clear(p.buffer)
	p.buffer = p.buffer[:0]
	return err
}

// Close writes what is left and the footer.
func (p *PreparedWriter) Close() error { return errors.Join(p.flush(), p.w.Close()) }

// ReadPrepared calls add with the events of a prepared log, in order, whose part is among the given ones;
// without parts, with all. Memory is bounded by a group of rows. An error of add ends reading.
func ReadPrepared(r io.ReaderAt, size int64, parts []string, add func(*streams.Event) error) (err error) {
	defer func() { // the library panics at pages that lie about their size
		if p := recover(); p != nil {
			err = fmt.Errorf("read prepared log: the file is damaged: %v", p)
		}
	}()
	f, err := parquet.OpenFile(r, size, parquet.SkipBloomFilters(true))
	if err != nil {
		return fmt.Errorf("read prepared log: this is no Parquet file, or it was not copied to its end: %w", err)
	}
	if _, ok := f.Schema().Lookup("attributes"); !ok {
		return fmt.Errorf("read prepared log: this Parquet file was not written by 'sartor data prepare'")
	}
	rows := parquet.NewGenericReader[PreparedRow](f)
	defer func() { err = errors.Join(err, rows.Close()) }()
	buffer := make([]PreparedRow, 1024)
	var now streams.Event
	last, open := int64(-1), false
	emit := func() error {
		if !open {
			return nil
		}
		open = false
		return add(&now)
	}
	for {
		n, err := rows.Read(buffer)
		for i := range buffer[:n] {
			row := &buffer[i]
			if len(parts) > 0 && !slices.Contains(parts, row.Part) {
				continue
			}
			if row.Event != last || !open {
				if err := emit(); err != nil {
					return err
				}
				if now, err = row.event(); err != nil {
					return fmt.Errorf("read prepared log: event %d: %w", row.Event, err)
				}
				last, open = row.Event, true
			}
			if row.ItemID != "" {
				now.Items = append(now.Items, streams.Line{ItemID: strings.Clone(row.ItemID), Quantity: row.Quantity, Price: row.Price, Position: int(row.Position)})
			}
		}
		if errors.Is(err, io.EOF) {
			return emit()
		}
		if err != nil {
			return fmt.Errorf("read prepared log: %w", err)
		}
	}
}

// event turns a row into an event without lines.
func (r *PreparedRow) event() (streams.Event, error) {
	c := strings.Clone // the row's texts are pieces of a page
	e := streams.Event{ID: c(r.ID), Type: streams.Type(c(r.Type)), Time: time.UnixMilli(r.Time).UTC(), UserID: c(r.UserID), AnonymousID: c(r.AnonymousID),
		SessionID: c(r.SessionID), OrderID: c(r.OrderID), Currency: c(r.Currency), Total: r.Total, Rating: r.Rating, Query: c(r.Query), Country: c(r.Country), Scenario: c(r.Scenario)}
	if e.Type.Stream() == "" {
		return e, fmt.Errorf("%q is no type of event", r.Type)
	}
	if r.Attributes != "" {
		if err := json.Unmarshal([]byte(r.Attributes), &e.Attributes); err != nil {
			return e, fmt.Errorf("attributes: %w", err)
		}
	}
	return e, nil
}
