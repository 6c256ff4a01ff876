package recommender

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/sartorhq/sartor/features"
)

// The catalogue snapshot on disk is a line of JSON, then for each item its id and its packed state
// (features.PackState), each as its length in base 128 and its bytes, and in the end the CRC-32C of all
// bytes before it, least byte first. It is what answers are made of when no item source can be reached at
// start.
const diskFormat = "sartor-catalogue/2"

type diskHeader struct {
	Format  string    `json:"format"`
	Schema  string    `json:"schema"`
	SavedAt time.Time `json:"saved_at"`
	Items   int       `json:"items"`
}

// diskFooter is the length of the checksum.
const diskFooter = 4

// ErrCatalogueFile is what every error about the content of a catalogue snapshot is, by errors.Is.
var ErrCatalogueFile = errors.New("unusable catalogue snapshot")

// SaveCatalogue writes the catalogue view to a file, replacing it whole or not at all. A view that
// is empty or came from a file is not written: it would replace a better one.
func (r *Recommender) SaveCatalogue(path string) (err error) {
	s := r.current.Load()
	if s.origin != originLive || s.cat.known == 0 {
		return nil
	}
	if err := removeLeft(path, time.Now().Add(-leftAfter)); err != nil {
		return fmt.Errorf("save the catalogue: %w", err)
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

// leftAfter is the age at which a file that is being written has no writer any more: processes that are killed
// leave theirs, and a disk would fill.
const leftAfter = time.Hour

// removeLeft removes the unfinished files beside path that were last written before a moment.
func removeLeft(path string, before time.Time) error {
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return err
	}
	for _, e := range entries {
		middle, begins := strings.CutPrefix(e.Name(), filepath.Base(path)+".")
		number, ends := strings.CutSuffix(middle, ".tmp")
		if _, err := strconv.ParseUint(number, 10, 64); !begins || !ends || err != nil {
			continue
		}
		info, err := e.Info()
		if err != nil || !info.Mode().IsRegular() || !info.ModTime().Before(before) {
			continue // another process may have renamed it
		}
		if err := os.Remove(filepath.Join(filepath.Dir(path), e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// writeCatalogue writes the items that a source told about.
func writeCatalogue(w io.Writer, s *snapshot, now time.Time) error {
	sum := crc32.New(crc32.MakeTable(crc32.Castagnoli))
	buf := bufio.NewWriterSize(w, 1<<20)
	out := io.MultiWriter(buf, sum)
	head, err := json.Marshal(diskHeader{Format: diskFormat, Schema: s.versions.Schema, SavedAt: now.UTC(), Items: s.cat.known})
	if err != nil {
		return err
	}
	if _, err := out.Write(append(head, '\n')); err != nil {
		return err
	}
	var record, state []byte
	for _, r := range s.cat.rows {
		if r.state == nil {
			continue
		}
		state = features.PackState(state[:0], r.state)
		record = append(binary.AppendUvarint(record[:0], uint64(len(r.id))), r.id...)
		record = append(binary.AppendUvarint(record, uint64(len(state))), state...)
		if _, err := out.Write(record); err != nil {
			return err
		}
	}
	if err := binary.Write(buf, binary.LittleEndian, sum.Sum32()); err != nil {
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

// readCatalogue reads a snapshot whole and checks it before anything of it is used. The items share the
// memory of the file: a million of them are a few pieces to the garbage collector.
func readCatalogue(f *os.File, schema string) ([]features.ItemState, error) {
	broken := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s", ErrCatalogueFile, fmt.Sprintf(format, args...))
	}
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, broken("it is no file")
	}
	whole := make([]byte, info.Size())
	if n, err := io.ReadFull(f, whole); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && err != io.EOF {
		return nil, err
	} else if whole = whole[:n]; n < diskFooter {
		return nil, broken("it ends too early")
	}
	text := unsafe.String(unsafe.SliceData(whole), len(whole)) // nobody writes there from here on
	first, rest, ok := strings.Cut(text, "\n")
	var head diskHeader
	if err := json.Unmarshal([]byte(first), &head); err != nil || !ok {
		return nil, broken("it has no header")
	}
	if head.Format != diskFormat {
		return nil, broken("its format is %q, this server reads %q: the file is written anew once the feature store answers", head.Format, diskFormat)
	}
	if head.Schema != schema {
		return nil, broken("it was written under feature schema %s, this server has %s: the file is written anew once the feature store answers", head.Schema, schema)
	}
	if len(rest) < diskFooter || head.Items < 0 || head.Items > len(rest) {
		return nil, broken("it ends too early")
	}
	records, foot := rest[:len(rest)-diskFooter], rest[len(rest)-diskFooter:]
	if binary.LittleEndian.Uint32([]byte(foot)) != crc32.Checksum(whole[:len(whole)-diskFooter], crc32.MakeTable(crc32.Castagnoli)) {
		return nil, broken("the checksum does not match: it was cut short or changed")
	}
	items, parts := make([]features.ItemState, head.Items), make([]string, head.Items)
	for i := range items {
		var okID, okPart bool
		items[i].ID, records, okID = cutText(records)
		if parts[i], records, okPart = cutText(records); !okID || !okPart {
			return nil, broken("it ends too early")
		}
	}
	if records != "" {
		return nil, broken("it holds more than %d items", head.Items)
	}
	if err := unpackStates(items, parts); err != nil {
		return nil, broken("%v", err)
	}
	return items, nil
}

// cutText takes one text with its length off the front.
func cutText(s string) (text, rest string, ok bool) {
	var n uint64
	for i := 0; i < len(s) && i < binary.MaxVarintLen32; i++ {
		n |= uint64(s[i]&0x7f) << (7 * i)
		if s[i] < 0x80 {
			s = s[i+1:]
			if n > uint64(len(s)) {
				return "", "", false
			}
			return s[:n], s[n:], true
		}
	}
	return "", "", false
}

// unpackStates fills in the states, by all processors.
func unpackStates(items []features.ItemState, parts []string) error {
	var failed atomic.Pointer[error]
	states := make([]features.State, len(items)) // all are replaced together, once a source answers
	inParts(len(items), func(from, to int) {
		for i := from; i < to; i++ {
			items[i].State = &states[i]
			if err := states[i].Unpack(parts[i]); err != nil {
				failed.CompareAndSwap(nil, &err)
				return
			}
		}
	})
	if err := failed.Load(); err != nil {
		return *err
	}
	return nil
}
