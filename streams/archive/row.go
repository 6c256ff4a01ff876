package archive

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/parquet-go/parquet-go"

	"github.com/sartorhq/sartor/streams"
)

// row is one event as a line of a file. The topic and the day are in the file's path. Texts that the
// event does not have are null.
type row struct {
	Offset           int64   `parquet:"offset,delta"`
	Partition        int32   `parquet:"partition,dict"`
	EventID          string  `parquet:"event_id,optional"`
	Type             string  `parquet:"type,dict"`
	Time             int64   `parquet:"time,timestamp(millisecond)"`
	UserID           string  `parquet:"user_id,optional,dict"`
	AnonymousID      string  `parquet:"anonymous_id,optional,dict"`
	SessionID        string  `parquet:"session_id,optional,dict"`
	Items            []line  `parquet:"items,list"`
	Currency         string  `parquet:"currency,optional,dict"`
	OrderID          string  `parquet:"order_id,optional"`
	Total            *int64  `parquet:"total_minor,optional"`
	Query            string  `parquet:"query,optional"`
	Rating           float64 `parquet:"rating,optional"`
	Country          string  `parquet:"country,optional,dict"`
	Scenario         string  `parquet:"scenario,optional,dict"`
	RecommendationID string  `parquet:"recommendation_id,optional"`
	Attributes       string  `parquet:"attributes,optional"` // a JSON object
}

// line is one item of an event.
type line struct {
	ItemID   string `parquet:"item_id,dict"`
	Quantity int64  `parquet:"quantity"`
	Price    int64  `parquet:"price_minor"`
	Position int32  `parquet:"position"`
}

// rowOf returns the record as a row.
func rowOf(r *streams.Record) (row, error) {
	e := &r.Event
	out := row{Offset: r.Offset, Partition: int32(r.Partition), EventID: e.ID, Type: string(e.Type), Time: e.Time.UnixMilli(),
		UserID: e.UserID, AnonymousID: e.AnonymousID, SessionID: e.SessionID, Currency: e.Currency, OrderID: e.OrderID, Total: e.Total,
		Query: e.Query, Rating: e.Rating, Country: e.Country, Scenario: e.Scenario, RecommendationID: e.RecommendationID}
	for _, l := range e.Items {
		out.Items = append(out.Items, line{l.ItemID, l.Quantity, l.Price, int32(l.Position)})
	}
	if e.Attributes != nil {
		data, err := json.Marshal(e.Attributes)
		if err != nil {
			return row{}, fmt.Errorf("the attributes of the event at offset %d: %w", r.Offset, err)
		}
		out.Attributes = string(data)
	}
	return out, nil
}

// record returns the row as the record that it was.
func (w *row) record(topic string) (streams.Record, error) {
	e := streams.Event{ID: w.EventID, Type: streams.Type(w.Type), Time: time.UnixMilli(w.Time).UTC(),
		UserID: w.UserID, AnonymousID: w.AnonymousID, SessionID: w.SessionID, Currency: w.Currency, OrderID: w.OrderID, Total: w.Total,
		Query: w.Query, Rating: w.Rating, Country: w.Country, Scenario: w.Scenario, RecommendationID: w.RecommendationID}
	if len(w.Items) > 0 {
		e.Items = make([]streams.Line, len(w.Items))
		for i, l := range w.Items {
			e.Items[i] = streams.Line{ItemID: l.ItemID, Quantity: l.Quantity, Price: l.Price, Position: int(l.Position)}
		}
	}
	if w.Attributes != "" {
		if err := json.Unmarshal([]byte(w.Attributes), &e.Attributes); err != nil {
			return streams.Record{}, fmt.Errorf("the attributes at offset %d: %w", w.Offset, err)
		}
	}
	return streams.Record{Position: streams.Position{Topic: topic, Partition: int(w.Partition), Offset: w.Offset}, Event: e}, nil
}

// encode returns the records as a Parquet file.
func encode(records []streams.Record) ([]byte, error) {
	var out bytes.Buffer
	w := parquet.NewGenericWriter[row](&out, parquet.Compression(&parquet.Zstd), parquet.CreatedBy("sartor", "1", "archive"))
	const chunk = 1024
	rows := make([]row, 0, chunk)
	flush := func() error {
		_, err := w.Write(rows)
		rows = rows[:0]
		return err
	}
	for i := range records {
		r, err := rowOf(&records[i])
		if err != nil {
			return nil, err
		}
		if rows = append(rows, r); len(rows) == chunk {
			if err := flush(); err != nil {
				return nil, fmt.Errorf("encode Parquet: %w", err)
			}
		}
	}
	if err := errors.Join(flush(), w.Close()); err != nil {
		return nil, fmt.Errorf("encode Parquet: %w", err)
	}
	return out.Bytes(), nil
}

// fileReader decodes a Parquet file bit by bit.
type fileReader struct {
	file    file
	topic   string
	reader  *parquet.GenericReader[row]
	records []streams.Record // decoded and not taken
	read    int
	ended   bool
}

// openFile begins to decode a file; one with a negative number of events may have any.
func openFile(topic string, f file, data []byte) (r *fileReader, err error) {
	defer noPanic(&err)
	p, err := parquet.OpenFile(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return nil, fmt.Errorf("decode Parquet: %w", err)
	}
	return &fileReader{file: f, topic: topic, reader: parquet.NewGenericReader[row](p)}, nil
}

// noPanic turns a panic into an error: parquet-go panics on some files that are cut or edited.
func noPanic(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("decode Parquet: %v", p)
	}
}

// head returns the next record, nil at the end.
func (r *fileReader) head() (rec *streams.Record, err error) {
	for len(r.records) == 0 && !r.ended {
		if err := r.decode(); err != nil {
			return nil, err
		}
	}
	if len(r.records) == 0 {
		return nil, nil
	}
	return &r.records[0], nil
}

// take returns the record that head has shown.
func (r *fileReader) take() *streams.Record {
	first := &r.records[0]
	r.records = r.records[1:]
	return first
}

// decode reads some rows.
func (r *fileReader) decode() (err error) {
	defer noPanic(&err)
	rows := make([]row, 256) // anew: the rows' texts and lists are the records'
	n, err := r.reader.Read(rows)
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("decode Parquet: %w", err)
	}
	r.ended = errors.Is(err, io.EOF)
	r.records = make([]streams.Record, n)
	for i := range rows[:n] {
		if r.records[i], err = rows[i].record(r.topic); err != nil {
			return err
		}
	}
	if r.read += n; r.file.Events >= 0 && (r.read > r.file.Events || r.ended && r.read < r.file.Events) {
		return fmt.Errorf("it holds %d events, and its claim says %d: it was edited", r.read, r.file.Events)
	}
	return nil
}

// close lets go of the decoder.
func (r *fileReader) close() { _ = r.reader.Close() }
