package archive

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics is what the archive tells of itself.
type metrics struct {
	events *prometheus.CounterVec
	lost   *prometheus.CounterVec
	files  prometheus.Counter
	bytes  prometheus.Counter
	took   prometheus.Histogram
}

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		events: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "sartor_archive_events_total", Help: "Events written to the archive."}, []string{"topic"}),
		lost: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "sartor_archive_lost_events_total",
			Help: "Events of a range that was begun and that the log had dropped when it was finished."}, []string{"topic"}),
		files: prometheus.NewCounter(prometheus.CounterOpts{Name: "sartor_archive_files_total", Help: "Parquet files written."}),
		bytes: prometheus.NewCounter(prometheus.CounterOpts{Name: "sartor_archive_bytes_total", Help: "Bytes of the Parquet files written."}),
		took: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "sartor_archive_write_seconds",
			Help: "Time to write the files of one range of offsets.", Buckets: prometheus.ExponentialBuckets(0.01, 4, 8)}),
	}
	if r != nil {
		r.MustRegister(m.events, m.lost, m.files, m.bytes, m.took)
	}
	return m
}

// written counts a range that is done.
func (m *metrics) written(c *claim, took time.Duration) {
	m.events.WithLabelValues(c.Topic).Add(float64(c.Events))
	m.files.Add(float64(len(c.Files)))
	m.took.Observe(took.Seconds())
}
