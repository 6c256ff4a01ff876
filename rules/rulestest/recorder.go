package rulestest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"slices"
	"sync"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/rules"
)

// RecorderOptions tune a Recorder.
type RecorderOptions struct {
	// Secret keys the hash that stands in a recording for a user id. Without one, anybody who knows
	// an id can find its requests.
	Secret []byte
	// Mask lists fields that are left out, such as "user.country" or "user.history", beside what is never written: the
	// search text, and the open maps and the referrer of a visit.
	Mask []string
}

// alwaysMasked may hold anything that a shop or a visitor wrote, names and addresses included.
var alwaysMasked = []string{"user.attrs", "context.attrs", "context.referrer"}

// Recorder writes requests as lines that ReadRecordings reads. An item is described once, and again
// only when it has changed. It is safe for concurrent use; Record does I/O, so call it off the
// request's path.
type Recorder struct {
	schema *features.Schema
	opts   RecorderOptions

	mu      sync.Mutex
	out     *json.Encoder
	written map[string]*features.Item
}

// NewRecorder returns a recorder that writes to w.
func NewRecorder(w io.Writer, schema *features.Schema, opts RecorderOptions) *Recorder {
	opts.Mask = slices.Concat(alwaysMasked, opts.Mask)
	return &Recorder{schema: schema, opts: opts, out: json.NewEncoder(w), written: map[string]*features.Item{}}
}

// Record writes one request: what rules saw of it, and the candidates before rules.
func (r *Recorder) Record(env *rules.Env, candidates []rules.Candidate) error {
	q := env.Request
	l := line{
		Format: RecordingFormat, At: env.Now.UTC(),
		Request: lineRequest{Scenario: q.Scenario, Placement: q.Placement, Channel: q.Channel, SourceItem: q.SourceItem, Count: q.Count},
		Context: r.values("context", r.schema.ContextFields(), env.Context, nil),
		User: lineUser{Ref: r.ref(env.User.ID), Seen: env.User.Seen,
			Features: r.values("user", r.schema.UserFields(), env.User.Env, env.User.Known)},
		Candidates: make([]lineCandidate, 0, len(candidates)),
		Items:      map[string]map[string]any{},
	}
	r.past(env, &l.User)
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range candidates {
		if c.Item == nil {
			continue
		}
		l.Candidates = append(l.Candidates, lineCandidate{ID: c.Item.ID, Base: c.Base, Sources: c.Sources})
		if r.written[c.Item.ID] != c.Item {
			l.Items[c.Item.ID] = r.item(c.Item)
			if len(c.Vector) > 0 {
				if l.Vectors == nil {
					l.Vectors = map[string][]float32{}
				}
				l.Vectors[c.Item.ID] = c.Vector
			}
			r.written[c.Item.ID] = c.Item
		}
	}
	if err := r.out.Encode(l); err != nil {
		return fmt.Errorf("record a request: %w", err)
	}
	return nil
}

// maskHistory is what Mask calls everything that the user did and was shown, his vector included.
const maskHistory = "user.history"

// past writes down what rules may ask of the user's past.
func (r *Recorder) past(env *rules.Env, u *lineUser) {
	if slices.Contains(r.opts.Mask, maskHistory) {
		return
	}
	at := env.Now.UnixMilli()
	for _, list := range [][]features.Entry{env.User.History, env.Shown} {
		for _, e := range list {
			u.History = append(u.History, lineDeed{string(e.Type), e.ItemID, at - e.Time})
		}
	}
	u.Vector = env.Taste
}

func (r *Recorder) item(it *features.Item) map[string]any {
	out := r.values("item", r.schema.ItemFields(), it.Env, it.Known)
	if len(it.SalesByCountry) > 0 {
		out[salesByCountry] = it.SalesByCountry
	}
	return out
}

// ref is the same for the same user, and tells nothing else about him.
func (r *Recorder) ref(id string) string {
	if id == "" {
		return ""
	}
	h := hmac.New(sha256.New, r.opts.Secret)
	h.Write([]byte(id))
	return "u-" + hex.EncodeToString(h.Sum(nil)[:8])
}

// values picks the known fields of one object; known nil means those that differ from the default.
func (r *Recorder) values(object string, fields []features.Field, env map[string]any, known map[string]bool) map[string]any {
	out := map[string]any{}
	for _, f := range fields {
		if slices.Contains(r.opts.Mask, object+"."+f.Name) {
			continue
		}
		v, ok := env[f.Name]
		if known == nil {
			ok = ok && !reflect.DeepEqual(v, f.Default)
		} else {
			ok = ok && known[f.Name]
		}
		if ok && f.Name != "id" {
			out[f.Name] = v
		}
	}
	return out
}
