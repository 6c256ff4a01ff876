// Package recommender is the read path: a Request goes in, a Response and a Decision come out. It
// holds the snapshot of model, catalogue view and rules that a request is answered from. It knows no
// HTTP, no Redis and no Kafka: whoever wires it hands it a UserReader and an ItemSource.
package recommender

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/models"
	"github.com/sartorhq/sartor/recommender/decision"
	"github.com/sartorhq/sartor/rules"
)

// UserReader reads what is stored about one subject in one round trip. It returns nil, nil when
// nothing is stored, and must return soon after ctx is done.
type UserReader interface {
	User(ctx context.Context, subject string) (*features.State, error)
}

// ItemSource tells which items changed since a cursor. A nil cursor asks for all items; next is the
// cursor of the following call.
type ItemSource interface {
	ChangedItems(ctx context.Context, cursor []int64) (changed []features.ItemState, next []int64, err error)
}

// Options are what a Recommender needs. Only Schema is required.
type Options struct {
	Schema *features.Schema
	// Users reads user features; nil means that there are none.
	Users UserReader
	// Now is the clock of features, rules and decisions; nil = time.Now.
	Now func() time.Time
	// NewID makes recommendation ids; nil = 16 random bytes in hex.
	NewID func() string
	// Decided is told every decision; it must not block. nil = nobody listens.
	Decided func(*decision.Decision)
	// Considered is told what the rules of a request are about to see, for recordings: the environment
	// and the candidates, in no order. Both are valid during the call only. It must not block and must
	// change nothing; nil = nobody listens.
	Considered func(*rules.Env, []rules.Candidate)
	// Spans is told, after each answer, how long its stages took; the context is the request's. It must not
	// block; nil = nobody listens, at no cost.
	Spans func(ctx context.Context, spans []Span)
	// TraceContext tells a request's place in a trace by its context, for the record of the decision, as W3C's
	// two headers have it; "" and nil = none.
	TraceContext func(ctx context.Context) (traceparent, tracestate string)
	// Logger and Registerer are nil for discard.
	Logger     *slog.Logger
	Registerer prometheus.Registerer

	// Budget is the time one request may take in all; 0 = 60 ms.
	Budget time.Duration
	// UserTimeout is the part of the budget that the user read may take; 0 = 25 ms.
	UserTimeout time.Duration
	// RulesBudget is the wall time that score rules may take in one request; 0 = a twelfth of Budget.
	RulesBudget time.Duration
	// UserCache is how many users' states are kept for the time when they cannot be read; 0 = 10,000,
	// negative = none. A state is used for at most UserCacheAge; 0 = 5 min.
	UserCache    int
	UserCacheAge time.Duration
	// StaleAfter is the age at which a catalogue that could not be refreshed counts as stale; 0 = 30 s.
	StaleAfter time.Duration
	// AgeRows is how many items a refresh recomputes when an hour has turned; 0 = 20,000.
	AgeRows int
	// Workers is how many requests use a processor at once, after their user was read; 0 = one per
	// processor, negative = no limit. Eight times as many do where searches share passes over the index.
	Workers int
	// Index is the kind of index over item vectors: IndexAuto, IndexExact or IndexApproximate; "" =
	// IndexAuto.
	Index string
	// Filters is how many request filters are kept per snapshot as bitmaps; 0 = 256.
	Filters int
}

func (o Options) withDefaults() Options {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.NewID == nil {
		o.NewID = randomID
	}
	if o.Decided == nil {
		o.Decided = func(*decision.Decision) {}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.Budget = orDefault(o.Budget, 60*time.Millisecond)
	o.UserTimeout = min(orDefault(o.UserTimeout, 25*time.Millisecond), o.Budget)
	o.RulesBudget = orDefault(o.RulesBudget, o.Budget/12)
	o.UserCache = orDefault(o.UserCache, 10_000)
	o.UserCacheAge = orDefault(o.UserCacheAge, 5*time.Minute)
	o.StaleAfter = orDefault(o.StaleAfter, 30*time.Second)
	o.AgeRows = orDefault(o.AgeRows, 20_000)
	o.Filters = orDefault(o.Filters, 256)
	o.Index = orDefault(o.Index, IndexAuto)
	o.Workers = orDefault(o.Workers, runtime.GOMAXPROCS(0))
	return o
}

func orDefault[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}

func randomID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails since Go 1.24
	return hex.EncodeToString(b[:])
}

// Recommender answers requests. All methods are safe for concurrent use; requests never wait for
// the methods that change the snapshot.
type Recommender struct {
	opts    Options
	schema  *features.Schema
	users   *userState
	metrics *metrics
	// filters holds compiled request filters by text; the schema never changes under them.
	filters *lru[string, *compiledFilter]
	// itemFields are the names that Request.Fields may hold.
	itemFields map[string]bool
	fieldNames []string

	current atomic.Pointer[snapshot]
	rooms   sync.Pool // of *poolRoom
	workers *workers
	riders  *workers // those whose searches share passes
	usher   *usher
	// failing is true while the item source does not answer.
	failing atomic.Bool
	// refreshedAt is when an item source last answered, in Unix milliseconds; 0 = never.
	refreshedAt atomic.Int64
	// attempted is true once an item source was asked, whatever it answered.
	attempted atomic.Bool

	write sync.Mutex // serialises whoever builds the next snapshot; held for no I/O
	// refreshing serialises Refresh, which does I/O, and guards cursor, of the item source.
	refreshing sync.Mutex
	cursor     []int64
}

