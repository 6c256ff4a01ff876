package recommender

import (
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sartorhq/sartor/rules"
)

// A rule blows its fuse when more than fuseShare of its evaluations fail within fuseWindow, once
// there were fuseLeast of them.
const (
	fuseWindow = time.Minute
	fuseLeast  = 1000
	fuseShare  = 0.01
)

// fuses switch off the rules of one set that keep failing, until another set is published. A rule is
// watched from its first failure on, for one window after another; one without failures costs a
// look into a map.
type fuses struct {
	now    func() time.Time
	failed func(rule, kind string, n int) // for metrics
	log    *slog.Logger

	watching atomic.Bool
	off      atomic.Pointer[map[string]bool]

	mu      sync.Mutex
	watched map[string]*watch
}

// watch is one rule's window.
type watch struct {
	since             time.Time
	evaluated, failed int
}

func newFuses(now func() time.Time, log *slog.Logger, failed func(rule, kind string, n int)) *fuses {
	return &fuses{now: now, failed: failed, log: log, watched: map[string]*watch{}}
}

// blown names the rules that are switched off; nil for none. It must not be changed.
func (f *fuses) blown() map[string]bool {
	if f == nil {
		return nil
	}
	if off := f.off.Load(); off != nil {
		return *off
	}
	return nil
}

// note takes in what one application counted.
func (f *fuses) note(tally []rules.Tally) {
	if f == nil {
		return
	}
	failing := false
	for i := range tally {
		if t := &tally[i]; t.Failed > 0 {
			failing = true
			f.failed(t.Rule, t.Kind, t.Failed)
		}
	}
	if !failing && !f.watching.Load() {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.now()
	for i := range tally {
		f.watch(&tally[i], now)
	}
	f.watching.Store(len(f.watched) > 0)
}

func (f *fuses) watch(t *rules.Tally, now time.Time) {
	w := f.watched[t.Rule]
	if w != nil && now.Sub(w.since) >= fuseWindow {
		delete(f.watched, t.Rule)
		w = nil
	}
	if w == nil {
		if t.Failed == 0 {
			return
		}
		w = &watch{since: now}
		f.watched[t.Rule] = w
	}
	w.evaluated += t.Evaluated
	w.failed += t.Failed
	if w.evaluated < fuseLeast || float64(w.failed) <= fuseShare*float64(w.evaluated) || f.blown()[t.Rule] {
		return
	}
	off := maps.Clone(f.blown())
	if off == nil {
		off = map[string]bool{}
	}
	off[t.Rule] = true
	f.off.Store(&off)
	f.log.Error("a rule is switched off: it fails too often", "rule", t.Rule, "kind", t.Kind, "failed", w.failed, "evaluated", w.evaluated)
}
