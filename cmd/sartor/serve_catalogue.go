package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/sartorhq/sartor/features"
)

// saveEvery is how often the catalogue is written to its file: a start without Redis sees an older one.
const saveEvery = 5 * time.Minute

// keepCatalogue opens the store and then brings the catalogue view up to date again and again. Until
// it is open, the recommender is told of each failure: it is ready to answer without a catalogue, or
// with the one of the file.
func (s *serving) keepCatalogue(ctx context.Context) {
	s.loadCatalogue()
	c := complainer{logger: s.logger, what: "the feature store cannot be reached: answers lack what it knows"}
	opened := func() bool {
		err := s.parts.store.Open(ctx)
		if err != nil {
			err = s.rec.Refresh(ctx, noItems{err})
		}
		c.note(ctx, err)
		return err == nil
	}
	if !opened() && !every(ctx, reopenEvery, opened) {
		return
	}
	refresh := func() bool {
		c.note(ctx, s.rec.Refresh(ctx, s.parts.store))
		return false
	}
	refresh()
	s.saveCatalogue()
	saved := time.Now()
	every(ctx, refreshEvery, func() bool {
		if refresh(); time.Since(saved) >= saveEvery {
			s.saveCatalogue()
			saved = time.Now()
		}
		return false
	})
	s.saveCatalogue()
}

// loadCatalogue serves from the catalogue's file until the store answers. A file that cannot be used is no
// reason not to start.
func (s *serving) loadCatalogue() {
	path := s.config.Data.CatalogueFile
	if path == "" {
		return
	}
	begin := time.Now()
	switch err := s.rec.LoadCatalogue(path); {
	case err == nil:
		s.logger.Info("catalogue loaded from its file", "items", s.rec.Status().Items, "took", time.Since(begin))
	case errors.Is(err, fs.ErrNotExist): // the first start
	default:
		s.logger.Warn("the catalogue's file cannot be used: answers lack it until the feature store answers", "error", err)
	}
}

// saveCatalogue writes the catalogue's file, replacing it whole.
func (s *serving) saveCatalogue() {
	path := s.config.Data.CatalogueFile
	if path == "" {
		return
	}
	if err := s.rec.SaveCatalogue(path); err != nil {
		s.logger.Warn("the catalogue cannot be kept in its file: a start without Redis would use an older one", "error", err)
	}
}

// noItems is an item source that has nothing, because of err or because none is configured (nil).
type noItems struct{ err error }

// ChangedItems returns nothing but the reason.
func (n noItems) ChangedItems(context.Context, []int64) ([]features.ItemState, []int64, error) {
	return nil, nil, n.err
}

// makeDataFolders makes the folders of the files that a server keeps: found missing later, the catalogue and
// the exposures of an outage would be lost with a line in the log.
func makeDataFolders(c DataConfig) error {
	for _, file := range []string{c.CatalogueFile, c.ExposuresFile} {
		if file == "" {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return fmt.Errorf("make the folder of %s: %w", file, err)
		}
	}
	return nil
}
