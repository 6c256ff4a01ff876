package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/parquet-go/parquet-go"

	"github.com/sartorhq/sartor/recommender"
	"github.com/sartorhq/sartor/recommender/httpapi"
)

// listFormat is how lists are written.
type listFormat string

const (
	listNDJSON  listFormat = "ndjson"
	listParquet listFormat = "parquet"
)

func formatOf(name string) (listFormat, error) {
	switch ext := strings.ToLower(filepath.Ext(name)); {
	case name == "-", ext == ".ndjson", ext == ".jsonl":
		return listNDJSON, nil
	case ext == ".parquet":
		return listParquet, nil
	}
	return "", usagef("--out %s: the name must end in .ndjson, .jsonl or .parquet", name)
}

// listRow is one item of a list in Parquet.
type listRow struct {
	UserID           string   `parquet:"user_id,dict"`
	AnonymousID      string   `parquet:"anonymous_id,dict"`
	Scenario         string   `parquet:"scenario,dict"`
	RecommendationID string   `parquet:"recommendation_id"`
	Position         int32    `parquet:"position"`
	ItemID           string   `parquet:"item_id,dict"`
	Score            float64  `parquet:"score"`
	Source           string   `parquet:"source,dict"`
	Reasons          []string `parquet:"reasons,list"`
	Fields           string   `parquet:"fields,optional"` // JSON; null without --fields
	ServedBy         string   `parquet:"served_by,dict"`
	Degraded         []string `parquet:"degraded,list"`
}

// listLine is one user in NDJSON.
type listLine struct {
	UserID         string          `json:"user_id,omitempty"`
	AnonymousID    string          `json:"anonymous_id,omitempty"`
	Scenario       string          `json:"scenario"`
	Recommendation json.RawMessage `json:"recommendation"`
}

// parquetGroup is how many rows of Parquet are kept in memory until they are written.
const parquetGroup = 50_000

// listFile writes lists to a file beside its name, and gives it the name when it is whole.
type listFile struct {
	name    string
	file    *os.File // nil for standard output
	buffer  *bufio.Writer
	parquet *parquet.GenericWriter[listRow] // nil for NDJSON
	rows    int
	keep    bool // what is written when it is given up
}

// openLists opens the output of a mailing. Done is the number of users who have their list from an earlier run;
// they are taken from in.
func openLists(m mailing, in *userFile, stdout io.Writer) (l *listFile, done int, err error) {
	if m.resume {
		return resumeLists(m.out, m.scenario, in)
	}
	l, err = createLists(m.out, stdout)
	return l, 0, err
}

func createLists(name string, stdout io.Writer) (*listFile, error) {
	format, err := formatOf(name)
	if err != nil {
		return nil, err
	}
	l := &listFile{name: name}
	if name == "-" {
		l.buffer = bufio.NewWriter(stdout)
		return l, nil
	}
	if info, err := os.Stat(name); err == nil && info.IsDir() { // else told when all the work is done
		return nil, fmt.Errorf("--out: %s is a folder: name a file in it", name)
	}
	if l.file, err = os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*.part"); err != nil {
		return nil, fmt.Errorf("--out: %w", err)
	}
	l.buffer = bufio.NewWriterSize(l.file, 1<<16)
	if format == listParquet {
		l.parquet = parquet.NewGenericWriter[listRow](l.buffer, parquet.Compression(&parquet.Zstd), parquet.CreatedBy("sartor", "1", "recommend"))
	}
	return l, nil
}

// write writes one user's list.
func (l *listFile) write(user mailingUser, scenario string, r *recommender.Response) error {
	if l.parquet != nil {
		return l.writeRows(user, scenario, r)
	}
	answer, err := httpapi.MarshalRecommendation(r)
	if err != nil {
		return err
	}
	line, err := json.Marshal(listLine{UserID: user.UserID, AnonymousID: user.AnonymousID, Scenario: scenario, Recommendation: answer})
	if err != nil {
		return fmt.Errorf("encode a list: %w", err)
	}
	if _, err := l.buffer.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("write %s: %w", l.name, err)
	}
	return nil
}

func (l *listFile) writeRows(user mailingUser, scenario string, r *recommender.Response) error {
	rows := make([]listRow, len(r.Items))
	for i, it := range r.Items {
		rows[i] = listRow{UserID: user.UserID, AnonymousID: user.AnonymousID, Scenario: scenario, RecommendationID: r.RecommendationID, Position: int32(i + 1),
			ItemID: it.ItemID, Score: it.Score, Source: it.Source, Reasons: it.Reasons, ServedBy: string(r.ServedBy), Degraded: r.Degraded}
		if it.Fields != nil {
			fields, err := json.Marshal(it.Fields)
			if err != nil {
				return fmt.Errorf("encode the fields of an item: %w", err)
			}
			rows[i].Fields = string(fields)
		}
	}
	if _, err := l.parquet.Write(rows); err != nil {
		return fmt.Errorf("write %s: %w", l.name, err)
	}
	if l.rows += len(rows); l.rows >= parquetGroup {
		l.rows = 0
		if err := l.parquet.Flush(); err != nil {
			return fmt.Errorf("write %s: %w", l.name, err)
		}
	}
	return nil
}

// finish makes what was written safe and gives it its name.
func (l *listFile) finish() error {
	var err error
	if l.parquet != nil {
		err = l.parquet.Close()
	}
	if err = errors.Join(err, l.buffer.Flush()); l.file == nil || err != nil {
		return l.failed(err)
	}
	if err := errors.Join(l.file.Chmod(0o644), l.file.Sync(), l.file.Close(), os.Rename(l.file.Name(), l.name)); err != nil {
		return l.failed(err)
	}
	return nil
}

func (l *listFile) failed(err error) error {
	if err == nil {
		return nil
	}
	return errors.Join(fmt.Errorf("write %s: %w", l.name, err), l.abandon())
}

// abandon leaves nothing behind, or what --resume goes on from. To standard output it can only stop.
func (l *listFile) abandon() error {
	if l.file == nil {
		return nil
	}
	if l.keep {
		if err := errors.Join(l.buffer.Flush(), l.file.Close()); err != nil {
			return fmt.Errorf("keep %s: %w", l.file.Name(), err)
		}
		return fmt.Errorf("what is done is kept in %s: the same command goes on from there", l.file.Name())
	}
	if err := l.file.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		return err
	}
	if err := os.Remove(l.file.Name()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
