package recommender

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// metrics are the figures of the read path. Labels are bounded: strategies, losses, stages and the
// ids of published rules; never a user or an item.
type metrics struct {
	stage    *prometheus.HistogramVec
	total    *prometheus.HistogramVec
	stages   [stages]prometheus.Observer
	servedBy *prometheus.CounterVec
	degraded *prometheus.CounterVec
	fired    *prometheus.CounterVec
	swaps    *prometheus.CounterVec
	failures *prometheus.CounterVec
}

// newMetrics registers with reg, or measures for nobody when reg is nil.
func newMetrics(r *Recommender, reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	buckets := prometheus.ExponentialBuckets(0.00005, 2, 14) // 50 us ... 0.4 s
	m := &metrics{
		stage: f.NewHistogramVec(prometheus.HistogramOpts{
			Name: "sartor_recommend_stage_seconds", Help: "Time of one stage of a request.", Buckets: buckets,
		}, []string{"stage"}),
		total: f.NewHistogramVec(prometheus.HistogramOpts{
			Name: "sartor_recommend_seconds", Help: "Time of a request, all stages.", Buckets: buckets,
		}, []string{"kind"}),
		servedBy: f.NewCounterVec(prometheus.CounterOpts{
			Name: "sartor_recommend_served_total", Help: "Answers by the strategy that made the list.",
		}, []string{"served_by"}),
		degraded: f.NewCounterVec(prometheus.CounterOpts{
			Name: "sartor_recommend_degraded_total", Help: "Losses that answers were given with.",
		}, []string{"reason"}),
		fired: f.NewCounterVec(prometheus.CounterOpts{
			Name: "sartor_rule_fired_total", Help: "Requests in which a rule acted.",
		}, []string{"rule", "action"}),
		failures: f.NewCounterVec(prometheus.CounterOpts{
			Name: "sartor_rule_eval_errors_total", Help: "Evaluations of a rule that failed, by what failed.",
		}, []string{"rule", "kind"}),
		swaps: f.NewCounterVec(prometheus.CounterOpts{
			Name: "sartor_snapshot_swaps_total", Help: "New snapshots by what changed.",
		}, []string{"part"}),
	}
	for s := range stages {
		m.stages[s] = m.stage.WithLabelValues(s.String())
	}
	gauge := func(name, help string, value func(*snapshot) float64) {
		f.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 { return value(r.current.Load()) })
	}
	gauge("sartor_catalogue_items", "Items that may be recommended.", func(s *snapshot) float64 { return float64(s.cat.live) })
	gauge("sartor_catalogue_age_seconds", "Time since the item source last answered; -1 = never.", func(*snapshot) float64 { return r.catalogueAge() })
	gauge("sartor_model_items", "Items that have a vector.", func(s *snapshot) float64 { return float64(s.main.count()) })
	gauge("sartor_user_read_open", "1 while user reads are refused after failures.", func(*snapshot) float64 {
		if r.users.breaker.isOpen() {
			return 1
		}
		return 0
	})
	gauge("sartor_rules_off", "Rules that are switched off because they fail too often.", func(s *snapshot) float64 { return float64(len(s.fuses.blown())) })
	return m
}

func (m *metrics) ruleFailed(rule, kind string, n int) {
	m.failures.WithLabelValues(rule, kind).Add(float64(n))
}

func (r *Recommender) catalogueAge() float64 {
	ms := r.refreshedAt.Load()
	if ms == 0 {
		return -1
	}
	return r.opts.Now().Sub(time.UnixMilli(ms)).Seconds()
}

func (m *metrics) swapped(part string) { m.swaps.WithLabelValues(part).Inc() }

// answered counts a request of Recommend.
func (m *metrics) answered(resp *Response, w *work, took time.Duration) {
	for s, o := range m.stages {
		o.Observe(w.took[s].Seconds())
	}
	for _, f := range w.result.Trace.Fired {
		m.fired.WithLabelValues(f.Rule, f.Action).Inc()
	}
	m.count("recommend", resp, took)
}

func (m *metrics) count(kind string, resp *Response, took time.Duration) {
	m.total.WithLabelValues(kind).Observe(took.Seconds())
	m.servedBy.WithLabelValues(string(resp.ServedBy)).Inc()
	for _, reason := range resp.Degraded {
		m.degraded.WithLabelValues(reason).Inc()
	}
}
