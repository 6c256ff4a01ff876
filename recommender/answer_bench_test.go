//go:build unix

package recommender_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/models"
	"github.com/sartorhq/sartor/recommender"
	"github.com/sartorhq/sartor/recommender/decision"
	"github.com/sartorhq/sartor/recommender/httpapi"
	"github.com/sartorhq/sartor/streams"
)

// BenchmarkAnswer measures one answer of ten, of different users in turn: CPU time of the process, which
// other programs disturb least, and allocations. "direct" calls Recommend, "http" is one connection to the
// server, its client included. Users come from memory, packed as Redis has them.
//
//	go test ./recommender -run xxx -bench Answer -benchtime 3s
func BenchmarkAnswer(b *testing.B) {
	for _, size := range []struct{ items, rules int }{{10_000, 10}, {100_000, 20}} {
		r := answering(b, size.items, size.rules)
		b.Run(fmt.Sprintf("items=%d/rules=%d/direct", size.items, size.rules), func(b *testing.B) {
			ctx, i := context.Background(), 0
			measured(b, func() {
				i += 31
				if _, err := r.Recommend(ctx, recommender.Request{UserID: answeredUser(i), Scenario: "home", Count: 10, Context: map[string]any{"country": "DE"}}); err != nil {
					b.Fatal(err)
				}
			})
		})
		b.Run(fmt.Sprintf("items=%d/rules=%d/http", size.items, size.rules), func(b *testing.B) {
			ask := connected(b, r)
			i := 0
			measured(b, func() { i += 31; ask(answeredUser(i)) })
		})
	}
}

// measured runs the loop of a benchmark and reports its CPU time.
func measured(b *testing.B, do func()) {
	for range 2000 { // what is shown is made on demand
		do()
	}
	b.ReportAllocs()
	before := usedCPU(b)
	for b.Loop() {
		do()
	}
	b.ReportMetric(float64((usedCPU(b)-before).Microseconds())/float64(b.N), "cpu-us/op")
}

