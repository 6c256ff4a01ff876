package httpapi

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/pprof"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// AdminHandler returns what operators see, for a listener of its own: /metrics, /v1/status, /livez and
// Go's profiles under /debug/pprof/. With keys it asks for the scope admin. Set Options.Admin so that the
// public listener does not show the same.
func (s *Server) AdminHandler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.gatherer(), promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /v1/status", func(w http.ResponseWriter, _ *http.Request) { s.adminJSON(w, http.StatusOK, s.statusBody()) })
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	guarded := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := s.keys.allow(r.Header.Get("Authorization"), r.Header.Get("X-Api-Key"), ScopeAdmin); err != nil {
			s.refuse(w, err)
			return
		}
		mux.ServeHTTP(w, r)
	})
	open := http.NewServeMux()
	open.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { s.adminJSON(w, http.StatusOK, health{Status: "ok"}) })
	open.Handle("/", guarded)
	return open
}

func (s *Server) gatherer() prometheus.Gatherer {
	if s.opts.Gatherer == nil {
		return prometheus.NewRegistry()
	}
	return s.opts.Gatherer
}

func (s *Server) adminJSON(w http.ResponseWriter, status int, body any) {
	data, err := json.Marshal(body)
	if err != nil {
		s.logger.Error("encode an answer of the admin listener", "error", err)
		status, data = http.StatusInternalServerError, []byte("{}")
	}
	if w.Header().Get("Content-Type") == "" {
		w.Header().Set("Content-Type", "application/json")
	}
	w.WriteHeader(status)
	if _, err := w.Write(data); err != nil {
		s.logger.Debug("an operator hung up", "error", err)
	}
}

// refuse answers with an error of the keyring.
func (s *Server) refuse(w http.ResponseWriter, err error) {
	e := &httpError{status: http.StatusInternalServerError, kind: "internal"}
	errors.As(err, &e)
	if e.status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="sartor"`)
	}
	if e.retryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(e.retryAfter))
	}
	w.Header().Set("Content-Type", problemType)
	s.adminJSON(w, e.status, s.problem(e, ""))
}
