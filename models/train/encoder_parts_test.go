package train

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/models"
	"github.com/sartorhq/sartor/models/kernel"
	"github.com/sartorhq/sartor/streams"
)

// profiled replays the events into a log that keeps what was known before each.
func profiled(events []streams.Event) *Log {
	l := NewProfiledLog(NewProfile(features.Default()))
	for i := range events {
		l.Add(&events[i])
	}
	return l
}

// twoCountries is a shop in which what follows depends on where the visitor is, and on his tier: after any
// item those in DE take an even one and those elsewhere an odd one; gold takes one of the first half.
func twoCountries(users, items, views int) []streams.Event {
	rng := rand.New(rand.NewPCG(7, 7))
	var events []streams.Event
	for u := range users {
		id, tier := fmt.Sprint("u", u), []string{"gold", "tin"}[u%2]
		events = append(events, streams.Event{Type: streams.UserUpsert, UserID: id, Time: start, Attributes: map[string]any{"tier": tier}})
		for v := range views {
			country := rng.IntN(2)
			item := 2*rng.IntN(items/4) + country + u%2*items/2
			events = append(events, streams.Event{Type: streams.View, UserID: id, Time: start.Add(time.Duration(v+1) * time.Minute), Country: []string{"DE", "FR"}[country],
				Items: []streams.Line{{ItemID: fmt.Sprint("i", item)}}})
		}
	}
	return events
}

func partsOptions() Options {
	o := wheelOptions()
	o.Encoder.Head = HeadOptions{Hidden: 16}
	return o
}

func TestHeadLearnsFromUserAndVisit(t *testing.T) {
	const items = 16
	o := partsOptions()
	o.Epochs = 20
	m, _, err := Encoder(t.Context(), profiled(twoCountries(60, items, 12)), o)
	if err != nil {
		t.Fatal(err)
	}
	last := map[string]string{"gold": "i3", "tin": "i11"}
	for _, c := range []struct {
		tier, country string
		want          func(item int) bool
	}{
		{"gold", "DE", func(i int) bool { return i%2 == 0 && i < items/2 }}, {"gold", "FR", func(i int) bool { return i%2 == 1 && i < items/2 }},
		{"tin", "DE", func(i int) bool { return i%2 == 0 && i >= items/2 }}, {"tin", "FR", func(i int) bool { return i%2 == 1 && i >= items/2 }},
	} {
		u := &features.User{History: []features.Entry{{Type: "view", ItemID: last[c.tier], Time: start.UnixMilli()}},
			Env: map[string]any{"tier": c.tier}, Known: map[string]bool{"tier": true}}
		vec, ok := m.EncodeIn(u, map[string]any{"country": c.country}, start.Add(time.Minute))
		if !ok {
			t.Fatal("not encoded")
		}
		all := m.Items()
		scores := make([]float32, len(all.IDs))
		kernel.Rows(scores, vec, all.Vectors)
		best := make([]int, len(scores))
		for j := range best {
			best[j] = j
		}
		slices.SortFunc(best, func(a, b int) int {
			if scores[a] > scores[b] {
				return -1
			}
			return 1
		})
		for _, j := range best[:items/4] {
			var item int
			if _, err := fmt.Sscanf(all.IDs[j], "i%d", &item); err != nil || !c.want(item) {
				t.Errorf("%s in %s: %s is among the best", c.tier, c.country, all.IDs[j])
			}
		}
	}
}

