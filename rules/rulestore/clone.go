package rulestore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
)

// Remote is the place that several machines share an archive through. Implementations are safe for
// concurrent use.
type Remote interface {
	// Pull returns what the remote holds after the audit line that has this number and hash. When the
	// remote has another line there, or none, it returns everything, with Whole set. It returns nil when
	// that line is its last.
	Pull(ctx context.Context, seq int, hash string) (*Bundle, error)
	// Push adds a bundle in one step, if the hash of the remote's last line is still before ("" for an
	// empty remote); else it changes nothing and returns ErrMoved.
	Push(ctx context.Context, before string, b *Bundle) error
}

// ErrMoved tells that somebody else has changed the remote since it was read.
var ErrMoved = errors.New("somebody else has changed the shared archive meanwhile")

// Clone is a local archive that follows a remote one. What is local is whole at any time, so that a
// replica starts and serves from it while the remote is away. Its methods may be called by several
// goroutines: they wait for each other. A clone that Change is called on has its folder for itself.
type Clone struct {
	local  *Archive
	remote Remote

	mu   sync.Mutex            // one change at a time
	last atomic.Pointer[Entry] // of the log when it was last the remote's: saves reading it for nothing
}

// NewClone returns a clone; it reads nothing yet.
func NewClone(local *Archive, remote Remote) *Clone { return &Clone{local: local, remote: remote} }

// Local is the archive on this machine, for reading.
func (c *Clone) Local() *Archive { return c.local }

// Sync makes the local archive hold what the remote holds, and tells whether it changed. Everything is
// checked before any of it is kept: the chain of the log, and that each revision's files are those that
// the log names. When the remote has lost its newest lines (a Redis that went back in time), Sync gives
// them back: nothing that was published is forgotten while one replica knows it. Do not call it on a clone
// that Change is called on.
func (c *Clone) Sync(ctx context.Context) (changed bool, err error) {
	unlock, err := c.local.lock(ctx)
	if err != nil {
		return false, err
	}
	defer unlock()
	return c.sync(ctx, true)
}

func (c *Clone) sync(ctx context.Context, giveBack bool) (changed bool, err error) {
	var mine []Entry
	last := c.last.Load()
	if last == nil {
		mine = c.log()
		last = lastOf(mine)
	}
	b, err := c.remote.Pull(ctx, last.Seq, last.Hash)
	if err != nil {
		return false, fmt.Errorf("read the shared archive: %w", err)
	}
	if b == nil {
		c.last.Store(last)
		return false, nil
	}
	c.last.Store(nil) // until what follows has gone well
	if mine == nil {
		mine = c.log()
	}
	theirs, err := b.check(mine)
	if err != nil {
		return false, fmt.Errorf("the shared archive is not what its audit log says: %w", err)
	}
	if giveBack && len(theirs.log) < len(mine) && prefix(theirs.log, mine) {
		if err := c.push(ctx, len(theirs.log)); err != nil && !errors.Is(err, ErrMoved) {
			return false, fmt.Errorf("give the shared archive back what it has lost: %w", err)
		}
		return false, nil
	}
	if err := c.keep(theirs, b); err != nil {
		return false, err
	}
	c.last.Store(lastOf(theirs.log))
	return true, nil
}

// log is the local audit log. One that is broken counts as none: the remote's takes its place.
func (c *Clone) log() []Entry {
	entries, err := c.local.audit().read()
	if err != nil {
		return nil
	}
	return entries
}

func lastOf(log []Entry) *Entry {
	if len(log) == 0 {
		return &Entry{}
	}
	return &log[len(log)-1]
}

// prefix tells whether a log goes on where another ends.
func prefix(short, long []Entry) bool {
	return len(short) <= len(long) && (len(short) == 0 || short[len(short)-1].Hash == long[len(short)-1].Hash)
}

// keep makes a checked bundle local. Files come first and the link to the live ones after them, so that
// a reader never sees half of a revision.
func (c *Clone) keep(h history, b *Bundle) error {
	for _, r := range h.records {
		if err := c.keepRevision(r, b.Trees[r.ID]); err != nil {
			return fmt.Errorf("keep revision %s: %w", r.ID, err)
		}
	}
	if err := c.point(h.log); err != nil {
		return err
	}
	if err := c.local.audit().replace(h.log); err != nil {
		return fmt.Errorf("write the audit log: %w", err)
	}
	if b.Whole {
		return c.forget(b)
	}
	return nil
}

