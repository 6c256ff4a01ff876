package rulestore

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are what an alert on rules looks at.
type metrics struct {
	success prometheus.Gauge
	stamp   prometheus.Gauge
	reloads *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		success: prometheus.NewGauge(prometheus.GaugeOpts{Name: "sartor_rules_reload_success",
			Help: "1 when the content of the rule folder is live, 0 when the last attempt to load it failed."}),
		stamp: prometheus.NewGauge(prometheus.GaugeOpts{Name: "sartor_rules_last_reload_success_timestamp_seconds",
			Help: "When rules last went live."}),
		reloads: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "sartor_rules_reloads_total",
			Help: "Attempts to load changed rules, by result."}, []string{"result"}),
	}
	m.reloads.WithLabelValues("success")
	m.reloads.WithLabelValues("failure")
	if reg != nil {
		reg.MustRegister(m.success, m.stamp, m.reloads)
	}
	return m
}

func (m *metrics) succeeded(now time.Time) {
	m.success.Set(1)
	m.stamp.Set(float64(now.UnixMilli()) / 1000)
	m.reloads.WithLabelValues("success").Inc()
}

func (m *metrics) failed() {
	m.success.Set(0)
	m.reloads.WithLabelValues("failure").Inc()
}
