package file

import (
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/sartorhq/sartor/streams"
)

// lightGCN reads pairs of user and item. The sets have no times: the n-th row happens n seconds after
// lightGCNStart, so that the order of the file is kept and nothing else is claimed.
type lightGCN struct {
	t      *table
	prefix string
}

var lightGCNStart = time.Date(2010, 1, 1, 0, 0, 0, 0, time.UTC)

func openLightGCN(path string) (reader, error) {
	path, err := locate(path, "train.tsv")
	if err != nil {
		return nil, err
	}
	t, err := openTable(path, '\t', "user_id", "item_id")
	if err != nil {
		return nil, err
	}
	name, _, _ := strings.Cut(filepath.Base(path), ".")
	return &lightGCN{t: t, prefix: name + "-"}, nil
}

func (r *lightGCN) at() (string, int) { return r.t.at() }
func (r *lightGCN) close() error      { return r.t.close() }

// read takes one row: one view.
func (r *lightGCN) read(s *Source) error {
	if err := r.t.next(); err != nil {
		return err
	}
	s.row()
	user, err := r.t.id(0)
	if err != nil {
		return err
	}
	item, err := r.t.id(1)
	if err != nil {
		return err
	}
	return s.emit(streams.Event{ID: r.prefix + strconv.FormatInt(r.t.rows, 10), Type: streams.View,
		Time: lightGCNStart.Add(time.Duration(r.t.rows) * time.Second), UserID: user, Items: []streams.Line{{ItemID: item}}})
}
