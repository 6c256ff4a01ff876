package models

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/sartorhq/sartor/features"
)

// BenchmarkEncode is the cost of a user's vector at request time, by the length of the history.
func BenchmarkEncode(b *testing.B) {
	const items = 20_000
	rng := rand.New(rand.NewPCG(1, 1))
	p := ALSParams{Factors: 64, Unobserved: 0.01, Lambda: 0.01, Nu: 1, Kappa: 0.1, Signal: DefaultSignal()}
	table := ItemTable{Popularity: make([]float32, items), Factors: make([]float32, items*64)}
	for j := range items {
		table.IDs = append(table.IDs, fmt.Sprintf("sku-%d", j))
	}
	for i := range table.Factors {
		table.Factors[i] = float32(rng.NormFloat64()) * 0.1
	}
	m, err := NewALS(Meta{}, p, table)
	if err != nil {
		b.Fatal(err)
	}
	benchmarkEncode(b, m, table.IDs)
}

// BenchmarkEncodeLAE is the same for the linear autoencoder.
func BenchmarkEncodeLAE(b *testing.B) {
	for _, dim := range []int{64, 256} {
		b.Run(fmt.Sprintf("dim-%d", dim), func(b *testing.B) {
			const items = 20_000
			rng := rand.New(rand.NewPCG(1, 1))
			p := LAEParams{Factors: dim, Tau: 0.1, Kappa: 0.7, Signal: DefaultSignal()}
			table := LAETable{In: make([]float32, items*dim), Users: make([]float32, items), Popularity: make([]float32, items)}
			for j := range items {
				table.IDs = append(table.IDs, fmt.Sprintf("sku-%d", j))
			}
			for i := range table.In {
				table.In[i] = float32(rng.NormFloat64()) * 0.1
			}
			table.Out = table.In
			m, err := NewLAE(Meta{}, p, table)
			if err != nil {
				b.Fatal(err)
			}
			benchmarkEncode(b, m, table.IDs)
		})
	}
}

func benchmarkEncode(b *testing.B, m Model, ids []string) {
	rng := rand.New(rand.NewPCG(2, 1))
	for _, length := range []int{1, 10, 30, 50, 100} {
		b.Run(fmt.Sprintf("history-%d", length), func(b *testing.B) {
			u := &features.User{}
			for i := range length {
				u.History = append(u.History, entry("view", ids[rng.IntN(len(ids))], time.Duration(i)*time.Hour))
			}
			b.ReportAllocs()
			for b.Loop() {
				m.Encode(u, noon)
			}
		})
	}
}
