package httpapi

import (
	"net/http"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/adaptor"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// livez answers as long as the process can answer at all.
func (s *Server) livez(c *fiber.Ctx) error { return reply(c, http.StatusOK, health{Status: "ok"}) }

// readyz tells whether requests should be sent here. Degraded is ready: readiness asks whether there
// will be an answer, never whether Redis or Kafka are well.
func (s *Server) readyz(c *fiber.Ctx) error {
	draining, ready := s.draining.Load(), s.rec.Ready()
	out, status := health{Status: "ok"}, http.StatusOK
	if draining || !ready {
		out.Status, status = "unavailable", http.StatusServiceUnavailable
	}
	if c.Context().QueryArgs().Has("verbose") {
		st := s.rec.Status()
		out.Checks = []check{
			{Name: "started", OK: ready, Detail: "the catalogue was asked for once"},
			{Name: "serving", OK: !draining, Detail: "not shutting down"},
			{Name: "full", OK: len(st.Degraded) == 0, Detail: strings.Join(st.Degraded, ", ")},
		}
	}
	return reply(c, status, out)
}

// version answers GET /version.
func (s *Server) version(c *fiber.Ctx) error {
	out := versionBody{Version: s.opts.Version, Go: runtime.Version()}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, kv := range info.Settings {
			if kv.Key == "vcs.revision" {
				out.Commit = kv.Value
			}
		}
	}
	return reply(c, http.StatusOK, out)
}

// status answers GET /v1/status.
func (s *Server) status(c *fiber.Ctx) error { return reply(c, http.StatusOK, s.statusBody()) }

func (s *Server) statusBody() statusBody {
	st := s.rec.Status()
	out := statusBody{
		Versions: versions(st.Versions),
		Snapshot: snapshotBody{
			BuiltAt: st.BuiltAt.UTC(), RefreshedAt: instant(st.RefreshedAt),
			Catalogue: st.Catalogue, Items: st.Items, Vectors: st.Vectors,
		},
		Scenarios: st.Scenarios, UsersReachable: st.UsersReachable, Degraded: list(st.Degraded), Draining: s.draining.Load(),
	}
	if !st.RefreshedAt.IsZero() {
		age := s.opts.Now().Sub(st.RefreshedAt).Seconds()
		out.Snapshot.AgeSeconds = &age
	}
	if st.Versions.Model != "" {
		m := st.Model
		out.Model = &modelBody{Version: st.Versions.Model, Kind: m.Kind, Dim: m.Dim,
			CreatedAt: m.CreatedAt.UTC(), TrainedThrough: m.TrainedThrough.UTC(), Metrics: m.Metrics,
			Index: m.Index, Recall: m.Recall}
	}
	if s.opts.Rules != nil {
		r := s.opts.Rules()
		out.Rules = &rulesBody{Revision: r.Revision, OK: r.OK, LoadedAt: instant(r.LoadedAt),
			LastAttempt: instant(r.LastAttempt), Problems: list(r.Problems)}
	}
	return out
}

// metricsHandler answers GET /metrics in the format that the scraper asks for.
func (s *Server) metricsHandler() fiber.Handler {
	return adaptor.HTTPHandler(promhttp.HandlerFor(s.gatherer(), promhttp.HandlerOpts{DisableCompression: true}))
}

// openAPI answers GET /openapi.json.
func (s *Server) openAPI(c *fiber.Ctx) error {
	return replyRaw(c, http.StatusOK, "application/openapi+json", s.document.json)
}
