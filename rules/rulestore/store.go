// Package rulestore keeps the rule set that is live: it reads a folder of rule files, compiles them
// aside and swaps one pointer when, and only when, everything is right. It never serves a broken or a
// mixed set, and it decides nothing about who may change the files.
package rulestore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/rules"
	"github.com/sartorhq/sartor/rules/rulefile"
)

// Options tune a Dir. The zero value works.
type Options struct {
	// Params overrides parameters: set name, then parameter name.
	Params map[string]map[string]any
	// LastGood is a file that keeps the last good revision over restarts; "" keeps none.
	LastGood string
	// Remote reads a list that lives elsewhere, such as "redis:recalled": one value a line. It is asked at
	// every reload. nil = there is no such place, and a file that names one is broken.
	Remote func(ctx context.Context, name string) ([]byte, error)
	// Now is the clock of Status and metrics; nil = time.Now.
	Now        func() time.Time
	Logger     *slog.Logger          // nil discards
	Registerer prometheus.Registerer // nil discards
}

// Status is what is live and how the last attempt to change it went.
type Status struct {
	// Revision is the content hash of the files that are live, "" while none are.
	Revision string `json:"revision"`
	// Version is the version of the compiled set: files and parameters.
	Version string   `json:"version"`
	Sets    []string `json:"sets"`
	Files   []string `json:"files"`
	// Published tells who published the live revision, when the folder is that of an Archive.
	Published *Published `json:"published,omitempty"`
	// LoadedAt is when the live revision was loaded.
	LoadedAt time.Time `json:"loaded_at"`
	// LastAttempt is when the folder's content was last judged, and OK whether it went live.
	LastAttempt time.Time `json:"last_attempt"`
	OK          bool      `json:"ok"`
	// Stale is true while the live revision comes from the last good file instead of the folder.
	Stale bool `json:"stale"`
	// Problems of the last attempt: warnings when OK, else what keeps the folder from going live.
	Problems []rules.Problem `json:"problems,omitempty"`
	// Error says why the folder could not even be read.
	Error string `json:"error,omitempty"`
}

// live is everything a reader may see, swapped as one.
type live struct {
	set    *rules.Set
	status Status
}

// Dir is a folder of rule files and the set made of them. Set and Status may be called by any number
// of goroutines at any time; Reload calls wait for each other.
type Dir struct {
	dir     string
	schema  *features.Schema
	opts    Options
	metrics *metrics

	mu      sync.Mutex // one reload at a time
	tried   *content   // of the last attempt, nil when the folder could not be read
	current atomic.Pointer[live]
}

// NewDir returns a store over dir without reading it: until Load or Reload, the set is empty.
func NewDir(dir string, schema *features.Schema, opts Options) *Dir {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	d := &Dir{dir: dir, schema: schema, opts: opts, metrics: newMetrics(opts.Registerer)}
	d.current.Store(&live{set: rules.Empty()})
	return d
}

// Set returns the live rule set; never nil.
func (d *Dir) Set() *rules.Set { return d.current.Load().set }

// Status returns what is live and how the last attempt went. The caller must not change its slices.
func (d *Dir) Status() Status { return d.current.Load().status }

// ErrBroken tells that the files are not a valid rule set; Status().Problems says what is wrong.
var ErrBroken = errors.New("the rule files have errors")

// Load is the first Reload. When the folder is broken or cannot be read and there is a last good
// revision on disk, that goes live, marked stale, and the error says what is wrong with the folder.
func (d *Dir) Load(ctx context.Context) error {
	_, err := d.Reload(ctx)
	if err == nil || d.Status().Revision != "" || d.opts.LastGood == "" {
		return err
	}
	if backupErr := d.loadLastGood(); backupErr != nil {
		return errors.Join(err, backupErr)
	}
	return err
}

