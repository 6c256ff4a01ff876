package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

// partOf is where a run that can be continued writes until it is whole.
func partOf(name string) string { return name + ".part" }

// checkResume refuses what cannot be continued.
func (m *mailing) checkResume() error {
	format, err := formatOf(m.out)
	switch {
	case err != nil:
		return err
	case !m.resume:
		return nil
	case m.out == "-":
		return usagef("--resume: standard output cannot be continued: name a file that ends in .ndjson")
	case m.users == "-":
		return usagef("--resume: standard input cannot be read again: name a file of users")
	case format == listParquet:
		return usagef("--resume: a Parquet file cannot be continued, because its index is written last: write .ndjson, or leave --resume away")
	}
	return nil
}

// resumeLists opens what an earlier run has left of a file of lists, or a new one, for more of them: behind the
// last complete line. It takes the users from in whose lists are there, and returns how many they are; each must
// be the one whose list it is.
func resumeLists(name, scenario string, in *userFile) (l *listFile, done int, err error) {
	f, err := os.OpenFile(partOf(name), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, 0, fmt.Errorf("--out: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close())
		}
	}()
	end, lines := int64(0), bufio.NewReaderSize(f, 1<<16)
	for {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			break // without its end, a line was being written when the run was stopped
		}
		if err != nil {
			return nil, 0, fmt.Errorf("read %s: %w", f.Name(), err)
		}
		done++
		if err := sameUser(line, scenario, in); err != nil {
			return nil, 0, fmt.Errorf("%s:%d: %w: delete the file to start again", f.Name(), done, err)
		}
		end += int64(len(line))
	}
	if err := f.Truncate(end); err != nil {
		return nil, 0, fmt.Errorf("cut off the unfinished line of %s: %w", f.Name(), err)
	}
	if _, err := f.Seek(end, io.SeekStart); err != nil {
		return nil, 0, fmt.Errorf("continue %s: %w", f.Name(), err)
	}
	return &listFile{name: name, file: f, keep: true, buffer: bufio.NewWriterSize(f, 1<<16)}, done, nil
}

// sameUser holds a line that is there to the next user.
func sameUser(line []byte, scenario string, in *userFile) error {
	var is listLine
	if err := json.Unmarshal(line, &is); err != nil {
		return errors.New("not a list")
	}
	if is.Scenario != scenario {
		return fmt.Errorf("a list of the scenario %s, and this run is for %s", is.Scenario, scenario)
	}
	user, err := in.next()
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("one list more than %s has users", in.name)
	}
	if err != nil {
		return err
	}
	if is.UserID != user.UserID || is.AnonymousID != user.AnonymousID {
		return fmt.Errorf("the list of another user than the one at %s, so the file of users has changed", user.where)
	}
	return nil
}
