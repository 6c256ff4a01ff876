package models

import (
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sartorhq/sartor/features"
)

// threeItems says that a leads to b (0.5) and c (0.25), and b to a (1).
func threeItems() NeighbourTable {
	return NeighbourTable{IDs: []string{"a", "b", "c"}, Starts: []int{0, 2, 3, 3}, Items: []int32{1, 2, 0}, Weights: []float32{0.5, 0.25, 1}}
}

func TestNeighboursAddUpWeights(t *testing.T) {
	m, err := NewNeighbours(Meta{Kind: KindItemKNN}, testParams().Signal, threeItems())
	if err != nil {
		t.Fatal(err)
	}
	// An order counts sqrt(4), a view a day older sqrt(1/2).
	u := &features.User{History: []features.Entry{entry("order", "a", 0), entry("view", "b", 24*time.Hour)}}
	scores := []float32{9, 9, 9}
	half := float32(math.Sqrt(0.5))
	if !m.Score(u, noon, scores) || !slices.Equal(scores, []float32{half, 1, 0.5}) {
		t.Errorf("scores %v", scores)
	}
	vec, ok := m.Encode(u, noon)
	if !ok || !slices.Equal(vec, []float32{2, half, 0, 0, 0, 0, 0, 0}) {
		t.Errorf("Encode = %v, %v", vec, ok)
	}
	it := m.Items()
	if it.Dim != 8 || it.Taste != 0 || it.Vectors[8] != 0.5 || it.Vectors[16] != 0.25 || it.Vectors[1] != 1 {
		t.Errorf("items %+v", it)
	}
	for _, nobody := range []*features.User{nil, {}, {History: []features.Entry{entry("view", "zzz", 0)}}} {
		if _, ok := m.Encode(nobody, noon); ok || m.Score(nobody, noon, scores) {
			t.Error("nobody was encoded")
		}
	}
	if _, err := Save(filepath.Join(t.TempDir(), "m"), m); err == nil || !strings.Contains(err.Error(), "cannot be saved") {
		t.Errorf("saved: %v", err)
	}
}

func TestNeighboursOfALargeCatalogueOnlyScore(t *testing.T) {
	n := MaxDenseItems + 1
	table := NeighbourTable{Starts: make([]int, n+1)}
	for j := range n {
		table.IDs = append(table.IDs, fmt.Sprint(j))
	}
	m, err := NewNeighbours(Meta{Kind: KindItemKNN}, testParams().Signal, table)
	if err != nil {
		t.Fatal(err)
	}
	u := &features.User{History: []features.Entry{entry("view", "0", 0)}}
	if _, ok := m.Encode(u, noon); ok || m.Items().Dim != 0 || !m.Score(u, noon, make([]float32, n)) {
		t.Error("a large catalogue has vectors, or no scores")
	}
}

func TestNewNeighboursRefuses(t *testing.T) {
	for want, change := range map[string]func(*NeighbourTable, *Signal){
		"do not fit":      func(t *NeighbourTable, _ *Signal) { t.Items = t.Items[1:] },
		"0 items":         func(t *NeighbourTable, _ *Signal) { t.IDs = nil },
		"not finite":      func(t *NeighbourTable, _ *Signal) { t.Weights[0] = float32(math.Inf(1)) },
		"the same id":     func(t *NeighbourTable, _ *Signal) { t.IDs[1] = "a" },
		"positive weight": func(_ *NeighbourTable, s *Signal) { s.Weights = nil },
	} {
		table, signal := threeItems(), testParams().Signal
		change(&table, &signal)
		if _, err := NewNeighbours(Meta{Kind: KindEASE}, signal, table); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