// New returns a recommender with an empty snapshot, which answers every request with an empty list.
func New(opts Options) *Recommender {
	opts = opts.withDefaults()
	u := new(usher)
	r := &Recommender{
		opts:    opts,
		schema:  opts.Schema,
		users:   newUserState(opts),
		filters: newLRU[string, *compiledFilter](2 * opts.Filters),
		workers: newWorkers(opts.Workers, u),
		riders:  newWorkers(ridersPerWorker*opts.Workers, u),
		usher:   u,
	}
	r.itemFields, r.fieldNames = itemFields(opts.Schema)
	set := rules.Empty()
	s := &snapshot{
		cat:      &catalog{order: new(order)},
		lists:    &lists{},
		rules:    set,
		origin:   originNone,
		versions: Versions{Rules: set.Version(), Schema: opts.Schema.Version()},
		builtAt:  opts.Now(),
		masks:    newMaskCache(),
		filters:  newLRU[string, *mask](opts.Filters),
		seeks:    newLRU[string, *sought](maxSeeks),
		users:    r.schema.UserReader(nil),
	}
	s.listsOf, s.known = s.cat, newBriefs(s.cat, set)
	r.current.Store(s)
	r.metrics = newMetrics(r, opts.Registerer)
	return r
}

// ErrModel is returned by SetModel for a model that must not serve.
var ErrModel = errors.New("model cannot serve")

// SetModel builds the indexes of a model (nil takes the model away) and swaps it in. On an error the
// old model keeps serving. The vectors of m must not change afterwards.
func (r *Recommender) SetModel(m models.Model) error {
	if m != nil {
		if err := checkModel(m); err != nil {
			return fmt.Errorf("%w: %w", ErrModel, err)
		}
	}
	var v *modelView
	if m != nil {
		v = newModelView(m, nil, r.opts.Index) // takes longest, and nobody need wait for it
	}
	r.write.Lock()
	defer r.write.Unlock()
	r.current.Store(r.current.Load().withModel(v, r.schema, r.opts.Now()))
	r.metrics.swapped("model")
	return nil
}

// SetScenarioModel gives a scenario a model of its own, which answers its requests in place of the shared
// one; nil takes it away. On an error what serves keeps serving. The vectors of m must not change
// afterwards; they are copied into the order of the catalogue.
func (r *Recommender) SetScenarioModel(scenario string, m models.Model) error {
	if m == nil {
		r.write.Lock()
		defer r.write.Unlock()
		r.setSpecial(scenario, nil)
		return nil
	}
	if err := checkModel(m); err != nil {
		return fmt.Errorf("%w: %w", ErrModel, err)
	}
	v := newModelView(m, r.current.Load().cat, r.opts.Index)
	r.write.Lock()
	defer r.write.Unlock()
	if cat := r.current.Load().cat; v.order != cat.order {
		v = newModelView(m, cat, r.opts.Index) // the rows got other numbers meanwhile
	} else {
		v = v.behind(cat)
	}
	r.setSpecial(scenario, v)
	return nil
}

func (r *Recommender) setSpecial(scenario string, v *modelView) {
	next := *r.current.Load()
	next.special, next.builtAt = next.special.replaced(scenario, v), r.opts.Now()
	r.current.Store(&next)
	r.metrics.swapped("scenario model")
}

// SetRules swaps a compiled rule set in; nil takes all rules away.
func (r *Recommender) SetRules(set *rules.Set) {
	given := set != nil
	if !given {
		set = rules.Empty()
	}
	r.write.Lock()
	defer r.write.Unlock()
	next := r.current.Load().withRules(set, given, r.schema, r.opts.Now())
	next.fuses = newFuses(r.opts.Now, r.opts.Logger, r.metrics.ruleFailed)
	r.current.Store(next)
	r.metrics.swapped("rules")
}

// Refresh brings the catalogue view up to date with the source: the first call reads every item,
// later calls what changed. Call it every few hundred milliseconds. On an error the old view keeps
// serving, and counts as stale after a while.
func (r *Recommender) Refresh(ctx context.Context, src ItemSource) error {
	r.refreshing.Lock()
	defer r.refreshing.Unlock()
	defer r.attempted.Store(true)
	items, next, err := src.ChangedItems(ctx, r.cursor)
	r.failing.Store(err != nil)
	if err != nil {
		return fmt.Errorf("refresh the catalogue: %w", err)
	}
	r.write.Lock()
	defer r.write.Unlock()
	now := r.opts.Now()
	s := r.current.Load()
	if s.origin == originDisk {
		if len(items) == 0 {
			return nil // a store that knows no item yet must not take away what the file knows
		}
		s = s.emptied(r.schema, now) // an item that only the file knows is gone
	}
	cat, changed := s.cat.update(items, r.schema, now, r.opts.AgeRows)
	if cat != s.cat || s.listsOf != s.cat || s.origin != originLive {
		r.current.Store(s.withItems(cat, changed, originLive, now, listsMinAge))
		r.metrics.swapped("catalogue")
	}
	r.cursor = next
	r.refreshedAt.Store(now.UnixMilli())
	return nil
}

// listsMinAge bounds how often the precomputed lists are computed while events stream in.
const listsMinAge = time.Second

// Forget drops what is kept in memory of a user, after the user was deleted.
func (r *Recommender) Forget(subject string) { r.users.forget(subject) }
