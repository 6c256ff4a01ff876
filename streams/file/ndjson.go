package file

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/sartorhq/sartor/streams/codec"
)

// ndjson reads native events, one a line, in the order of the file.
type ndjson struct {
	in   *input
	br   *bufio.Reader
	line int
}

func openNDJSON(path string) (reader, error) {
	path, err := locate(path, "events.ndjson", "events.jsonl")
	if err != nil {
		return nil, err
	}
	in, err := openInput(path)
	if err != nil {
		return nil, err
	}
	// The buffer bounds the length of a line; the line end is on top.
	return &ndjson{in: in, br: bufio.NewReaderSize(in, codec.MaxBytes+2)}, nil
}

// read takes one line; empty lines are none.
func (r *ndjson) read(s *Source) error {
	text, err := r.br.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		return &RowError{File: r.in.name, Line: r.line + 1, Problem: fmt.Sprintf("the line is longer than %d bytes", codec.MaxBytes)}
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return r.in.broken(r.line, err)
	}
	r.line++
	if r.line == 1 {
		text = bytes.TrimPrefix(text, []byte("\ufeff"))
	}
	if text = bytes.TrimSpace(text); len(text) == 0 {
		return err
	}
	s.row()
	e, decodeErr := codec.Decode(text)
	if decodeErr != nil {
		return &RowError{File: r.in.name, Line: r.line, Problem: decodeErr.Error()}
	}
	if e.ID == "" {
		// A replay after a crash sends lines again: only an id makes that harmless.
		e.ID = fmt.Sprintf("%s-%d", r.in.name, r.line)
	}
	if emitErr := s.emit(e); emitErr != nil {
		return emitErr
	}
	return err
}

func (r *ndjson) at() (string, int) { return r.in.name, r.line }
func (r *ndjson) close() error      { return r.in.close() }