// Reload reads the folder and, when its content has changed since the last attempt, makes it live if
// it is right. It tells whether another set is live now. An error leaves the old set serving.
func (d *Dir) Reload(ctx context.Context) (changed bool, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return false, err
	}
	content, err := readFolder(d.dir, d.tried, d.remote(ctx))
	if err != nil {
		d.tried = nil
		return false, d.fail(nil, fmt.Errorf("read rule folder %s: %w", d.dir, err))
	}
	if content == d.tried {
		return false, d.lastError()
	}
	d.tried = content
	set, problems := d.compile(content)
	if set == nil {
		return false, d.fail(problems, fmt.Errorf("%s: %w", d.dir, ErrBroken))
	}
	before := d.current.Load()
	d.publish(set, content, problems, false)
	if err := d.saveLastGood(content); err != nil {
		d.opts.Logger.Warn("cannot save the last good rules", "error", err)
	}
	return set.Version() != before.set.Version(), nil
}

// lastError repeats the outcome of the last attempt for an unchanged folder.
func (d *Dir) lastError() error {
	if d.Status().OK {
		return nil
	}
	return fmt.Errorf("%s: %w", d.dir, ErrBroken)
}

// compile turns files into a set; nil when one of the problems is an error.
func (d *Dir) compile(c *content) (*rules.Set, []rules.Problem) {
	set, compiled := rules.Compile(c.parsed, d.schema, rules.Options{Params: d.opts.Params, Now: d.opts.Now()})
	problems := rulefile.Merge(c.problems, compiled)
	if rulefile.Failed(problems, false) {
		return nil, problems
	}
	return set, problems
}

func (d *Dir) publish(set *rules.Set, c *content, problems []rules.Problem, stale bool) {
	now := d.opts.Now()
	next := &live{set: set, status: Status{
		Revision: c.hash(), Version: set.Version(), Sets: set.Names(), Files: c.names(),
		LoadedAt: now, LastAttempt: now, OK: !stale, Stale: stale, Problems: problems, Published: d.published(c.hash()),
	}}
	if stale {
		last := d.Status()
		next.status.LastAttempt, next.status.Problems, next.status.Error = last.LastAttempt, last.Problems, last.Error
	} else {
		d.metrics.succeeded(now)
	}
	d.current.Store(next)
	d.opts.Logger.Info("rules are live", "revision", next.status.Revision, "sets", next.status.Sets, "stale", stale)
}

// fail keeps the live set and publishes why the folder did not go live.
func (d *Dir) fail(problems []rules.Problem, err error) error {
	d.metrics.failed()
	old := d.current.Load()
	next := &live{set: old.set, status: old.status}
	next.status.LastAttempt, next.status.OK, next.status.Problems, next.status.Error = d.opts.Now(), false, problems, ""
	if problems == nil {
		next.status.Error = err.Error()
	}
	d.current.Store(next)
	args := []any{"error", err}
	if i := slices.IndexFunc(problems, func(p rules.Problem) bool { return p.Severity == rules.SeverityError }); i >= 0 {
		p := problems[i]
		args = append(args, "file", p.Path, "line", p.Line, "code", p.Code, "problem", p.Message)
	}
	d.opts.Logger.Error("rules were not reloaded, the old ones stay", args...)
	return err
}

// Watch reloads every interval until ctx ends, and calls onChange, when not nil, with each set that
// goes live. It looks at content, not at file events, so that editors that replace files, atomic
// renames and the symbolic links of a ConfigMap are all the same to it.
func (d *Dir) Watch(ctx context.Context, every time.Duration, onChange func(*rules.Set)) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
			if changed, _ := d.Reload(ctx); changed && onChange != nil { // the error is in Status, metrics and log
				onChange(d.Set())
			}
		}
	}
}

// remote reads lists that live elsewhere while a folder is read.
func (d *Dir) remote(ctx context.Context) func(name string) ([]byte, error) {
	return func(name string) ([]byte, error) {
		if d.opts.Remote == nil {
			return nil, fmt.Errorf("%s: nobody can be asked", name)
		}
		return d.opts.Remote(ctx, name)
	}
}
