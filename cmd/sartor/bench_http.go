package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"time"
)

// target is something that requests are measured on.
type target struct {
	name string
	do   call
}

// targets are the answer and, before it, its limits.
func (b *benchRun) targets(ctx context.Context, addr net.Addr) (all []target, closeAll func()) {
	conns := make([]*httpConn, b.opts.connections)
	for i := range conns {
		conns[i] = &httpConn{addr: addr.String()}
	}
	empty := request("GET", "/livez", addr.String(), nil)
	asks := make([][]byte, 512)
	for i := range asks {
		asks[i] = request("POST", "/v1/recommend", addr.String(),
			fmt.Appendf(nil, `{"user_id":"u%d","scenario":"home","count":10,"context":{"country":"DE"}}`, 1+i*b.users/len(asks)))
	}
	turn := make([]int, b.opts.connections)
	next := func(worker int) int { turn[worker]++; return (worker*31 + turn[worker]) % len(asks) }
	return []target{
			{"empty HTTP handler (limit)", func(worker int) error { _, err := conns[worker].do(empty); return err }},
			{"one user read from Redis (limit)", func(worker int) error {
				_, err := b.parts.store.User(ctx, "u"+strconv.Itoa(1+next(worker)*b.users/len(asks)))
				return err
			}},
			{"POST /v1/recommend", func(worker int) error { _, err := conns[worker].do(asks[next(worker)]); return err }},
		}, func() {
			for _, c := range conns {
				_ = c.close() // the measurement is over
			}
		}
}

// requests finds what each target can take, and then how late it is at one rate for all.
func (b *benchRun) requests(ctx context.Context, addr net.Addr) error {
	all, closeAll := b.targets(ctx, addr)
	defer closeAll()
	capacity := make([]float64, len(all))
	for i, t := range all {
		saturate(ctx, time.Second, b.opts.connections, t.do) // warm up
		r := saturate(ctx, b.opts.duration, b.opts.connections, t.do)
		if r.Errors > 0 {
			return fmt.Errorf("%s: %d of %d failed, the first: %w", t.name, r.Errors, r.Calls, r.FirstErr)
		}
		capacity[i] = r.Rate()
	}
	rate := b.opts.rate
	if rate == 0 {
		rate = capacity[len(capacity)-1] / 2
	}
	b.printf("  %-34s %10s   at %s/s: %8s %8s %8s\n", "", "most/s", thousands(int64(rate)), "p50", "p95", "p99")
	for i, t := range all {
		r := openLoop(ctx, b.opts.duration, rate, b.opts.connections, t.do)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		b.printf("  %-34s %10s   %*s %8s %8s %8s", t.name, thousands(int64(capacity[i])), len("at /s:")+len(thousands(int64(rate))), "",
			millis(r.Quantile(0.5)), millis(r.Quantile(0.95)), millis(r.Quantile(0.99)))
		if r.Errors > 0 {
			b.printf("   %d failed: %v", r.Errors, r.FirstErr)
		}
		b.printf("\n")
	}
	return nil
}

func millis(d time.Duration) string { return fmt.Sprintf("%.2fms", float64(d.Microseconds())/1000) }

// freshness follows the first event of new users into their next answer.
func (b *benchRun) freshness(ctx context.Context, addr net.Addr) error {
	c := &httpConn{addr: addr.String()}
	defer func() { _ = c.close() }()
	delays := &loadResult{}
	for n := range b.opts.newcomers {
		user := fmt.Sprintf("newcomer-%d", n)
		ask := request("POST", "/v1/recommend", addr.String(), fmt.Appendf(nil, `{"user_id":%q,"scenario":"home"}`, user))
		answer, err := c.do(ask)
		if err != nil {
			return err
		}
		before, liked := textAfter(answer, `"served_by":"`), textAfter(answer, `"item_id":"`) // a hot one: the model knows it
		event := request("POST", "/v1/events", addr.String(), fmt.Appendf(nil, `{"event_id":"fresh-%d","type":"cart-add","time":%q,"user_id":%q,"item_id":%q}`,
			n, time.Now().UTC().Format(time.RFC3339Nano), user, liked))
		begin := time.Now()
		if _, err := c.do(event); err != nil {
			return err
		}
		for textAfter(answer, `"served_by":"`) == before {
			if answer, err = c.do(ask); err != nil {
				return err
			}
			if time.Since(begin) > time.Minute {
				return fmt.Errorf("the event of %s has not changed its answer for a minute: %s", user, answer)
			}
		}
		delays.latencies = append(delays.latencies, time.Since(begin))
	}
	slices.Sort(delays.latencies)
	b.printf("\nFRESHNESS\n  event posted by HTTP, durable, folded, in the next answer: p50 %s, p99 %s (%d users)\n",
		millis(delays.Quantile(0.5)), millis(delays.Quantile(0.99)), len(delays.latencies))
	return nil
}

// textAfter cuts the first JSON text behind a key out of an answer, without reading the rest.
func textAfter(body []byte, key string) string {
	_, rest, _ := bytes.Cut(body, []byte(key))
	text, _, _ := bytes.Cut(rest, []byte(`"`))
	return string(text)
}
