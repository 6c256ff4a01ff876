package index_test

import (
	"compress/gzip"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/models/index"
	"github.com/sartorhq/sartor/models/kernel"
	"github.com/sartorhq/sartor/models/train"
	"github.com/sartorhq/sartor/streams"
	"github.com/sartorhq/sartor/streams/synth"
)

// past collects what there is to learn from, and the histories of the first users.
type past struct {
	log   *train.Log
	users map[string]*features.User
	name  string
}

func (p *past) add(e *streams.Event) {
	p.log.Add(e)
	if e.UserID == "" || len(e.Items) == 0 {
		return
	}
	u := p.users[e.UserID]
	if u == nil && len(p.users) < 300 {
		u = &features.User{ID: e.UserID}
		p.users[e.UserID] = u
	}
	if u != nil && len(u.History) < 100 {
		u.History = append(u.History, features.Entry{Type: e.Type, ItemID: e.Items[0].ItemID, Time: e.Time.UnixMilli()})
	}
}

// learnFrom reads MovieLens 1M where the data set is at hand, else a synthetic shop.
func learnFrom(t *testing.T) *past {
	t.Helper()
	p := &past{log: train.NewLog(), users: map[string]*features.User{}, name: "ml-1m"}
	root := os.Getenv("SARTOR_DATA")
	if root == "" {
		root = filepath.Join("..", "..", "..", "shared", "data")
	}
	f, err := os.Open(filepath.Join(root, "ml-1m", "ratings.csv.gz"))
	if err != nil {
		p.name = "a synthetic shop"
		start := time.Unix(1_700_000_000, 0)
		for e := range synth.New(synth.Options{Seed: 1, Users: 2000, Items: 5000, Days: 15, Start: start}).History(start.Add(15 * 24 * time.Hour)) {
			p.add(&e)
		}
		return p
	}
	defer f.Close()
	zipped, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	rows := csv.NewReader(zipped)
	rows.ReuseRecord = true
	for n := 0; ; n++ {
		r, err := rows.Read()
		if errors.Is(err, io.EOF) {
			return p
		}
		if err != nil {
			t.Fatal(err)
		}
		seconds, err := strconv.ParseInt(r[3], 10, 64)
		if err != nil || n%4 != 0 {
			continue // the header; a quarter of the ratings trains fast
		}
		p.add(&streams.Event{ID: fmt.Sprint(n), Type: streams.View, UserID: "u" + r[0], Time: time.Unix(seconds, 0), Items: []streams.Line{{ItemID: "i" + r[1]}}})
	}
}

// TestCodesAreExactOnTrainedFactors trains a factor model, whose vectors have popular directions, long
// tails and near duplicates that random ones have not, and wants of the codes the hits of the floats, for
// every user, with their scores, down to the last place.
func TestCodesAreExactOnTrainedFactors(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: trains a model")
	}
	p := learnFrom(t)
	m, _, err := train.ALS(t.Context(), p.log, train.Options{Dim: 64, Epochs: 3, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	items := m.Items()
	n := len(items.IDs)
	kinds := map[string]*index.Flat{"whole": index.NewCoded(items.Dim, items.Vectors, false), "in halves": index.NewCoded(items.Dim, items.Vectors, true)}
	weights := make([]float32, n)
	for i := range weights {
		v := items.Vectors[i*items.Dim : (i+1)*items.Dim]
		weights[i] = float32(1 / math.Max(math.Sqrt(float64(kernel.Dot(v, v))), 1e-9))
	}
	asked := 0
	for _, u := range p.users {
		q, ok := m.Encode(u, time.Now())
		if !ok {
			continue
		}
		asked++
		for _, k := range []int{1, 20, n / 9} {
			for name, w := range map[string][]float32{"by product": nil, "by angle": weights} {
				want := byFloats(items.Dim, items.Vectors, w, q, k)
				for kind, x := range kinds {
					if w != nil {
						x = x.Weighted(w)
					}
					if got := x.Search(q, k, nil); !slices.Equal(got, want) {
						t.Fatalf("%s, %s, the best %d: the codes %s differ from the floats", p.name, name, k, kind)
					}
				}
			}
		}
	}
	if asked < 100 {
		t.Fatalf("only %d users could be encoded", asked)
	}
	t.Logf("%d items of %s, %d users: all alike", n, p.name, asked)
}

// byFloats scores and sorts everything.
func byFloats(dim int, vectors, weights, q []float32, k int) []index.Hit {
	scores := make([]float32, len(vectors)/dim)
	kernel.Rows(scores, q, vectors)
	hits := make([]index.Hit, len(scores))
	for i, s := range scores {
		if weights != nil {
			s *= weights[i]
		}
		hits[i] = index.Hit{Row: i, Score: s}
	}
	index.Sort(hits)
	return hits[:min(k, len(hits))]
}
