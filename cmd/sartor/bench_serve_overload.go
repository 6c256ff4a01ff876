package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/sartorhq/sartor/recommender/httpapi"
)

// overloadTimes is how many times the capacity is asked for.
const overloadTimes = 3

// overloadResult is what became of the requests beyond the capacity.
type overloadResult struct {
	plateau, goodput   float64 // whole answers a second, alone and under overload
	asked              float64 // requests a second
	accepted, refused  []time.Duration
	failed             int // neither answered nor refused
	firstFailure       error
	heldBefore, heldAt uint64
}

// overload has the server asked for three times what it can do.
func (b *benchServeRun) overload(ctx context.Context, p *benchPath) error {
	set, err := benchRules(b.schema, 20)
	if err != nil {
		return err
	}
	p.rec.SetRules(set)
	r, err := overloaded(ctx, httpapi.New(httpapi.Options{Recommender: p.rec, Logger: b.app.logger}), b.asks(""), b.opts.duration, b.opts.overload)
	if err != nil {
		return err
	}
	b.printf("  %-46s %9s /s, of %s/s asked for; at most %s/s alone\n", fmt.Sprintf("%d times the capacity: answered", overloadTimes),
		thousands(int64(r.goodput)), thousands(int64(r.asked)), thousands(int64(r.plateau)))
	b.printf("  %-46s %9d, p50 %s, p99 %s\n", "  accepted", len(r.accepted), millis(quantile(r.accepted, 0.5)), millis(quantile(r.accepted, 0.99)))
	b.printf("  %-46s %9d, p50 %s, p99 %s\n", "  refused with 503", len(r.refused), millis(quantile(r.refused, 0.5)), millis(quantile(r.refused, 0.99)))
	b.printf("  %-46s %9s before, %s during\n", "  memory in use", bytesText(int64(r.heldBefore)), bytesText(int64(r.heldAt)))
	b.verdict(fmt.Sprintf("goodput %.0f %% of the plateau", 100*goalGoodput), r.goodput >= goalGoodput*r.plateau && r.failed == 0, "%.0f %%, %d failed", 100*r.goodput/r.plateau, r.failed)
	b.verdict(fmt.Sprintf("99 %% of the refusals within %v", goalRefusal), quantile(r.refused, 0.99) <= goalRefusal, "%s", millis(quantile(r.refused, 0.99)))
	return ctx.Err()
}

func quantile(sorted []time.Duration, q float64) time.Duration {
	return (&loadResult{latencies: sorted}).Quantile(q)
}

// overloaded finds the capacity of a server and asks for three times as much, over as many connections
// as that takes. Latencies count from the sending of a request: what waits in the generator, which
// shares the machine, is not the server's.
func overloaded(ctx context.Context, s server, asks [][]byte, calm, long time.Duration) (out overloadResult, err error) {
	b := &benchServeRun{}
	err = during(ctx, s, func(addr string) error {
		const few, many = 32, 512
		do, closeAll := b.requestsFor(addr, few, asks)
		saturate(ctx, min(calm, time.Second), few, do)
		plateau := saturate(ctx, calm, few, do)
		closeAll()
		if plateau.Errors > 0 || plateau.Calls == 0 {
			return fmt.Errorf("%d of %d requests failed before the overload, the first: %w", plateau.Errors, plateau.Calls, plateau.FirstErr)
		}
		out.plateau, out.heldBefore = plateau.Rate(), heldBytes()
		do, closeAll = b.requestsFor(addr, many, asks)
		defer closeAll()
		var mu sync.Mutex
		load := openLoop(ctx, long, overloadTimes*out.plateau, many, func(worker int) error {
			start := time.Now()
			err := do(worker)
			took := time.Since(start)
			mu.Lock()
			defer mu.Unlock()
			var status *errStatus
			switch {
			case err == nil:
				out.accepted = append(out.accepted, took)
			case errors.As(err, &status) && status.Code == http.StatusServiceUnavailable:
				out.refused = append(out.refused, took)
			default:
				out.failed++
				out.firstFailure = firstOf(out.firstFailure, err)
			}
			return nil
		})
		out.heldAt = heldBytes()
		out.goodput, out.asked = float64(len(out.accepted))/load.Took.Seconds(), float64(load.Calls)/load.Took.Seconds()
		return nil
	})
	slices.Sort(out.accepted)
	slices.Sort(out.refused)
	return out, err
}
