package main

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/sartorhq/sartor/models/index"
	"github.com/sartorhq/sartor/recommender"
)

// scan measures the index alone beside the memory's bandwidth.
func (b *benchServeRun) scan(ctx context.Context, p *benchPath) error {
	items := p.model.Items()
	x := index.NewFlat(items.Dim, items.Vectors)
	l := x.Limits(15)
	q := items.Vectors[:items.Dim]
	dst := make([]index.Hit, 0, 500)
	search := shortest(15, func() { dst = x.AppendSearch(dst[:0], q, 500, nil) })
	b.printf("  %-46s %9s   %.1f GB/s of memory, %s\n", "reading the codes, nothing else", millis(l.Read), l.Bandwidth(), bytesText(int64(l.Bytes)))
	b.printf("  %-46s %9s   %.0f %% of that bandwidth\n", "scanning the codes", millis(l.Scan), 100*l.Ratio())
	b.printf("  %-46s %9s   %.2f times the scan\n", "exact search for the best 500", millis(search), float64(search)/float64(l.Scan))
	b.verdict(fmt.Sprintf("scan at %.0f %% of the bandwidth", 100*goalScan), l.Ratio() >= goalScan, "%.0f %%", 100*l.Ratio())
	return ctx.Err()
}

// shortest returns the shortest of n runs: other programs disturb only upwards.
func shortest(n int, do func()) time.Duration {
	least := time.Duration(math.MaxInt64)
	for range n {
		start := time.Now()
		do()
		least = min(least, time.Since(start))
	}
	return least
}

// filterShares are filters by price that keep known shares of the catalogue.
var filterShares = []struct {
	filter string
	share  float64
}{
	{"", 1}, {"item.price < 101", 0.5}, {"item.price < 11", 0.05}, {"item.price < 2", 0.005}, {"item.price < 1.1", 0.0005},
}

// filters measures requests whose filter keeps less and less, without HTTP and Redis: a user without
// stored features but a model's list all the same is what Similar answers.
func (b *benchServeRun) filters(ctx context.Context, p *benchPath) error {
	b.printf("  %-46s %9s %9s %9s   of 100 asked for\n", "item-to-item, a filter that keeps", "least", "median", "listed")
	const runs = 31
	base := time.Duration(0)
	worst := 0.0
	for _, f := range filterShares {
		q := recommender.SimilarRequest{ItemID: benchItemID(7), Count: 100, Filter: f.filter}
		listed := 0
		ask := func() error {
			resp, err := p.rec.Similar(ctx, q)
			if err != nil {
				return err
			}
			listed = len(resp.Items)
			return nil
		}
		if err := ask(); err != nil { // the bitmap of the filter is made by its first request
			return err
		}
		least, median, err := timesOf(runs, ask)
		if err != nil {
			return err
		}
		if base == 0 {
			base = least
		}
		worst = max(worst, float64(least)/float64(base))
		b.printf("  %-46s %9s %9s %9d\n", fmt.Sprintf("%g %%", 100*f.share), millis(least), millis(median), listed)
		if want := min(100, int(f.share*float64(p.n)/2)); listed < want {
			return fmt.Errorf("a filter that keeps %g %% listed %d items of %d", 100*f.share, listed, want)
		}
	}
	b.verdict("no filter slower than none by more than 20 %", worst <= goalFilter, "at most %.2f times", worst)
	return ctx.Err()
}
