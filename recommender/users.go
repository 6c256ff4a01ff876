package recommender

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sartorhq/sartor/features"
)

// userState reads user features with a time budget, a breaker and a cache for bad times.
type userState struct {
	reader  UserReader
	timeout time.Duration
	maxAge  time.Duration
	now     func() time.Time
	breaker *breaker
	cache   *lru[string, cachedState]
	took    leastTime
}

type cachedState struct {
	state  *features.State
	readAt time.Time
}

// The breaker opens after this many failed reads in a row: at 25 ms each and any load that matters
// well within a second. It probes again within 4 s of the server's recovery.
const (
	breakerThreshold = 5
	breakerMinPause  = 250 * time.Millisecond
	breakerMaxPause  = 4 * time.Second
)

func newUserState(opts Options) *userState {
	return &userState{
		reader:  opts.Users,
		timeout: opts.UserTimeout,
		maxAge:  opts.UserCacheAge,
		now:     opts.Now,
		// Pauses are real time, whatever clock features are computed by.
		breaker: newBreaker(breakerThreshold, breakerMinPause, breakerMaxPause, time.Now),
		cache:   newLRU[string, cachedState](opts.UserCache),
	}
}

// read returns the stored state of the subject (nil = nothing stored) and what was lost, "" for
// nothing: the first two steps of the degradation ladder.
func (u *userState) read(ctx context.Context, subject string) (st *features.State, degraded string) {
	if subject == "" {
		return nil, ""
	}
	if u.reader == nil {
		return nil, DegradedUserUnavailable
	}
	if u.breaker.allow() {
		st, err := u.attempt(ctx, subject)
		if err == nil {
			u.cache.put(subject, cachedState{state: st, readAt: u.now()})
			return st, ""
		}
	}
	if c, ok := u.cache.get(subject); ok && u.now().Sub(c.readAt) <= u.maxAge {
		return c.state, DegradedUserCached
	}
	return nil, DegradedUserUnavailable
}

func (u *userState) attempt(ctx context.Context, subject string) (*features.State, error) {
	reported := false
	defer func() {
		if !reported { // the reader panicked: whoever recovers must not find the breaker waiting
			u.breaker.done(failed)
		}
	}()
	timed, cancel := context.WithTimeout(ctx, u.timeout)
	defer cancel()
	start := time.Now()
	st, err := u.reader.User(timed, subject)
	u.took.note(time.Since(start))
	result := succeeded
	if err != nil {
		result = failed
		if errors.Is(ctx.Err(), context.Canceled) {
			result = abandoned
		}
	}
	reported = true
	u.breaker.done(result)
	return st, err
}

// leastTime is the shortest of the last times, of which a busy processor makes nearly all longer.
type leastTime struct {
	mu    sync.Mutex
	n     int
	least time.Duration // of the n last
	shown atomic.Int64  // of those before, as many as leastOf
}

// leastOf is how many times have a shortest: enough that one of them did not wait for a processor.
const leastOf = 64

func (l *leastTime) note(took time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.n == 0 || took < l.least {
		l.least = took
	}
	if l.n++; l.n == leastOf {
		l.n = 0
		l.shown.Store(int64(l.least))
	}
}

// UserTime is how long the reading of a user takes at present, at least: of the last reads, the shortest, since
// others waited for a processor, too. 0 = not known yet.
func (r *Recommender) UserTime() time.Duration { return time.Duration(r.users.took.shown.Load()) }

func (u *userState) forget(subject string) { u.cache.remove(subject) }
