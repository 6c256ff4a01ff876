package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sartorhq/sartor/models"
	"github.com/sartorhq/sartor/recommender"
)

// timesOf returns the shortest and the median of n runs.
func timesOf(n int, do func() error) (least, median time.Duration, err error) {
	took := make([]time.Duration, n)
	for i := range took {
		start := time.Now()
		if err := do(); err != nil {
			return 0, 0, err
		}
		took[i] = time.Since(start)
	}
	slices.Sort(took)
	return took[0], took[n/2], nil
}

// starts measures how long a new process takes from nothing to whole answers when neither Kafka nor
// Redis can be reached: catalogue and model from local files.
func (b *benchServeRun) starts(ctx context.Context, p *benchPath) error {
	file, folder := filepath.Join(b.dir, fmt.Sprintf("catalogue-%d", p.n)), filepath.Join(b.dir, fmt.Sprintf("model-%d", p.n))
	if err := p.rec.SaveCatalogue(file); err != nil {
		return err
	}
	if _, err := models.Save(folder, p.model); err != nil {
		return err
	}
	set, err := benchRules(b.schema, 20)
	if err != nil {
		return err
	}
	rec := recommender.New(b.recOptions())
	defer rec.SetModel(nil) //nolint:errcheck // to take a model away cannot fail
	rec.SetRules(set)
	stop, err := cpuProfile(b.opts.profile)
	if err != nil {
		return err
	}
	begin, spent := time.Now(), processCPU()
	var loaded, read, swapped time.Duration
	var both errgroup.Group // as 'sartor serve' does it
	both.Go(func() error {
		err := rec.LoadCatalogue(file)
		loaded = time.Since(begin)
		return err
	})
	both.Go(func() error {
		m, err := models.Load(folder)
		if read = time.Since(begin); err != nil {
			return err
		}
		err = rec.SetModel(m)
		swapped = time.Since(begin)
		return err
	})
	if err := both.Wait(); err != nil {
		return err
	}
	whole := time.Since(begin)
	if _, err := rec.Recommend(ctx, recommender.Request{UserID: benchUser(1), Scenario: "home"}); err != nil {
		return err
	}
	ready := time.Since(begin)
	if err := stop(); err != nil {
		return err
	}
	b.printf("  %-46s %9s   CPU %s: catalogue after %s, model read after %s and indexed after %s, first answer in %s\n", "start to ready from local files", ready.Round(time.Millisecond),
		(processCPU() - spent).Round(time.Millisecond), loaded.Round(time.Millisecond), read.Round(time.Millisecond),
		swapped.Round(time.Millisecond), (ready - whole).Round(time.Millisecond))
	b.verdict(fmt.Sprintf("ready in %v", goalStart), ready <= goalStart, "%s", ready.Round(time.Millisecond))
	return ctx.Err()
}
