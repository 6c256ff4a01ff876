package file

import (
	"strconv"
	"strings"
	"time"

	"github.com/sartorhq/sartor/streams"
)

// sasRec reads one user a row, with the items in the order in which he rated them. There are no times:
// the n-th item of the file happens n seconds after lightGCNStart.
type sasRec struct {
	t     *table
	count int64
}

func openSASRec(path string) (reader, error) {
	path, err := locate(path, "sasrec_sequences.csv")
	if err != nil {
		return nil, err
	}
	t, err := openTable(path, ',', "user_id", "movie_ids")
	if err != nil {
		return nil, err
	}
	return &sasRec{t: t}, nil
}

func (r *sasRec) at() (string, int) { return r.t.at() }
func (r *sasRec) close() error      { return r.t.close() }

// read takes one row: a rating for each item.
func (r *sasRec) read(s *Source) error {
	if err := r.t.next(); err != nil {
		return err
	}
	s.row()
	user, err := r.t.id(0)
	if err != nil {
		return err
	}
	items := strings.Fields(r.t.text(1))
	if len(items) == 0 {
		return r.t.fail(1, "names no item: leave the user out")
	}
	for _, item := range items {
		r.count++
		if err := s.emit(streams.Event{ID: "sasrec-" + strconv.FormatInt(r.count, 10), Type: streams.Rating,
			Time: lightGCNStart.Add(time.Duration(r.count) * time.Second), UserID: user, Items: []streams.Line{{ItemID: strings.Clone(item)}}}); err != nil {
			return err
		}
	}
	return nil
}
