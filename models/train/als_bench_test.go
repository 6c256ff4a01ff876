package train

import (
	"context"
	"encoding/binary"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sartorhq/sartor/models"
)

// BenchmarkALSEpoch times epochs of ALS, by default on pairs drawn here, as many as Gowalla has, with D = 64
// and one worker. models/kernel/testdata/compare.py sets SARTOR_ALS to "PAIRS START DIM WORKERS STEPS", files that
// the C and Python programs beside it read, too.
func BenchmarkALSEpoch(b *testing.B) {
	o, pairs, start := Options{Dim: 64, Workers: 1, Unobserved: 1, Lambda: 1, Nu: -1}, (*csr)(nil), []float32(nil)
	items := 40981
	if set := strings.Fields(os.Getenv("SARTOR_ALS")); len(set) == 5 {
		o.Dim, o.Workers = whole(b, set[2]), whole(b, set[3])
		o.Steps = whole(b, set[4])
		pairs, items = readPairs(b, set[0])
		start = make([]float32, items*o.Dim)
		readFile(b, set[1], start)
	} else {
		pairs = drawPairs(29858, items, 34)
	}
	o = o.withDefaults()
	o.Signal = models.DefaultSignal()
	p := &problem{ids: make([]string, items), byUser: pairs, byItem: pairs.transpose(items)}
	f := newFactorisation(p, o)
	if start != nil {
		copy(f.items.Data, start)
	}
	var wall, cpu []float64
	for b.Loop() {
		began, used := time.Now(), processor(b)
		if _, err := f.epoch(context.Background()); err != nil {
			b.Fatal(err)
		}
		wall, cpu = append(wall, time.Since(began).Seconds()), append(cpu, processor(b)-used)
	}
	length := 0.0
	for _, v := range f.items.Data {
		length += float64(v) * float64(v)
	}
	b.ReportMetric(slices.Min(wall), "wall-s")
	b.ReportMetric(slices.Min(cpu), "cpu-s")
	b.ReportMetric(f.loss(), "loss")
	b.ReportMetric(math.Sqrt(length), "length")
}

// confidence is that of every pair.
const confidence = 10

// readPairs reads what compare.py writes: the numbers of users, items and pairs, where each user's pairs
// begin, and their items.
func readPairs(b *testing.B, name string) (pairs *csr, items int) {
	f, err := os.Open(name)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	var size [3]int64
	read(b, f, size[:])
	starts := make([]int64, size[0]+1)
	read(b, f, starts)
	pairs = &csr{starts: make([]int, len(starts)), cols: make([]int32, size[2]), values: slices.Repeat([]float32{confidence}, int(size[2]))}
	for i, at := range starts {
		pairs.starts[i] = int(at)
	}
	read(b, f, pairs.cols)
	pairs.sum()
	return pairs, int(size[1])
}

func readFile(b *testing.B, name string, to any) {
	f, err := os.Open(name)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	read(b, f, to)
}

func read(b *testing.B, r io.Reader, to any) {
	if err := binary.Read(r, binary.LittleEndian, to); err != nil {
		b.Fatal(err)
	}
}

// drawPairs gives every user about each items, the low numbers more often.
func drawPairs(users, items, each int) *csr {
	rng := rand.New(rand.NewPCG(1, 1))
	m := &csr{starts: []int{0}}
	for range users {
		mine := make([]int32, 1+rng.IntN(2*each))
		for k := range mine {
			x := rng.Float64()
			mine[k] = int32(float64(items) * x * x * x)
		}
		slices.Sort(mine)
		m.cols = append(m.cols, slices.Compact(mine)...)
		m.starts = append(m.starts, len(m.cols))
	}
	m.values = slices.Repeat([]float32{confidence}, len(m.cols))
	m.sum()
	return m
}

func whole(b *testing.B, s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		b.Fatal(err)
	}
	return n
}
