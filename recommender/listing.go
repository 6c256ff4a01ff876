package recommender

import (
	"context"
	"maps"
	"time"

	"github.com/sartorhq/sartor/rules"
)

// ListRequest asks for a list that is the same for everybody, but for what one user had already.
type ListRequest struct {
	// Request says where, and by UserID or AnonymousID whose items are left out. Paging and Cursor play no part.
	Request
	// Source is what the list is made of: rules.SourceHot, SourceTrending, SourceNew or SourcePopular.
	Source rules.Source
}

// List answers with what is popular, rising or new, under the rules of the scenario, without the items of the
// user's history. Nothing is recorded as shown. The error is an *InvalidError or nil.
func (r *Recommender) List(ctx context.Context, q ListRequest) (*Response, error) {
	start := time.Now()
	plain := q.Request
	plain.Paging, plain.Cursor = false, ""
	c, err := r.check(plain)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, r.opts.Budget)
	defer cancel()
	w := r.newWork(ctx, c)
	defer w.release()
	w.timed(stageUser, w.readUser)
	w.excludeHistory()
	w.timed(stagePlan, w.route)
	w.timed(stageCandidates, func() {
		depth := searchDepth(c.Count)
		f := rules.Fetch{Source: q.Source}
		w.pool = w.newPool(depth)
		w.offer(f, w.drawn(f, depth), nil)
	})
	w.timed(stageRules, w.rank)
	by := ServedByPopular
	if len(w.result.Items) == 0 {
		by = ServedByNone
	}
	responding := w.begin()
	resp := w.respond(by)
	w.span("respond", responding)
	r.metrics.count("list", resp, time.Since(start))
	w.tellSpans()
	return resp, nil
}

// excludeHistory adds what the user had to the request's own exclude list.
func (w *work) excludeHistory() {
	if len(w.user.History) == 0 {
		return
	}
	all := make(map[string]bool, len(w.q.exclude)+len(w.user.History))
	maps.Copy(all, w.q.exclude)
	for _, e := range w.user.History {
		all[e.ItemID] = true
	}
	w.q.exclude = all
}
