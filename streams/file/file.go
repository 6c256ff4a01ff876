// Package file reads recorded events from files: native NDJSON, the CSV tables of known public data sets, the
// exports of other recommenders and, by a mapping, any table of a shop, for backfill, replay and training. It
// turns rows into events and nothing else: it keeps the recorded times, invents no behaviour, and says of
// each row that is no event why not. How each format is read, trap by trap, is in FORMATS.md.
package file

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/sartorhq/sartor/streams"
	"github.com/sartorhq/sartor/streams/codec"
)

// Format names a file format.
type Format string

// The formats.
const (
	NDJSON          Format = "ndjson"
	OnlineRetail    Format = "online-retail"
	RetailRocket    Format = "retailrocket"
	REES46          Format = "rees46"
	CompleteJourney Format = "completejourney"
	MovieLens1M     Format = "ml-1m"
	LightGCN        Format = "lightgcn"
	SASRec          Format = "sasrec"
	Gorse           Format = "gorse"
	Metarank        Format = "metarank"
	Mapped          Format = "mapped"
)

// Formats lists all formats in a fixed order.
func Formats() []Format {
	return []Format{NDJSON, OnlineRetail, RetailRocket, REES46, CompleteJourney, MovieLens1M, LightGCN, SASRec, Gorse, Metarank, Mapped}
}

// ParseFormat returns the format of that name, or an error that lists the names.
func ParseFormat(name string) (Format, error) {
	if slices.Contains(Formats(), Format(name)) {
		return Format(name), nil
	}
	names := make([]string, 0, len(Formats()))
	for _, f := range Formats() {
		names = append(names, string(f))
	}
	return "", fmt.Errorf("unknown format %q; the formats are %s; mapped reads any CSV, TSV or JSON file by a YAML file that says what its columns mean (streams/file/FORMATS.md)",
		name, strings.Join(names, ", "))
}

// Options of a Source. The zero value is right for use.
type Options struct {
	// MaxLines is where a long order is split into several events. Default, and most: codec.MaxLines.
	MaxLines int
	// Feedback says which events the kinds of feedback are in exports of other recommenders (gorse,
	// metarank); Leave leaves one out. What is not in it is taken by its name, as FORMATS.md says.
	Feedback map[string]streams.Type
}

// Stats tells what became of the rows read so far. Every row either became a line of an event or an
// event of its own, or is counted in Skipped or Reduced.
type Stats struct {
	Rows   int64 // data rows read, of all files
	Events int64 // events returned
	// Skipped counts the rows that left no trace in any event, by reason.
	Skipped map[string]int64
	// Reduced counts the rows of which only a part is in an event, by reason: postage, say, is in the
	// total of its order and is no line.
	Reduced map[string]int64
}

// RowError is a row that cannot be read. The source stops there: a replay that quietly left rows out
// could not be compared with anything.
type RowError struct {
	File    string
	Line    int    // 1-based line of the (unpacked) file
	Column  string // name of the column, "" when the row as a whole is wrong
	Problem string
}

// Error returns "file:line: column: problem".
func (e *RowError) Error() string {
	where := fmt.Sprintf("%s:%d: ", e.File, e.Line)
	if e.Column != "" {
		where += "column " + e.Column + ": "
	}
	return where + e.Problem
}

// reader is one format. read takes a step, which may emit no event, and returns io.EOF at the end.
type reader interface {
	read(s *Source) error
	// at is where the reader stands, for error messages.
	at() (file string, line int)
	close() error
}

// Source returns the events of a recording one by one. It holds a bounded part of the file in memory
// (FORMATS.md says which) and is not safe for concurrent use.
type Source struct {
	r        reader
	maxLines int
	queue    []streams.Event
	head     int
	err      error // sticky
	stats    Stats
}

// Open opens a recording. The path is its (main) file, plain or gzip, or the folder of the data set. A
// file that is missing or has other columns is reported here. Close the source after use.
func Open(format Format, path string, opts Options) (*Source, error) {
	open, ok := map[Format]func(string) (reader, error){
		NDJSON:          openNDJSON,
		OnlineRetail:    openOnlineRetail,
		RetailRocket:    openRetailRocket,
		REES46:          openREES46,
		CompleteJourney: openCompleteJourney,
		MovieLens1M:     openMovieLens,
		LightGCN:        openLightGCN,
		SASRec:          openSASRec,
		Gorse:           func(path string) (reader, error) { return openGorse(path, opts.Feedback) },
		Metarank:        func(path string) (reader, error) { return openMetarank(path, opts.Feedback) },
		Mapped:          openMapped,
	}[format]
	if !ok {
		_, err := ParseFormat(string(format))
		return nil, err
	}
	if err := checkFeedback(opts.Feedback); err != nil {
		return nil, err
	}
	r, err := open(path)
	if err != nil {
		return nil, fmt.Errorf("open %s recording: %w", format, err)
	}
	s := &Source{r: r, maxLines: opts.MaxLines}
	s.stats.Skipped, s.stats.Reduced = map[string]int64{}, map[string]int64{}
	if s.maxLines < 1 || s.maxLines > codec.MaxLines {
		s.maxLines = codec.MaxLines
	}
	return s, nil
}

// Next returns the next event; at the end the error is io.EOF. After any error it keeps returning
// that error.
func (s *Source) Next() (streams.Event, error) {
	for s.head == len(s.queue) {
		if s.err != nil {
			return streams.Event{}, s.err
		}
		clear(s.queue)
		s.queue, s.head = s.queue[:0], 0
		if err := s.r.read(s); err != nil {
			s.err = err
		}
	}
	e := s.queue[s.head]
	s.head++
	s.stats.Events++
	return e, nil
}

// Stats returns what became of the rows so far.
func (s *Source) Stats() Stats {
	st := s.stats
	st.Skipped, st.Reduced = maps.Clone(st.Skipped), maps.Clone(st.Reduced)
	return st
}

// Close closes the files.
func (s *Source) Close() error {
	if s.err == nil || errors.Is(s.err, io.EOF) {
		s.err = errors.New("the recording is closed")
	}
	return s.r.close()
}

// emit queues an event for Next. An event that no consumer would accept stops the source here, where
// the row is still known.
func (s *Source) emit(e streams.Event) error {
	if problems := codec.Validate(&e); len(problems) > 0 {
		file, line := s.r.at()
		texts := make([]string, len(problems))
		for i, p := range problems {
			texts[i] = p.String()
		}
		return &RowError{File: file, Line: line, Problem: "the row makes no valid event: " + strings.Join(texts, "; ")}
	}
	s.queue = append(s.queue, e)
	return nil
}

func (s *Source) row()                  { s.stats.Rows++ }
func (s *Source) skip(reason string)    { s.stats.Skipped[reason]++ }
func (s *Source) reduced(reason string) { s.stats.Reduced[reason]++ }
