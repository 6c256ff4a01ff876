package recommender_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/models"
	"github.com/sartorhq/sartor/recommender"
	"github.com/sartorhq/sartor/streams"
)

// noon is the moment at which all tests play, unless they say otherwise.
var noon = time.Date(2026, 10, 23, 12, 0, 0, 0, time.UTC)

// shop is a feature store in memory: the real fold and the real state, without Redis.
type shop struct {
	mu      sync.Mutex
	schema  *features.Schema
	states  map[features.Entity]*features.State
	changed map[string]int64 // item -> sequence number of its last change
	seq     int64
	down    bool // reads fail
	reads   int
}

func newShop() *shop {
	return &shop{schema: features.Default(), states: map[features.Entity]*features.State{}, changed: map[string]int64{}}
}

// happen folds events in.
func (s *shop) happen(events ...streams.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range events {
		for _, d := range s.schema.Fold(&events[i]) {
			st := &features.State{} // a copy: whoever read the old one keeps it
			if old := s.states[d.Entity]; old != nil {
				*st = clone(old)
			}
			st.Apply(s.schema, d.Ops)
			s.states[d.Entity] = st
			if d.Entity.Kind == features.ItemEntity {
				s.seq++
				s.changed[d.Entity.ID] = s.seq
			}
		}
	}
}

func clone(st *features.State) features.State {
	out := *st
	out.Counters, out.Lists = map[string]int64{}, map[string][]features.Entry{}
	for k, v := range st.Counters {
		out.Counters[k] = v
	}
	for k, v := range st.Lists {
		out.Lists[k] = slices.Clone(v)
	}
	return out
}

var errDown = errors.New("the store is down")

func (s *shop) User(ctx context.Context, subject string) (*features.State, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads++
	if s.down {
		return nil, errDown
	}
	return s.states[features.Entity{Kind: features.UserEntity, ID: subject}], nil
}

func (s *shop) ChangedItems(ctx context.Context, cursor []int64) ([]features.ItemState, []int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		return nil, nil, errDown
	}
	after := int64(0)
	if cursor != nil {
		after = cursor[0]
	}
	var out []features.ItemState
	for id, seq := range s.changed {
		if seq > after {
			out = append(out, features.ItemState{ID: id, State: s.states[features.Entity{Kind: features.ItemEntity, ID: id}]})
		}
	}
	slices.SortFunc(out, func(a, b features.ItemState) int { return strings.Compare(a.ID, b.ID) })
	return out, []int64{s.seq}, nil
}

var eventNumber int

func event(t streams.Type, user string, at time.Time) streams.Event {
	eventNumber++
	return streams.Event{ID: fmt.Sprint("e", eventNumber), Type: t, Time: at, UserID: user}
}

func item(id string, attributes map[string]any) streams.Event {
	e := event(streams.ItemUpsert, "", noon.Add(-48*time.Hour))
	e.Items = []streams.Line{{ItemID: id}}
	e.Attributes = attributes
	return e
}

func deleted(id string) streams.Event {
	e := event(streams.ItemDelete, "", noon.Add(-time.Hour))
	e.Items = []streams.Line{{ItemID: id}}
	return e
}

func view(user, id string, ago time.Duration) streams.Event {
	e := event(streams.View, user, noon.Add(-ago))
	e.Items = []streams.Line{{ItemID: id}}
	return e
}

func order(user, country, id string, units int64, ago time.Duration) streams.Event {
	e := event(streams.Order, user, noon.Add(-ago))
	e.Country = country
	e.Items = []streams.Line{{ItemID: id, Quantity: units, Price: 1000}}
	return e
}

// circle is a model whose item j points to the angle that is given for it; a user points where the
// item of the newest interaction points.
type circle struct {
	version string
	ids     []string
	vectors []float32
	scaling models.Scaling
}

func newCircle(version string, degrees map[string]float64) *circle {
	m := &circle{version: version, scaling: models.MinMax}
	for id := range degrees {
		m.ids = append(m.ids, id)
	}
	slices.Sort(m.ids)
	for _, id := range m.ids {
		rad := degrees[id] * math.Pi / 180
		m.vectors = append(m.vectors, float32(math.Cos(rad)), float32(math.Sin(rad)))
	}
	return m
}

func (m *circle) Meta() models.Meta {
	return models.Meta{Version: m.version, Kind: "circle", Dim: 2, Items: len(m.ids), Scaling: m.scaling}
}

func (m *circle) Items() models.Items { return models.Items{IDs: m.ids, Dim: 2, Vectors: m.vectors} }

func (m *circle) Encode(u *features.User, _ time.Time) ([]float32, bool) {
	for _, e := range u.History {
		if i := slices.Index(m.ids, e.ItemID); i >= 0 {
			return m.vectors[2*i : 2*i+2], true
		}
	}
	return nil, false
}

// patient is the time that tests give an answer: what they say holds on a machine that stands still for a second.
const patient = 10 * time.Minute

// options are those of a recommender over the shop at noon with predictable ids.
func (s *shop) options() recommender.Options {
	n := 0
	var mu sync.Mutex
	return recommender.Options{
		Schema: s.schema, Users: s, Now: func() time.Time { return noon },
		Budget: patient, UserTimeout: patient,
		NewID: func() string { mu.Lock(); defer mu.Unlock(); n++; return fmt.Sprint("rec-", n) },
	}
}

func (s *shop) open(t testing.TB, opts recommender.Options) *recommender.Recommender {
	t.Helper()
	r := recommender.New(opts)
	if err := r.Refresh(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	return r
}

func ask(t testing.TB, r *recommender.Recommender, q recommender.Request) *recommender.Response {
	t.Helper()
	resp, err := r.Recommend(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

// ids returns the items of an answer in one line.
func ids(resp *recommender.Response) string {
	out := make([]string, len(resp.Items))
	for i, it := range resp.Items {
		out[i] = it.ItemID
	}
	return strings.Join(out, " ")
}
