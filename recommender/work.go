package recommender

import (
	"context"
	"time"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/rules"
)

// stage is a timed part of a request.
type stage int

const (
	stageUser stage = iota
	stagePlan
	stageCandidates
	stageRules
	stages
)

// String returns the stage's name in metrics and explanations.
func (s stage) String() string {
	return [stages]string{"user", "plan", "candidates", "rules"}[s]
}

// work is one request on its way through the stages.
type work struct {
	r    *Recommender
	s    *snapshot
	m    *modelView // the scenario's own, else the shared one; nil = none
	q    *checked
	ctx  context.Context
	user *features.User
	// state is what is stored of the user; nil = nothing.
	state *features.State
	env   *rules.Env
	plan  *rules.Plan
	gate  *gate
	pool  *pool
	// leave gives the place among the workers back.
	leave func()
	// result is the outcome of the rules, after filling.
	result rules.Result

	// rulesUntil is when score rules must stop; zero before the rules stage.
	rulesUntil time.Time

	vec      []float32 // the user's in the model, once it is asked for
	encoded  bool
	modelled int // candidates that came from the model
	degraded []string
	took     [stages]time.Duration
	trail    *trail // nil unless explaining
	spans    []Span // empty unless Options.Spans listens
}

func (r *Recommender) newWork(ctx context.Context, q *checked) *work {
	w := &work{r: r, s: r.current.Load(), q: q, ctx: ctx}
	if w.m = w.s.special[q.Scenario]; w.m == nil {
		w.m = w.s.main
	}
	if q.Explain {
		w.trail = &trail{}
	}
	return w
}

// timed runs a stage and notes how long it took.
func (w *work) timed(s stage, run func()) {
	start := time.Now()
	run()
	took := time.Since(start)
	w.took[s] += took
	if w.r.opts.Spans != nil {
		w.spans = append(w.spans, Span{Name: s.String(), Start: start, Took: took})
	}
}

func (w *work) lose(reason string) { w.degraded = append(w.degraded, reason) }

// Recommend answers a request. The error is an *InvalidError for a request that cannot be answered,
// and nil otherwise: whatever is missing or broken makes the answer poorer and is named in
// Response.Degraded.
func (r *Recommender) Recommend(ctx context.Context, q Request) (*Response, error) {
	start := time.Now()
	c, err := r.check(q)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, r.opts.Budget)
	defer cancel()
	w := r.newWork(ctx, c)
	defer w.release()
	w.timed(stageUser, w.readUser)
	w.timed(stagePlan, w.route)
	w.timed(stageCandidates, w.gather)
	if r.opts.Considered != nil {
		r.opts.Considered(w.env, w.pool.list)
	}
	w.timed(stageRules, w.rank)
	responding := w.begin()
	resp := w.respond(w.servedBy())
	w.span("respond", responding)
	r.metrics.answered(resp, w, time.Since(start))
	w.finish(resp, time.Since(start))
	return resp, nil
}

// readUser reads the user in one round trip; everything after it is in memory.
func (w *work) readUser() {
	st, lost := w.r.users.read(w.ctx, w.q.subject)
	if lost != "" {
		w.lose(lost)
	}
	w.leave = w.r.places(w.m).enter(w.ctx)
	w.state = st
	w.user = w.viewUser()
	w.env = &rules.Env{
		Expired: w.expired,
		Now:     w.q.now,
		User:    w.user,
		Shown:   w.user.Shown,
		Request: rules.Request{
			Scenario: w.q.Scenario, Placement: w.q.Placement, Channel: w.q.Channel,
			Query: w.q.Query, SourceItem: w.q.SourceItem, Count: w.q.Count,
		},
		Context: w.q.context,
		Source:  w.s.cat.item(w.q.SourceItem),
		Model:   w.modelInfo(),
		Off:     w.s.fuses.blown(),
	}
	w.trail.user(w, lost)
}

// FieldReader is a model whose Encode reads fields of the user (Env, Known) besides the history, and which
// says so: no other field but those that rules and filters look at is computed.
type FieldReader interface {
	UserFields() []string
}

