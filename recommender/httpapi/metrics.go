package httpapi

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// unmatchedRoute is the label of requests that reach no route.
const unmatchedRoute = "unmatched"

// metrics are the figures of the HTTP server. Routes are labelled by their pattern, so that no id
// becomes a label.
type metrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	inFlight prometheus.Gauge
	panics   prometheus.Counter
	shed     prometheus.Counter
	notTaken prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	return &metrics{
		requests: f.NewCounterVec(prometheus.CounterOpts{
			Name: "sartor_http_requests_total", Help: "HTTP requests by route and status.",
		}, []string{"method", "route", "code"}),
		seconds: f.NewHistogramVec(prometheus.HistogramOpts{
			Name: "sartor_http_request_seconds", Help: "Time from the whole request to its answer.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 2, 14),
		}, []string{"method", "route"}),
		inFlight: f.NewGauge(prometheus.GaugeOpts{
			Name: "sartor_http_in_flight", Help: "Requests that are being answered."}),
		shed: f.NewCounter(prometheus.CounterOpts{
			Name: "sartor_http_shed_total", Help: "Requests refused because too many were being answered."}),
		notTaken: f.NewCounter(prometheus.CounterOpts{
			Name: "sartor_http_accept_errors_total", Help: "Connections that could not be taken, as without free file descriptors."}),
		panics: f.NewCounter(prometheus.CounterOpts{
			Name: "sartor_http_panics_total", Help: "Handlers that panicked; each answered 500."}),
	}
}

// routeMetrics are the figures of one route, looked up once.
type routeMetrics struct {
	*metrics
	method, route string
	seconds       prometheus.Observer
	ok            prometheus.Counter // status 200, the hot case
}

func (m *metrics) route(method, route string) routeMetrics {
	return routeMetrics{
		metrics: m, method: method, route: route,
		seconds: m.seconds.WithLabelValues(method, route),
		ok:      m.requests.WithLabelValues(method, route, "200"),
	}
}

func (r routeMetrics) done(status int, took time.Duration) {
	r.seconds.Observe(took.Seconds())
	if status == 200 {
		r.ok.Inc()
		return
	}
	r.requests.WithLabelValues(r.method, r.route, strconv.Itoa(status)).Inc()
}

// unmatched counts a request without a route. The method comes from the client, so only known ones
// become a label.
func (m *metrics) unmatched(method string, status int, took time.Duration) {
	switch method {
	case "GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS":
	default:
		method = "other"
	}
	m.requests.WithLabelValues(method, unmatchedRoute, strconv.Itoa(status)).Inc()
	m.seconds.WithLabelValues(method, unmatchedRoute).Observe(took.Seconds())
}
