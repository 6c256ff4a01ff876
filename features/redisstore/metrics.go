package redisstore

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics counts what the store does. Two stores on one registry share the counters.
type metrics struct {
	applied, skipped, scripts, fenced, rewinds, reloads, packed, moved, unpacked prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) *metrics {
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Namespace: "sartor", Subsystem: "features", Name: name, Help: help})
		if reg == nil {
			return c
		}
		if err := reg.Register(c); err != nil {
			var dup prometheus.AlreadyRegisteredError
			if errors.As(err, &dup) {
				if old, ok := dup.ExistingCollector.(prometheus.Counter); ok {
					return old
				}
			}
		}
		return c
	}
	return &metrics{
		applied:  counter("events_applied_total", "Events whose changes were applied."),
		skipped:  counter("changes_skipped_total", "Entity changes skipped because their shard had applied them before."),
		scripts:  counter("scripts_total", "Script calls, one per touched shard and batch."),
		fenced:   counter("fenced_total", "Batches refused because the stored position was not the expected one."),
		rewinds:  counter("rewinds_total", "Times the store was found behind what had been applied: Redis lost writes."),
		packed:   counter("packed_total", "Users and items whose changes were packed into one state."),
		moved:    counter("moved_total", "Packings and erasures that found something else than what they had read, and left it alone or read it again."),
		unpacked: counter("pack_failures_total", "Batches after which what had become long could not be packed."),
		reloads:  counter("script_reloads_total", "Times the script had to be loaded again."),
	}
}
