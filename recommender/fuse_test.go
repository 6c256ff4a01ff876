package recommender

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sartorhq/sartor/rules"
)

// fuseBox is fuses under a clock of the test.
type fuseBox struct {
	*fuses
	at       time.Time
	failures int
	logged   bytes.Buffer
}

func newFuseBox() *fuseBox {
	b := &fuseBox{at: time.Date(2026, 10, 23, 12, 0, 0, 0, time.UTC)}
	b.fuses = newFuses(func() time.Time { return b.at }, slog.New(slog.NewTextHandler(&b.logged, nil)), func(_, _ string, n int) { b.failures += n })
	return b
}

func (b *fuseBox) run(evaluated, failed int) {
	kind := ""
	if failed > 0 {
		kind = "match"
	}
	b.note([]rules.Tally{{Rule: "good", Evaluated: evaluated}, {Rule: "shaky", Evaluated: evaluated, Failed: failed, Kind: kind}})
}

// More than one percent of a thousand evaluations in a minute blow the fuse of that rule alone.
func TestFuseBlows(t *testing.T) {
	for name, tc := range map[string]struct {
		steps func(b *fuseBox)
		off   bool
	}{
		"too few to tell":        {func(b *fuseBox) { b.run(999, 500) }, false},
		"one percent":            {func(b *fuseBox) { b.run(1000, 10) }, false},
		"more than one percent":  {func(b *fuseBox) { b.run(1000, 11) }, true},
		"over several requests":  {func(b *fuseBox) { b.run(500, 6); b.run(500, 5) }, true},
		"diluted by good ones":   {func(b *fuseBox) { b.run(500, 6); b.run(500, 0); b.run(200, 0) }, false},
		"the minute is over":     {func(b *fuseBox) { b.run(900, 20); b.at = b.at.Add(time.Minute); b.run(900, 9) }, false},
		"just within the minute": {func(b *fuseBox) { b.run(900, 20); b.at = b.at.Add(time.Minute - 1); b.run(900, 9) }, true},
		"never failed":           {func(b *fuseBox) { b.run(100_000, 0) }, false},
	} {
		b := newFuseBox()
		tc.steps(b)
		if off := b.blown(); off["shaky"] != tc.off || off["good"] {
			t.Errorf("%s: off %v", name, off)
		}
		if said := strings.Contains(b.logged.String(), "rule=shaky"); said != tc.off {
			t.Errorf("%s: logged %q", name, b.logged.String())
		}
	}
}

func TestFuseStaysBlownAndIsCounted(t *testing.T) {
	b := newFuseBox()
	b.run(1000, 1000)
	b.at = b.at.Add(time.Hour)
	b.run(1000, 0)
	b.run(1000, 1000)
	if !b.blown()["shaky"] || b.failures != 2000 || strings.Count(b.logged.String(), "rule=shaky") != 1 {
		t.Errorf("off %v, %d failures, %s", b.blown(), b.failures, b.logged.String())
	}
	var none *fuses
	none.note([]rules.Tally{{Rule: "x", Failed: 1}})
	if none.blown() != nil {
		t.Error("no fuses, and one is blown")
	}
}

func TestFusesTogether(t *testing.T) {
	b := newFuses(time.Now, slog.New(slog.DiscardHandler), func(string, string, int) {})
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			for range 200 {
				b.note([]rules.Tally{{Rule: "shaky", Evaluated: 100, Failed: 50, Kind: "boost"}})
				_ = b.blown()["shaky"]
			}
		})
	}
	wait.Wait()
	if !b.blown()["shaky"] {
		t.Error("80,000 failures did not blow the fuse")
	}
}
