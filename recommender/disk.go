package recommender

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/sartorhq/sartor/features"
)

// The catalogue snapshot on disk is lines of JSON: a header, one line per item, and the CRC-32C of
// all bytes before it. It is what answers are made of when no item source can be reached at start.
const diskFormat = "sartor-catalogue/1"

type diskHeader struct {
	Format  string    `json:"format"`
	Schema  string    `json:"schema"`
	SavedAt time.Time `json:"saved_at"`
	Items   int       `json:"items"`
}

type diskItem struct {
	ID        string           `json:"id"`
	Counters  map[string]int64 `json:"counters,omitempty"`
	Doc       string           `json:"doc,omitempty"`
	DocTime   int64            `json:"doc_time,omitempty"`
	RemovedAt int64            `json:"removed_at,omitempty"`
}

type diskFooter struct {
	CRC32C uint32 `json:"crc32c"`
}

// maxDiskLine bounds one line: the largest event is 256 kB.
const maxDiskLine = 4 << 20

// ErrCatalogueFile is what every error about the content of a catalogue snapshot is, by errors.Is.
var ErrCatalogueFile = errors.New("unusable catalogue snapshot")

// SaveCatalogue writes the catalogue view to a file, replacing it whole or not at all. A view that
// is empty or came from a file is not written: it would replace a better one.
func (r *Recommender) SaveCatalogue(path string) (err error) {
	s := r.current.Load()
	if s.origin != originLive || s.cat.known == 0 {
		return nil
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.tmp")
	if err != nil {
		return fmt.Errorf("save the catalogue: %w", err)
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("save the catalogue: %w", errors.Join(err, os.Remove(tmp.Name())))
		}
	}()
	if err := errors.Join(writeCatalogue(tmp, s, r.opts.Now()), tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}

// writeCatalogue writes the items that a source told about.
func writeCatalogue(w io.Writer, s *snapshot, now time.Time) error {
	sum := crc32.New(crc32.MakeTable(crc32.Castagnoli))
	buf := bufio.NewWriterSize(w, 1<<20)
	enc := json.NewEncoder(io.MultiWriter(buf, sum))
	if err := enc.Encode(diskHeader{Format: diskFormat, Schema: s.versions.Schema, SavedAt: now.UTC(), Items: s.cat.known}); err != nil {
		return err
	}
	for _, r := range s.cat.rows {
		if r.state == nil {
			continue
		}
		st := r.state
		if err := enc.Encode(diskItem{r.id, st.Counters, st.Doc, st.DocTime, st.RemovedAt}); err != nil {
			return err
		}
	}
	if err := json.NewEncoder(buf).Encode(diskFooter{CRC32C: sum.Sum32()}); err != nil {
		return err
	}
	return buf.Flush()
}

// LoadCatalogue serves from a saved catalogue until an item source answers; answers are marked as
// degraded meanwhile. It does nothing when items are there already. The error is
// ErrCatalogueFile for a file that is broken or of another feature schema.
func (r *Recommender) LoadCatalogue(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("load the catalogue: %w", err)
	}
	defer f.Close() // read only: nothing to lose
	items, err := readCatalogue(f, r.schema.Version())
	if err != nil {
		return fmt.Errorf("load the catalogue from %s: %w", path, err)
	}
	r.write.Lock()
	defer r.write.Unlock()
	s := r.current.Load()
	if s.origin == originLive {
		return nil
	}
	now := r.opts.Now()
	cat, changed := s.cat.update(items, r.schema, now, r.opts.AgeRows)
	r.current.Store(s.withItems(cat, changed, originDisk, now, 0))
	r.metrics.swapped("catalogue")
	return nil
}

// readCatalogue reads a snapshot whole and checks it before anything of it is used.
func readCatalogue(r io.Reader, schema string) ([]features.ItemState, error) {
	broken := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s", ErrCatalogueFile, fmt.Sprintf(format, args...))
	}
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 64<<10), maxDiskLine)
	sum := crc32.New(crc32.MakeTable(crc32.Castagnoli))
	next := func(out any) error {
		if !lines.Scan() {
			return broken("it ends too early")
		}
		if err := json.Unmarshal(lines.Bytes(), out); err != nil {
			return broken("%v", err)
		}
		return nil
	}
	consume := func() {
		sum.Write(lines.Bytes()) // a hash never fails
		sum.Write([]byte{'\n'})
	}
	var head diskHeader
	if err := next(&head); err != nil {
		return nil, err
	}
	if head.Format != diskFormat || head.Schema != schema {
		return nil, broken("format %q and schema %q, need %q and %q", head.Format, head.Schema, diskFormat, schema)
	}
	consume()
	var items []features.ItemState
	for range head.Items {
		var it diskItem
		if err := next(&it); err != nil {
			return nil, err
		}
		consume()
		items = append(items, features.ItemState{ID: it.ID, State: &features.State{
			Counters: it.Counters, Doc: it.Doc, DocTime: it.DocTime, RemovedAt: it.RemovedAt}})
	}
	var foot diskFooter
	if err := next(&foot); err != nil {
		return nil, err
	}
	if foot.CRC32C != sum.Sum32() {
		return nil, broken("the checksum does not match")
	}
	return items, nil
}
