package main

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"strings"
	"time"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/features/redisstore"
	"github.com/sartorhq/sartor/models"
	"github.com/sartorhq/sartor/recommender"
	"github.com/sartorhq/sartor/rules"
	"github.com/sartorhq/sartor/rules/rulefile"
	"github.com/sartorhq/sartor/streams"
)

// benchKnown is how many items have been touched by the users of the benchmark: those of the smallest
// catalogue, so that the users need be written once.
const benchKnown = 1000

func benchItemID(i int) string { return fmt.Sprintf("item-%07d", i) }

// benchCatalogue is an item source of n items with documents; the first tenth has sales.
type benchCatalogue struct {
	schema *features.Schema
	n      int
	now    time.Time
}

// ChangedItems returns all items, once.
func (c benchCatalogue) ChangedItems(_ context.Context, cursor []int64) ([]features.ItemState, []int64, error) {
	if cursor != nil {
		return nil, cursor, nil
	}
	out := make([]features.ItemState, c.n)
	rng := rand.New(rand.NewPCG(2, 2))
	for i := range out {
		out[i] = c.item(i, rng)
	}
	return out, []int64{1}, nil
}

func (c benchCatalogue) item(i int, rng *rand.Rand) features.ItemState {
	price := 100 + rng.IntN(20_000) // in cents: filters by price keep known shares
	created := c.now.Add(-time.Duration(1+rng.IntN(90*24)) * time.Hour)
	doc := fmt.Sprintf(`{"title":"Item number %d","category":"c%d","brand":"b%d","price":%d,"cost":%d,"stock":%d,"created_at":%q}`,
		i, rng.IntN(50), rng.IntN(3000), price, price*2/3, rng.IntN(40), created.Format(time.RFC3339))
	st := &features.State{Doc: doc, DocTime: created.UnixMilli()}
	if i < c.n/10 {
		e := streams.Event{Type: streams.Order, ID: "o", Country: [...]string{"DE", "FR", "AT"}[rng.IntN(3)],
			Time: c.now.Add(-time.Duration(1+rng.IntN(20*24)) * time.Hour), Items: []streams.Line{{ItemID: benchItemID(i), Quantity: 1 + rng.Int64N(20), Price: 1000}}}
		for _, d := range c.schema.Fold(&e) {
			if d.Entity.Kind == features.ItemEntity {
				st.Apply(c.schema, d.Ops)
			}
		}
	}
	return features.ItemState{ID: benchItemID(i), State: st}
}

// benchModel is a factor model as training leaves it: tastes in clusters, a falling spectrum, popularity
// with a long tail. dim counts the eight dimensions of the popularity term.
func benchModel(n, dim int) (models.Model, error) {
	const clusters = 200
	factors := dim - 8
	rng := rand.New(rand.NewPCG(3, 3))
	centres := make([]float32, clusters*factors)
	for i := range centres {
		centres[i] = float32(rng.NormFloat64() / math.Pow(1+float64(i%factors), 0.35))
	}
	table := models.ItemTable{IDs: make([]string, n), Factors: make([]float32, n*factors), Popularity: make([]float32, n)}
	for i := range n {
		table.IDs[i] = benchItemID(i)
		pop := math.Exp(rng.NormFloat64() * 1.5)
		table.Popularity[i] = float32(10 * pop)
		size := float32(0.2 * math.Pow(pop, 0.3))
		centre := centres[rng.IntN(clusters)*factors:][:factors]
		for j := range factors {
			table.Factors[i*factors+j] = size * (centre[j] + 0.5*float32(rng.NormFloat64()/math.Pow(1+float64(j), 0.35)))
		}
	}
	meta := models.Meta{Version: fmt.Sprintf("bench-%d", n), CreatedAt: time.Now().UTC(), TrainedThrough: time.Now().UTC()}
	params := models.ALSParams{Factors: factors, Unobserved: 0.1, Lambda: 0.01, Nu: 1, Kappa: 0.05, Signal: models.DefaultSignal()}
	return models.NewALS(meta, params, table)
}