// What training reads of a user and his visit is what serving reads, feature by feature.
func TestHeadIsTrainedOnWhatIsServed(t *testing.T) {
	events := past(600, 5)
	l := NewProfiledLog(NewProfile(richSchema(t)))
	examples := NewExamples(richSchema(t), ExampleOptions{})
	var spec *models.TowerSpec
	served := map[int32][]string{}
	p := l.profile
	for i := range events {
		e := &events[i]
		row := int32(p.Len())
		if err := examples.Add(e, func(x *Example) error {
			context := p.context(e)
			var list []string
			for _, f := range models.HeadFields(richSchema(t)) {
				if f.As == models.AsNumber {
					f.Edges = []float64{0, 1, 2, 5, 100}
				}
				if value, ok := models.HeadValue(f.Name, x.User, context, e.Time); ok {
					f.Texts(value, func(text string) { list = append(list, text) })
				}
			}
			served[row] = list
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		l.Add(e)
	}
	known := map[string]bool{}
	for _, list := range served {
		for _, text := range list {
			known[text] = true
		}
	}
	fields := slices.Clone(p.fields)
	for i := range fields {
		if fields[i].As == models.AsNumber {
			fields[i].Edges = []float64{0, 1, 2, 5, 100}
		}
	}
	var texts []string
	for text := range known {
		texts = append(texts, text)
	}
	slices.Sort(texts)
	var err error
	if spec, err = models.NewTowerSpec(fields, texts); err != nil {
		t.Fatal(err)
	}
	rows := p.rows(spec)
	if len(served) < 200 || len(served) != p.Len() || len(texts) < 100 {
		t.Fatalf("%d rows, %d of the profile, %d features", len(served), p.Len(), len(texts))
	}
	for row, want := range served {
		var got []string
		shares := map[string]float32{}
		for _, f := range rows.features(nil, row) {
			got = append(got, texts[f.Row])
			name, _, _ := strings.Cut(texts[f.Row], "=")
			shares[name] += f.Weight
		}
		if !slices.Equal(got, want) {
			t.Fatalf("row %d: trained on %q, served %q", row, got, want)
		}
		for name, share := range shares {
			if share < 0.999 || share > 1.001 {
				t.Errorf("row %d: the shares of %s add up to %v", row, name, share)
			}
		}
	}
}

// A request of the log is the user as he was just before, also in parts of the log.
func TestLogTellsTheVisit(t *testing.T) {
	l := profiled(twoCountries(4, 16, 5))
	hold := make([]bool, l.Len())
	hold[4], hold[19] = true, true
	rest, held := l.Split(hold)
	if rest.Len() != 18 || !held.Profiled() {
		t.Fatalf("%d stay", rest.Len())
	}
	u := &features.User{ID: "u0"}
	context, now, ok := held.Visit(0, u)
	want := held.Event(0)
	if !ok || now != want.Time || u.Known["tier"] != true || fmt.Sprint(u.Env["views_1h"]) != "4" || context["country"] == nil {
		t.Errorf("%v, %v, %v, %+v", context, now, ok, u)
	}
	if _, _, ok := wheel(3, 3, 3).Visit(0, u); ok {
		t.Error("a log without a profile tells")
	}
}

func TestEncoderWithPartsIsTheSameForAnyWorkersAndAfterResume(t *testing.T) {
	l := profiled(twoCountries(30, 16, 8))
	for _, full := range []int{0, -1} {
		o := partsOptions()
		o.Epochs, o.Encoder.Full, o.Encoder.Negatives, o.Encoder.Recall = 3, full, 5, 2
		o.Encoder.Tower = TowerOptions{Catalog: colours(12), Hidden: 8, IDDropout: 0.3}
		var states []EncoderState
		keep := o
		keep.Encoder.CheckpointEvery = 2
		keep.Encoder.Checkpoint = func(s *EncoderState) error {
			c := *s
			c.Values, c.Mean, c.Square = slices.Clone(s.Values), slices.Clone(s.Mean), slices.Clone(s.Square)
			states = append(states, c)
			return nil
		}
		m, _, err := Encoder(t.Context(), l, keep)
		if err != nil {
			t.Fatal(err)
		}
		want := bytesOf(m)
		for _, workers := range []int{1, 5} {
			o := o
			o.Workers = workers
			if m, _, err = Encoder(t.Context(), l, o); err != nil || !reflect.DeepEqual(bytesOf(m), want) {
				t.Errorf("full %d: other weights with %d workers (%v)", full, workers, err)
			}
		}
		for i := range states {
			o := o
			o.Encoder.Resume = &states[i]
			if m, _, err = Encoder(t.Context(), l, o); err != nil || !reflect.DeepEqual(bytesOf(m), want) {
				t.Errorf("full %d: other weights after state %d (%v)", full, i, err)
			}
		}
		o.Encoder.Resume, o.Encoder.Head.Hidden = &states[0], 0
		if _, _, err := Encoder(t.Context(), l, o); err == nil || !strings.Contains(err.Error(), "does not belong") {
			t.Errorf("a state with a head was resumed without one: %v", err)
		}
	}
}

func TestEncoderKnowsNewItemsLikeTheirKind(t *testing.T) {
	l := NewLog()
	rng := rand.New(rand.NewPCG(3, 3))
	for u := range 60 { // even users take black items, odd ones white
		for v := range 10 {
			l.Add(&streams.Event{Type: streams.View, UserID: fmt.Sprint("u", u), Time: start.Add(time.Duration(v) * time.Minute),
				Items: []streams.Line{{ItemID: fmt.Sprint("i", 2*rng.IntN(8)+u%2)}}})
		}
	}
	o := wheelOptions()
	o.Encoder.Tower = TowerOptions{Catalog: colours(16), IDDropout: 0.3}
	m, _, err := Encoder(t.Context(), l, o)
	if err != nil {
		t.Fatal(err)
	}
	fresh := NewCatalog(features.Default())
	fresh.Add(upsert(20, noon))
	fresh.Add(upsert(21, noon))
	black, ok := m.EncodeItem(fresh.Item("i20", noon))
	white, ok2 := m.EncodeItem(fresh.Item("i21", noon))
	user, ok3 := m.Encode(&features.User{History: []features.Entry{{Type: "view", ItemID: "i4", Time: start.UnixMilli()}}}, noon)
	if !ok || !ok2 || !ok3 {
		t.Fatal("no vectors")
	}
	if b, w := kernel.Dot(user, black), kernel.Dot(user, white); b < w+1 {
		t.Errorf("who looks at black scores the new black item %v, the white one %v", b, w)
	}
	// Training on without a catalogue: the tower and what it knows of the items come from the model.
	on := wheelOptions()
	on.Epochs, on.Encoder.From, on.Encoder.Rates = 1, m, map[string]float64{groupTower: 0}
	next, _, err := Encoder(t.Context(), l, on)
	if err != nil {
		t.Fatal(err)
	}
	was, is := m.Table(), next.Table()
	if is.Tower == nil || !slices.Equal(was.Tower.Out.Embed, is.Tower.Out.Embed) || !slices.Equal(was.Tower.Of, is.Tower.Of) || slices.Equal(was.Item, is.Item) {
		t.Error("a frozen tower changed, or the items did not")
	}
	on.Encoder.Rates = map[string]float64{groupItem: 0}
	if next, _, err = Encoder(t.Context(), l, on); err != nil || slices.Equal(was.Tower.Out.Embed, next.Table().Tower.Out.Embed) || !slices.Equal(was.Item, next.Table().Item) {
		t.Errorf("with frozen items the tower should change alone: %v", err)
	}
}

// A head and a tower that are added to a model leave it as it was, and alone they learn.
func TestNewPartsBeginWithoutAVoice(t *testing.T) {
	l := profiled(twoCountries(30, 16, 8))
	plain := wheelOptions()
	plain.Epochs = 3
	base, _, err := Encoder(t.Context(), l, plain)
	if err != nil {
		t.Fatal(err)
	}
	o := partsOptions()
	o.Epochs, o.Encoder.From, o.Encoder.Tower = 1, base, TowerOptions{Catalog: colours(16)}
	o.Encoder.Schedule = Schedule{Rate: 1e-12}
	m, _, err := Encoder(t.Context(), l, o)
	if err != nil {
		t.Fatal(err)
	}
	u := &features.User{History: []features.Entry{{Type: "view", ItemID: "i1", Time: start.UnixMilli()}}, Env: map[string]any{"tier": "gold"}, Known: map[string]bool{"tier": true}}
	was, _ := base.Encode(u, noon)
	is, _ := m.EncodeIn(u, map[string]any{"country": "DE"}, noon)
	for i := range was {
		if d := was[i] - is[i]; d > 1e-5 || d < -1e-5 {
			t.Fatalf("dimension %d: %v, was %v", i, is[i], was[i])
		}
	}
	// All but the head frozen: nothing else moves, and what is below needs no gradient.
	o.Encoder.Tower, o.Encoder.Schedule = TowerOptions{}, Schedule{Rate: 0.02}
	o.Encoder.Rates = map[string]float64{}
	for _, group := range EncoderGroups(o) {
		if group != groupHead {
			o.Encoder.Rates[group] = 0
		}
	}
	o.Epochs = 4
	m, report, err := Encoder(t.Context(), l, o)
	if err != nil {
		t.Fatal(err)
	}
	mine, table := m.Table(), base.Table()
	for _, x := range table.Arrays(base.Params()) {
		for _, y := range mine.Arrays(m.Params()) {
			if y.Name == x.Name && !slices.Equal(*x.Values, *y.Values) {
				t.Errorf("%s moved", x.Name)
			}
		}
	}
	if mine.Head == nil || report.Loss[3] > report.Loss[0]-0.1 {
		t.Errorf("the head did not learn: %v", report.Loss)
	}
	if _, _, err := Encoder(t.Context(), wheel(6, 6, 6), partsOptions()); err == nil || !strings.Contains(err.Error(), "profiled log") {
		t.Errorf("a head without a profile: %v", err)
	}
	for want, change := range map[string]func(*EncoderOptions){
		"a head of 12 units":  func(e *EncoderOptions) { e.Head.Hidden = 12 },
		"drops 1 of the rows": func(e *EncoderOptions) { e.Tower.IDDropout = 1 },
	} {
		bad := partsOptions()
		change(&bad.Encoder)
		if _, _, err := Encoder(t.Context(), l, bad); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}