// point makes what the log published last live.
func (c *Clone) point(all []Entry) error {
	live := ""
	for _, e := range all {
		if e.Action == ActionPublish {
			live = e.Revision
		}
	}
	current, err := c.local.Current()
	if err != nil || current == live {
		return err
	}
	if live == "" {
		err = os.Remove(c.local.Live())
	} else {
		err = c.local.swap(live)
	}
	if err != nil {
		return fmt.Errorf("make revision %q live: %w", live, err)
	}
	return nil
}

// keepRevision writes a revision's files, unless they are there already, and its record.
func (c *Clone) keepRevision(r *Revision, files Tree) error {
	a := c.local
	have, err := ReadTree(filepath.Join(a.path(r.ID), filesName))
	switch {
	case err == nil && (files == nil || have.hash() == files.hash()):
		return a.save(r)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	case files == nil:
		return nil // handed in after the lines of this bundle
	}
	if err := os.RemoveAll(a.path(r.ID)); err != nil { // what another history called by this name
		return err
	}
	return a.write(r, files)
}

// forget removes what the remote's history does not hold.
func (c *Clone) forget(b *Bundle) error {
	all, err := c.local.History()
	if err != nil {
		return err
	}
	var errs []error
	for _, r := range all {
		if _, known := b.Records[r.ID]; !known {
			errs = append(errs, os.RemoveAll(c.local.path(r.ID)))
		}
	}
	return errors.Join(errs...)
}

// push sends what the local log holds beyond its first n lines.
func (c *Clone) push(ctx context.Context, n int) error {
	entries, err := c.local.audit().read()
	if err != nil {
		return err
	}
	before := ""
	if n > 0 {
		before = entries[n-1].Hash
	}
	b := &Bundle{Records: map[string]string{}, Trees: map[string]Tree{}}
	all, err := c.local.History()
	if err != nil {
		return err
	}
	for _, e := range entries[n:] {
		line, err := json.Marshal(e)
		if err != nil {
			return err
		}
		b.Lines = append(b.Lines, string(line))
		if e.Action == ActionDraft {
			if b.Trees[e.Revision], err = c.local.Files(e.Revision); err != nil {
				return err
			}
		}
	}
	// All records: a publication changes that of the revision before it, too, and they are small.
	for i := range all {
		data, err := json.Marshal(&all[i])
		if err != nil {
			return err
		}
		b.Records[all[i].ID] = string(data)
	}
	return c.remote.Push(ctx, before, b)
}

// attempts is how often Change tries again when others change the remote at the same time.
const attempts = 10

// Change carries out fn on the newest state of the archive and shares what it did: all of it or nothing.
// fn runs again when somebody else was faster. What fn did without an error of the archive's own stays
// shared also when it returns an error: a refused revision is history, too.
func (c *Clone) Change(ctx context.Context, fn func(*Archive) error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for range attempts {
		n, err := c.begin(ctx)
		if err != nil {
			return err
		}
		result := fn(c.local)
		switch err := c.share(ctx, n); {
		case err == nil:
			return result
		case !errors.Is(err, ErrMoved):
			return errors.Join(result, fmt.Errorf("share the change: %w; nothing is known to have changed, look before you try again", err))
		}
	}
	return ErrMoved
}

// Latest makes the local archive what the remote is and returns it for reading. Like Change, it drops what
// an earlier change left unshared.
func (c *Clone) Latest(ctx context.Context) (*Archive, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, err := c.begin(ctx)
	return c.local, err
}

// Alone is an archive that is not shared: its folder is the only copy.
type Alone struct{ *Archive }

// Latest returns the archive.
func (a Alone) Latest(context.Context) (*Archive, error) { return a.Archive, nil }

// Change carries out fn.
func (a Alone) Change(_ context.Context, fn func(*Archive) error) error { return fn(a.Archive) }

// begin makes the local archive what the remote is, without what an earlier change left unshared.
func (c *Clone) begin(ctx context.Context) (lines int, err error) {
	unlock, err := c.local.lock(ctx)
	if err != nil {
		return 0, err
	}
	defer unlock()
	c.last.Store(nil) // the folder holds what changes did since, shared or not
	if _, err := c.sync(ctx, false); err != nil {
		return 0, err
	}
	entries, err := c.local.audit().read()
	return len(entries), err
}

func (c *Clone) share(ctx context.Context, n int) error {
	unlock, err := c.local.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	entries, err := c.local.audit().read()
	if err != nil || len(entries) == n {
		return err
	}
	return c.push(ctx, n)
}
