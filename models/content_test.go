package models

import (
	"testing"
	"time"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/streams"
)

func TestContentScoresByWhatItemsShare(t *testing.T) {
	spec, err := NewTowerSpec([]TowerField{{Name: "category", As: AsValue}}, []string{"category=a", "category=b"})
	if err != nil {
		t.Fatal(err)
	}
	build := func(popularity []float64) *Content {
		m, err := NewContent(Meta{}, DefaultSignal(), spec, []string{"a1", "a2", "b1", "none"}, []int{0, 1, 2, 3, 3},
			[]Feature{{0, 1}, {0, 1}, {1, 1}}, popularity)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	now := time.UnixMilli(1e12)
	u := &features.User{History: []features.Entry{{Type: streams.View, ItemID: "a1", Time: 9e11}}}
	scores := make([]float32, 4)
	m := build(nil)
	if !m.Score(u, now, scores) || scores[1] != 1 || scores[2] != 0 || scores[3] != 0 {
		t.Errorf("scores %v", scores)
	}
	if m.Score(&features.User{}, now, scores) || m.Score(nil, now, scores) {
		t.Error("a user without history was scored")
	}
	if _, ok := m.Encode(u, now); ok || m.Items().Dim != 0 || m.Meta().Kind != KindContent {
		t.Error("it has no vectors")
	}
	if !build([]float64{1, 2, 4, 0}).Score(nil, now, scores) || scores[0] != 3 || scores[2] != 4 {
		t.Errorf("crowd: %v", scores)
	}
	if _, err := NewContent(Meta{}, DefaultSignal(), spec, []string{"a"}, []int{0}, nil, nil); err == nil {
		t.Error("starts that do not fit were accepted")
	}
}
