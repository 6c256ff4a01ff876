package train

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/sartorhq/sartor/models"
	"github.com/sartorhq/sartor/streams"
)

// BenchmarkEncoderStep is a step of training on 20 histories of 200 events over 3,416 items, the work of
// testdata/encoder_torch.py. events/s is the best step's, so that other programs disturb it least;
// events/cpu-s is the median step's by processor time.
func BenchmarkEncoderStep(b *testing.B) {
	for _, workers := range []int{1, 2} {
		b.Run(fmt.Sprintf("workers-%d", workers), func(b *testing.B) {
			const users, length, items = 20, 200, 3416
			rng := rand.New(rand.NewPCG(1, 1))
			l := NewLog()
			for j := range items { // every item is known
				l.Add(&streams.Event{Type: streams.View, UserID: fmt.Sprint("x", j), Time: start, Items: []streams.Line{{ItemID: fmt.Sprint("i", j)}}})
			}
			for u := range users {
				for v := range length + 1 {
					l.Add(&streams.Event{Type: streams.View, UserID: fmt.Sprint("u", u), Time: start.Add(time.Duration(v) * time.Second),
						Items: []streams.Line{{ItemID: fmt.Sprint("i", rng.IntN(items))}}})
				}
			}
			o := Options{Seed: 1, Workers: workers, Signal: models.DefaultSignal()}.encoderDefaults()
			a, err := newEncoderTraining(l, o)
			if err != nil {
				b.Fatal(err)
			}
			var took []time.Duration
			var cpu []float64
			for b.Loop() {
				began, used := time.Now(), processor(b)
				if _, _, _, err := a.step(a.pieces, 1e-3); err != nil {
					b.Fatal(err)
				}
				a.state.Step++
				took, cpu = append(took, time.Since(began)), append(cpu, processor(b)-used)
			}
			slices.Sort(cpu)
			b.ReportMetric(users*length/slices.Min(took).Seconds(), "events/s-best")
			b.ReportMetric(users*length/cpu[len(cpu)/2], "events/cpu-s")
		})
	}
}