// viewUser computes what will be read of the user: all of it only where a person reads the explanation, or
// somebody records what the rules saw.
func (w *work) viewUser() *features.User {
	if w.trail != nil || w.r.opts.Considered != nil {
		return w.r.schema.User(w.q.subject, w.state, w.s.cat.item, w.q.now)
	}
	reader := w.s.users
	if w.q.filter != nil {
		reader = reader.With(w.q.filter.UserFields())
	}
	if w.m != nil {
		if m, ok := w.m.model.(FieldReader); ok {
			reader = reader.With(m.UserFields())
		}
	}
	return reader.Read(w.q.subject, w.state, w.s.cat.item, w.q.now)
}

// userField computes one field of the user, which few requests ask for; nil when the schema has none.
func (w *work) userField(name string) any {
	if v, ok := w.user.Env[name]; ok {
		return v
	}
	return w.r.schema.UserReader([]string{name}).Read(w.q.subject, w.state, w.s.cat.item, w.q.now).Env[name]
}

// expired tells the rules that their time, or the request's, is used up.
func (w *work) expired() bool {
	return w.ctx.Err() != nil || !w.rulesUntil.IsZero() && time.Now().After(w.rulesUntil)
}

// route lets the rules choose the strategy, and names what the snapshot lacks.
func (w *work) route() {
	if w.m == nil {
		w.lose(DegradedNoModel)
	}
	if lost := w.r.catalogueLoss(w.s, w.q.now); lost != "" {
		w.lose(lost)
	}
	if !w.s.ruled {
		w.lose(DegradedNoRules)
	}
	w.plan = w.s.rules.Plan(w.env)
	if w.otherModel() {
		w.lose(DegradedOtherModel)
	}
	w.gate = w.s.gate(w.ctx, w.m, w.env, w.q)
	w.trail.plan(w)
}

// otherModel tells whether a rule chose a model that is not the one at hand.
func (w *work) otherModel() bool {
	return w.plan.Model != "" && w.m != nil && w.plan.Model != w.m.version() && w.plan.Model != w.m.model.Meta().Kind
}

// servedBy names the strategy that made the list.
func (w *work) servedBy() ServedBy {
	model := false
	for i := range w.result.Items {
		for _, src := range w.result.Items[i].Sources {
			model = model || src == rules.SourceModel
		}
	}
	switch {
	case len(w.result.Items) == 0:
		return ServedByNone
	case w.plan.Replace != nil:
		return ServedByRules
	case model:
		return ServedByModel
	case w.s.origin == originDisk:
		return ServedByStatic
	}
	return ServedByPopular
}

// respond makes the answer of the ranked list.
func (w *work) respond(by ServedBy) *Response {
	if w.gate != nil && w.gate.overBudget {
		w.lose(DegradedFilterBudget)
	}
	resp := &Response{
		RecommendationID: w.recommendationID(),
		Items:            make([]Item, len(w.result.Items)),
		ServedBy:         by,
		Degraded:         append(w.degraded, w.result.Degraded...),
		Versions:         w.s.versions,
	}
	if w.m != nil {
		resp.Versions.Model = w.m.version()
	}
	for i := range w.result.Items {
		ranked := &w.result.Items[i]
		resp.Items[i] = Item{
			ItemID: ranked.Item.ID, Score: ranked.Score, Source: primary(ranked.Sources),
			Reasons: ranked.Reasons, Badges: ranked.Badges, Notes: ranked.Notes, Fields: w.fields(ranked.Item),
		}
	}
	resp.NextCursor = w.nextCursor(resp)
	if w.trail != nil {
		resp.Explain = w.explain(resp)
	}
	return resp
}

// fields returns the values of an item that the request asks for.
func (w *work) fields(it *features.Item) map[string]any {
	if len(w.q.Fields) == 0 {
		return nil
	}
	out := make(map[string]any, len(w.q.Fields))
	for _, name := range w.q.Fields {
		out[name] = it.Env[name]
	}
	return out
}

func primary(sources []rules.Source) string {
	if len(sources) == 0 {
		return ""
	}
	return string(sources[0])
}
