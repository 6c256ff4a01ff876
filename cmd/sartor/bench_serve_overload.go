package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sartorhq/sartor/recommender/httpapi"
)

// overloadTimes is how many times the capacity is asked for.
const overloadTimes = 3

// overloadResult is what became of the requests beyond the capacity.
type overloadResult struct {
	loadReport
	plateau, goodput   float64 // whole answers a second, alone and under overload
	asked              float64 // requests a second
	heldBefore, heldAt uint64
	// Delays of the requests as the server has them, and the processors that both sides used, under
	// overload and alone.
	answering, refusing, arriving spread
	server, serverAlone           float64
	generator, generatorAlone     float64
}

// worth is how many answers the server gives for a second of its processor time, of those that it gives
// alone: what is left of it goes to refusals. Neither the generator nor other programs take part in it.
func (r *overloadResult) worth() float64 {
	return r.goodput / r.server / (r.plateau / r.serverAlone)
}

// refusal is within what 99 % of the refusals came: until they arrived, where the system tells that, so that
// the generator's own wait for a processor, which the server has the others of, is not taken for the server's.
func (r *overloadResult) refusal() time.Duration {
	if r.RefusedArrived.Count > 0 {
		return r.RefusedArrived.P99
	}
	return r.Refused.P99
}

// overload has the server asked for three times what it can do.
func (b *benchServeRun) overload(ctx context.Context, p *benchPath) error {
	set, err := benchRules(b.schema, 20)
	if err != nil {
		return err
	}
	p.rec.SetRules(set)
	stop, err := cpuProfile(b.opts.profile)
	if err != nil {
		return err
	}
	r, err := overloaded(ctx, httpapi.New(httpapi.Options{Recommender: p.rec, Processors: networkThread(), Logger: b.app.logger}), asks(benchUsers(b.opts.users)), 16, b.opts.duration, b.opts.overload)
	if err = errors.Join(err, stop()); err != nil {
		return err
	}
	b.printf("  %-46s %9s /s, of %s/s asked for; at most %s/s alone\n", fmt.Sprintf("%d times the capacity: answered", overloadTimes),
		thousands(int64(r.goodput)), thousands(int64(r.asked)), thousands(int64(r.plateau)))
	for _, d := range []struct {
		what string
		spread
	}{
		{"  accepted", r.Accepted}, {"    until the answer arrived", r.AcceptedArrived},
		{"  refused with 503", r.Refused}, {"    until the refusal arrived", r.RefusedArrived},
		{"  sent after they were due, by", r.Late}, {"  until the server reads a request", r.arriving},
		{"  from there until the answer is written", r.answering}, {"  from there until the refusal is written", r.refusing},
	} {
		b.printf("  %-46s %9d, p50 %s, p99 %s\n", d.what, d.Count, millis(d.P50), millis(d.P99))
	}
	b.printf("  %-46s %9.2f server, %.2f generator; %.2f and %.2f at the plateau\n", "  processors used", r.server, r.generator, r.serverAlone, r.generatorAlone)
	b.printf("  %-46s %9.0f %% of those at the plateau\n", "  answers for the same time of the server", 100*r.worth())
	b.printf("  %-46s %9s before, %s during\n", "  memory in use", bytesText(int64(r.heldBefore)), bytesText(int64(r.heldAt)))
	b.verdict(fmt.Sprintf("goodput %.0f %% of the plateau", 100*goalGoodput), r.goodput >= goalGoodput*r.plateau && r.Failed == 0, "%.0f %%, %d failed", 100*r.goodput/r.plateau, r.Failed)
	b.verdict(fmt.Sprintf("99 %% of the refusals within %v", goalRefusal), r.refusal() <= goalRefusal, "%s", millis(r.refusal()))
	return ctx.Err()
}

// overloaded finds the capacity of a server over a few connections, no more than it answers at once, and
// asks for three times as much, over as many as that takes, from another process. Latencies count from the
// sending of a request: what waits in the generator, which shares the machine, is not the server's; how
// late it was stands beside them, and where the time of a request went as the server saw it.
func overloaded(ctx context.Context, s server, asks [][]byte, few int, calm, long time.Duration) (out overloadResult, err error) {
	const many = 512
	clock := new(serverClock)
	err = clocked(ctx, clock, s, func(addr string) error {
		plan := loadPlan{Addr: addr, Connections: few, Requests: asks}
		for _, d := range []time.Duration{min(calm, time.Second), calm} { // the first warms up
			plan.Duration = d
			plateau, spent, err := measured(ctx, &plan)
			if err != nil {
				return err
			}
			// On a machine that others use, the server may refuse some even now: it judges by its own pace.
			if plateau.Accepted.Count == 0 || plateau.Failed > 0 {
				return fmt.Errorf("before the overload, %d of %d requests were answered and %d failed; the first failure: %q", plateau.Accepted.Count, plateau.sent(), plateau.Failed, plateau.FirstFailure)
			}
			out.plateau, out.serverAlone, out.generatorAlone = plateau.answered(), spent, plateau.processors()
		}
		clock.reset()
		out.heldBefore = heldBytes()
		plan.Connections, plan.Duration, plan.Rate = many, long, overloadTimes*out.plateau
		load, spent, err := measured(ctx, &plan)
		if err != nil {
			return err
		}
		out.heldAt, out.server, out.generator = heldBytes(), spent, load.processors()
		out.answering, out.refusing, out.arriving = clock.accepted.spread(), clock.refused.spread(), clock.arrived.spread()
		out.loadReport, out.goodput, out.asked = *load, load.answered(), float64(load.sent())/load.Took.Seconds()
		return nil
	})
	return out, err
}

// measured is apart and tells how many processors this process used meanwhile.
func measured(ctx context.Context, p *loadPlan) (r *loadReport, processors float64, err error) {
	before := processCPU()
	if r, err = p.apart(ctx); err != nil {
		return nil, 0, err
	}
	return r, (processCPU() - before).Seconds() / r.Took.Seconds(), nil
}
