package recommender

import (
	"cmp"
	"slices"
	"time"

	"github.com/sartorhq/sartor/recommender/decision"
)

// Status is what a Recommender answers from at the moment.
type Status struct {
	Versions Versions
	// BuiltAt is when the current snapshot was built, RefreshedAt when an item source last answered
	// (zero = never).
	BuiltAt, RefreshedAt time.Time
	// Catalogue is where the items come from: "none", "live" or "disk".
	Catalogue string
	Items     int // that may be recommended
	Vectors   int // items that have a vector
	Model     ModelStatus
	// Scenarios names the models of single scenarios: scenario -> version. nil for none.
	Scenarios map[string]string
	// UsersReachable is false while user reads are refused after failures.
	UsersReachable bool
	// Degraded names what an answer given now would lack, and what does not answer although its absence
	// does not show yet.
	Degraded []string
}

// DegradedItemsUnreachable is an entry of Status.Degraded only: the item source did not answer when it was
// last asked. Answers lack nothing until the catalogue counts as stale.
const DegradedItemsUnreachable = "item_source_unreachable"

// ModelStatus is the manifest of the model in short; all zero without a model.
type ModelStatus struct {
	Kind           string
	Dim            int
	CreatedAt      time.Time
	TrainedThrough time.Time
	Metrics        map[string]float64
	// Index is the kind of index over its vectors, Recall the share of the best items that it finds: 1 for
	// an exact one.
	Index  string
	Recall float64
}

// Status tells what requests are answered from.
func (r *Recommender) Status() Status {
	s := r.current.Load()
	out := Status{
		Versions: s.versions, BuiltAt: s.builtAt, Catalogue: string(s.origin),
		Items: s.cat.live, Vectors: s.main.count(), UsersReachable: !r.users.breaker.isOpen(),
	}
	if ms := r.refreshedAt.Load(); ms != 0 {
		out.RefreshedAt = time.UnixMilli(ms).UTC()
	}
	if s.main != nil {
		m := s.main.model.Meta()
		out.Model = ModelStatus{Kind: m.Kind, Dim: m.Dim, CreatedAt: m.CreatedAt, TrainedThrough: m.TrainedThrough, Metrics: m.Metrics,
			Index: s.main.kind, Recall: s.main.recall}
	} else {
		out.Degraded = append(out.Degraded, DegradedNoModel)
	}
	for name, v := range s.special {
		if out.Scenarios == nil {
			out.Scenarios = make(map[string]string, len(s.special))
		}
		out.Scenarios[name] = v.version()
	}
	if lost := r.catalogueLoss(s, r.opts.Now()); lost != "" {
		out.Degraded = append(out.Degraded, lost)
	}
	if !s.ruled {
		out.Degraded = append(out.Degraded, DegradedNoRules)
	}
	if r.users.breaker.failing() {
		out.Degraded = append(out.Degraded, DegradedUserUnavailable)
	}
	if r.failing.Load() {
		out.Degraded = append(out.Degraded, DegradedItemsUnreachable)
	}
	return out
}

// Ready tells whether answers are as good as they will get without help: an item source was asked
// once, or there is something to list. A degraded service is ready.
func (r *Recommender) Ready() bool {
	return r.attempted.Load() || r.current.Load().cat.live > 0
}

// catalogueLoss names what is wrong with the catalogue view, "" for nothing.
func (r *Recommender) catalogueLoss(s *snapshot, now time.Time) string {
	switch {
	case s.origin == originDisk:
		return DegradedCatalogueDisk
	case s.origin == originNone || s.cat.known == 0:
		return DegradedNoCatalogue
	case now.Sub(time.UnixMilli(r.refreshedAt.Load())) > r.opts.StaleAfter:
		return DegradedCatalogueStale
	}
	return ""
}

// decision is the record of an answer.
func (w *work) decision(resp *Response, took time.Duration) *decision.Decision {
	d := &decision.Decision{
		Format: decision.Format, ID: resp.RecommendationID, Time: w.q.now,
		UserID: w.q.UserID, AnonymousID: w.q.AnonymousID,
		Scenario: w.q.Scenario, Placement: w.q.Placement,
		ServedBy: string(resp.ServedBy), Degraded: resp.Degraded,
		Model: resp.Versions.Model, Rules: resp.Versions.Rules, Schema: resp.Versions.Schema,
		Fired: w.result.Trace.Fired, Tried: w.plan.Tried, Held: w.plan.Held, Took: took,
		Items: make([]decision.Shown, len(resp.Items)),
	}
	if w.r.opts.TraceContext != nil {
		d.Traceparent, d.Tracestate = w.r.opts.TraceContext(w.ctx)
	}
	d.Country, _ = w.q.context["country"].(string)
	for i := range resp.Items {
		it := &resp.Items[i]
		d.Items[i] = decision.Shown{ItemID: it.ItemID, Score: it.Score, Source: it.Source, Reasons: it.Reasons}
	}
	return d
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