func usedCPU(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// answeredUsers is how many users ask, each with fifty events.
const answeredUsers = 500

func answeredUser(i int) string { return fmt.Sprintf("u%d", i%answeredUsers) }

// packedUsers are users as a store keeps them.
type packedUsers map[string]string

func (p packedUsers) User(_ context.Context, subject string) (*features.State, error) {
	return features.UnpackState(p[subject])
}

// answering is a shop of n items with a factor model, users with a past, and rules of the usual kinds.
func answering(tb testing.TB, n, ruleCount int) *recommender.Recommender {
	tb.Helper()
	s := newShop()
	rng := rand.New(rand.NewPCG(4, 4))
	users := make(packedUsers, answeredUsers)
	for u := range answeredUsers {
		var st features.State
		for i := range 50 {
			e := streams.Event{ID: fmt.Sprintf("u%d-%d", u, i), Type: streams.View, UserID: answeredUser(u), Country: "DE",
				Time: noon.Add(time.Duration(i-72) * 30 * time.Minute), Items: []streams.Line{{ItemID: answeredItem(rng.IntN(1000))}}}
			if i%10 == 9 {
				e.Type, e.Items[0].Quantity, e.Items[0].Price, e.Currency = streams.Order, 1, 4999, "EUR"
			}
			for _, d := range s.schema.Fold(&e) {
				if d.Entity.Kind == features.UserEntity {
					st.Apply(s.schema, d.Ops)
				}
			}
		}
		users[answeredUser(u)] = string(features.PackState(nil, &st))
	}
	r := recommender.New(recommender.Options{Schema: s.schema, Users: users, Now: func() time.Time { return noon }, Budget: time.Minute, RulesBudget: time.Minute,
		Decided: func(*decision.Decision) {}})
	if err := r.Refresh(tb.Context(), answeredItems(n)); err != nil {
		tb.Fatal(err)
	}
	m, err := clustered(n)
	if err != nil {
		tb.Fatal(err)
	}
	if err := r.SetModel(m); err != nil {
		tb.Fatal(err)
	}
	r.SetRules(ruleSet(tb, s, usualRules(ruleCount)))
	return r
}

func answeredItem(i int) string { return fmt.Sprintf("item-%07d", i) }

// answeredItems is an item source of n items, of which the first tenth sold.
type answeredItems int

func (n answeredItems) ChangedItems(context.Context, []int64) ([]features.ItemState, []int64, error) {
	rng := rand.New(rand.NewPCG(2, 2))
	out := make([]features.ItemState, n)
	for i := range out {
		price := 100 + rng.IntN(20_000)
		created := noon.Add(-time.Duration(1+rng.IntN(90*24)) * time.Hour)
		out[i] = features.ItemState{ID: answeredItem(i), State: &features.State{DocTime: created.UnixMilli(), Doc: fmt.Sprintf(
			`{"title":"Item number %d","category":"c%d","brand":"b%d","price":%d,"cost":%d,"stock":%d,"created_at":%q}`,
			i, rng.IntN(50), rng.IntN(3000), price, price*2/3, rng.IntN(40), created.Format(time.RFC3339))}}
		if i < int(n)/10 {
			out[i].State.Counters = map[string]int64{"u:order": int64(1 + rng.IntN(20)), fmt.Sprintf("u:order@d%d", noon.Unix()/86400-int64(rng.IntN(20))): int64(1 + rng.IntN(20))}
		}
	}
	return out, []int64{1}, nil
}

// clustered is a factor model as training leaves it: tastes in clusters, popularity with a long tail.
func clustered(n int) (models.Model, error) {
	const factors, clusters = 56, 200
	rng := rand.New(rand.NewPCG(3, 3))
	centres := make([]float32, clusters*factors)
	for i := range centres {
		centres[i] = float32(rng.NormFloat64() / math.Pow(1+float64(i%factors), 0.35))
	}
	table := models.ItemTable{IDs: make([]string, n), Factors: make([]float32, n*factors), Popularity: make([]float32, n)}
	for i := range n {
		table.IDs[i] = answeredItem(i)
		pop := math.Exp(rng.NormFloat64() * 1.5)
		table.Popularity[i] = float32(10 * pop)
		size, centre := float32(0.2*math.Pow(pop, 0.3)), centres[rng.IntN(clusters)*factors:]
		for j := range factors {
			table.Factors[i*factors+j] = size * (centre[j] + 0.5*float32(rng.NormFloat64()/math.Pow(1+float64(j), 0.35)))
		}
	}
	return models.NewALS(models.Meta{Version: "bench", CreatedAt: noon, TrainedThrough: noon},
		models.ALSParams{Factors: factors, Unobserved: 0.1, Lambda: 0.01, Nu: 1, Kappa: 0.05, Signal: models.DefaultSignal()}, table)
}

// usualRules are those of `sartor bench serve`.
func usualRules(n int) string {
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
	text.WriteString("rules:\n")
	for i := range n {
		body := kinds[i%len(kinds)]
		if strings.Contains(body, "%") {
			body = fmt.Sprintf(body, 2+i%40)
		}
		fmt.Fprintf(&text, "- id: rule-%d\n  description: of a benchmark\n%s", i, body)
	}
	return text.String()
}

// connected serves the recommender and returns a client with one connection.
func connected(b *testing.B, r *recommender.Recommender) (ask func(user string)) {
	server := httpapi.New(httpapi.Options{Recommender: r})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- server.Serve(ln) }()
	conn, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := conn.Close(); err != nil {
			b.Error(err)
		}
		if err := server.Shutdown(context.Background()); err != nil {
			b.Error(err)
		}
		if err := <-done; err != nil {
			b.Error(err)
		}
	})
	in, requests := bufio.NewReader(conn), map[string][]byte{}
	for u := range answeredUsers {
		body := fmt.Sprintf(`{"user_id":%q,"scenario":"home","count":10,"context":{"country":"DE"}}`, answeredUser(u))
		requests[answeredUser(u)] = fmt.Appendf(nil, "POST /v1/recommend HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	}
	return func(user string) {
		if _, err := conn.Write(requests[user]); err != nil {
			b.Fatal(err)
		}
		if err := readAnswer(in); err != nil {
			b.Fatal(err)
		}
	}
}

// readAnswer reads past one answer of status 200.
func readAnswer(in *bufio.Reader) error {
	length, first := 0, true
	for {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return err
		}
		switch {
		case first && !slices.Equal(line[:12], []byte("HTTP/1.1 200")):
			return fmt.Errorf("answer %q", line)
		case len(line) == 2:
			_, err := io.CopyN(io.Discard, in, int64(length))
			return err
		}
		first = false
		if v, ok := strings.CutPrefix(string(line), "Content-Length: "); ok {
			if _, err := fmt.Sscan(v, &length); err != nil {
				return err
			}
		}
	}
}
