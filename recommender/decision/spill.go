package decision

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/sartorhq/sartor/streams"
)

// maxSpillLine bounds one event: a list of a hundred items takes a tenth of it.
const maxSpillLine = 1 << 20

// spill is a file of events that could not be written, one JSON object a line, first in first out. It
// survives the process: what a crash leaves is written by the next one. It is used by one goroutine. Its
// zero value with no path keeps nothing.
type spill struct {
	path string
	max  int64 // bytes
	size int64 // of the file
	done int64 // bytes at the front that were written
	file *os.File
}

// open finds what an earlier process left.
func (s *spill) open() error {
	if s.path == "" {
		return nil
	}
	f, err := os.OpenFile(s.path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("open the file of waiting exposures: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		return errors.Join(fmt.Errorf("open the file of waiting exposures: %w", err), f.Close())
	}
	s.file, s.size, s.done = f, info.Size(), 0
	// A process that was killed may have left half a line, which must not swallow the next one.
	last := []byte{'\n'}
	if s.size > 0 {
		_, err = f.ReadAt(last, s.size-1)
	}
	if err == nil && last[0] != '\n' {
		_, err = f.WriteAt([]byte{'\n'}, s.size)
		s.size++
	}
	if err != nil {
		s.file = nil
		return errors.Join(fmt.Errorf("open the file of waiting exposures: %w", err), f.Close())
	}
	return nil
}

func (s *spill) waiting() bool { return s.file != nil && s.done < s.size }

// put appends events and returns how many it took: all that fit.
func (s *spill) put(events []streams.Event) (taken int, err error) {
	if s.file == nil {
		return 0, nil
	}
	var text []byte
	for i := range events {
		line, err := json.Marshal(&events[i])
		if err != nil {
			return 0, fmt.Errorf("keep exposures: %w", err) // no attribute of ours can do that
		}
		if s.size+int64(len(text)+len(line)+1) > s.max {
			break
		}
		text = append(append(text, line...), '\n')
		taken++
	}
	n, err := s.file.WriteAt(text, s.size)
	if err != nil {
		// Half a line is in the file at most behind its end: the next one is written over it.
		return 0, fmt.Errorf("keep exposures: %w", err)
	}
	s.size += int64(n)
	return taken, nil
}

// next reads up to n events from the front. skipped counts lines that are no events: the last one of a
// process that was killed. Call written with bytes once they are safe.
func (s *spill) next(n int) (events []streams.Event, skipped int, bytes int64, err error) {
	lines := bufio.NewReaderSize(io.NewSectionReader(s.file, s.done, s.size-s.done), 64<<10)
	for len(events) < n {
		line, err := lines.ReadBytes('\n')
		if len(line) == 0 && errors.Is(err, io.EOF) {
			break
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, 0, 0, fmt.Errorf("read kept exposures: %w", err)
		}
		bytes += int64(len(line))
		var e streams.Event
		if len(line) > maxSpillLine || json.Unmarshal(line, &e) != nil || e.Type != streams.Exposure || e.ID == "" {
			skipped++
			continue
		}
		events = append(events, e)
	}
	return events, skipped, bytes, nil
}

// written forgets bytes from the front; when nothing waits any more the file is emptied.
func (s *spill) written(bytes int64) error {
	if s.done += bytes; s.done < s.size {
		return nil
	}
	s.done, s.size = 0, 0
	if err := s.file.Truncate(0); err != nil {
		return fmt.Errorf("empty the file of waiting exposures: %w", err)
	}
	return nil
}

// close keeps what waits for the next process, without what was written.
func (s *spill) close() error {
	if s.file == nil {
		return nil
	}
	defer func() { s.file = nil }()
	if s.done == 0 {
		return s.file.Close()
	}
	rest, err := io.ReadAll(io.NewSectionReader(s.file, s.done, s.size-s.done))
	if err != nil {
		return errors.Join(fmt.Errorf("keep exposures: %w", err), s.file.Close())
	}
	// A process killed in here writes some exposures twice; their ids are the same.
	_, err = s.file.WriteAt(rest, 0)
	return errors.Join(err, s.file.Truncate(int64(len(rest))), s.file.Close())
}