// fillUsers writes users with fifty events each to Redis.
func (b *benchServeRun) fillUsers(ctx context.Context) error {
	part, err := b.store.Partition(ctx, "behavior", 0)
	if err != nil {
		return err
	}
	const each = 50
	rng, at := rand.New(rand.NewPCG(4, 4)), time.Now().Add(-36*time.Hour)
	batch, offset := make([]redisstore.Folded, 0, each), int64(0)
	for u := range b.opts.users {
		batch = batch[:0]
		for i := range each {
			e := streams.Event{ID: fmt.Sprintf("u%d-%d", u, i), Type: streams.View, UserID: benchUser(u), Country: "DE",
				Time: at.Add(time.Duration(i) * 30 * time.Minute), Items: []streams.Line{{ItemID: benchItemID(rng.IntN(benchKnown))}}}
			if i%10 == 9 {
				e.Type, e.Items[0].Quantity, e.Items[0].Price, e.Currency = streams.Order, 1, 4999, "EUR"
			}
			batch = append(batch, redisstore.Folded{Offset: offset, Deltas: b.schema.Fold(&e)})
			offset++
		}
		if err := part.Apply(ctx, batch, offset-1); err != nil {
			return err
		}
	}
	return part.Flush(ctx)
}

func benchUser(u int) string { return fmt.Sprintf("u%d", u) }

func benchUsers(n int) []string {
	out := make([]string, n)
	for u := range out {
		out[u] = benchUser(u)
	}
	return out
}

// benchRules compiles n rules of the kinds that shops have, in turn, each with numbers of its own.
func benchRules(schema *features.Schema, n int) (*rules.Set, error) {
	if n == 0 {
		return rules.Empty(), nil
	}
	kinds := []string{
		"  match: has(\"item.stock\") and item.stock <= 0\n  then: [exclude: {}]\n",
		"  match: item.category in user.top_categories\n  then: [boost: {multiply: 1.%02d}]\n",
		"  match: item.price < %d and item.stock > 10\n  then: [boost: {multiply: 1.1}]\n",
		"  match: item.id in user.last_items\n  then: [exclude: {}]\n",
		"  match: item.margin < 0.%02d\n  then: [bury: {multiply: 0.9}]\n",
		"  match: item.sales_7d > %d\n  then: [boost: {add: 0.01}]\n",
		"  when: user.spend_90d > %d\n  match: item.price > 20\n  then: [boost: {multiply: 1.05}]\n",
		"  match: item.category == \"c%d\"\n  then: [boost: {multiply: 1.02}]\n",
		"  match: item.brand == \"b%d\"\n  then: [bury: {multiply: 0.5}]\n",
		"  then: [cap: {by: item.brand, max: %d, within: 10}]\n",
	}
	var text strings.Builder
	text.WriteString("apiVersion: rules/v1\nkind: RuleSet\nname: bench\ndescription: of a benchmark\nowner: bench@example.com\nrules:\n")
	for i := range n {
		body := kinds[i%len(kinds)]
		if strings.Contains(body, "%") {
			body = fmt.Sprintf(body, 2+i%40)
		}
		fmt.Fprintf(&text, "- id: rule-%d\n  description: of a benchmark\n%s", i, body)
	}
	file, problems := rulefile.Parse("bench.yaml", []byte(text.String()))
	if len(problems) == 0 {
		var set *rules.Set
		if set, problems = rules.Compile([]rules.File{file}, schema, rules.Options{}); set != nil {
			return set, nil
		}
	}
	return nil, fmt.Errorf("rules of the benchmark: %v", problems)
}

// benchPath is the read path over one catalogue.
type benchPath struct {
	n                          int
	rec                        *recommender.Recommender
	model                      models.Model
	catalogueBytes, modelBytes int64
	took                       time.Duration
}

func (b *benchServeRun) newPath(ctx context.Context, n int) (*benchPath, error) {
	p := &benchPath{n: n, rec: recommender.New(b.recOptions())}
	before, start := heapBytes(), time.Now()
	if err := p.rec.Refresh(ctx, benchCatalogue{b.schema, n, time.Now()}); err != nil {
		return nil, err
	}
	p.catalogueBytes = heapBytes() - before
	before = heapBytes()
	var err error
	if p.model, err = benchModel(n, b.opts.factors); err != nil {
		return nil, err
	}
	if err := p.rec.SetModel(p.model); err != nil {
		return nil, err
	}
	p.took = time.Since(start)
	p.modelBytes = heapBytes() - before + int64(n*b.opts.factors) // the codes are not in the heap
	p.rec.SetRules(rules.Empty())
	return p, nil
}

// recOptions give every answer time enough to be complete: how long that takes is the question.
func (b *benchServeRun) recOptions() recommender.Options {
	return recommender.Options{Schema: b.schema, Users: b.store, Budget: devBudget, UserTimeout: devBudget / 2, RulesBudget: devBudget / 2, Workers: networkThread(), Logger: b.app.logger}
}

func heapBytes() int64 {
	for range 3 { // what pools hold is let go by the second, what has a cleanup by the third
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
