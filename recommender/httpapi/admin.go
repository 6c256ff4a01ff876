package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/pprof"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/sartorhq/sartor/recommender/identity"
)

// People judges the tokens of people. The error is identity.ErrToken or identity.ErrProvider by errors.Is.
type People interface {
	Verify(ctx context.Context, token string) (identity.Person, error)
}

func (s *Server) adminRoutes(d *document) []adminRoute {
	figures := promhttp.HandlerFor(s.gatherer(), promhttp.HandlerOpts{})
	return []adminRoute{
		{"GET /metrics", identity.Viewer, figures.ServeHTTP,
			d.metricsOperation()},
		{"GET /v1/status", identity.Viewer, func(w http.ResponseWriter, _ *http.Request) { s.adminJSON(w, http.StatusOK, s.statusBody()) },
			d.statusOperation()},
		{"GET /openapi.json", identity.Viewer, s.openAPIOfAdmin(d), openAPIOperation()},
		{"GET /debug/pprof/", identity.Admin, pprof.Index, nil},
		{"GET /debug/pprof/profile", identity.Admin, pprof.Profile, nil},
		{"GET /debug/pprof/symbol", identity.Admin, pprof.Symbol, nil},
		{"GET /debug/pprof/trace", identity.Admin, pprof.Trace, nil},
	}
}

// AdminHandler returns what operators see, for a listener of its own: /metrics, /v1/status, /livez, Go's
// profiles under /debug/pprof/, the rule archive under /v1/rules/ where there is one, and /openapi.json, which
// describes all but the profiles. With keys it asks for one of the scope admin, with Options.People also for a
// person's token: viewers see figures and status, admins profiles. Set Options.Admin so that the public
// listener does not show the same.
func (s *Server) AdminHandler() http.Handler {
	mux, d := http.NewServeMux(), newDocument()
	routes := s.adminRoutes(&d)
	if s.opts.RuleArchive != nil {
		routes = append(routes, s.ruleRoutes(&d)...)
	}
	d.addAdmin(routes)
	d.freeze()
	for _, rt := range routes {
		mux.HandleFunc(rt.pattern, func(w http.ResponseWriter, r *http.Request) {
			who, err := s.admit(r, rt.role)
			if err != nil {
				s.refuse(w, err)
				return
			}
			rt.handler(w, r.WithContext(context.WithValue(r.Context(), actorKey{}, who)))
		})
	}
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { s.adminJSON(w, http.StatusOK, health{Status: "ok"}) })
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if _, err := s.admit(r, identity.Viewer); err != nil { // strangers do not learn what is here
			s.refuse(w, err)
			return
		}
		s.refuse(w, &httpError{status: http.StatusNotFound, kind: "not-found", detail: "there is no such path here"})
	})
	return mux
}

// actorKey is the context key of who sends a request to the admin listener.
type actorKey struct{}

// anybody is the name of all senders where there are neither keys nor people.
const anybody = "anybody"

// actor returns who sends a request: what a person's token or a program's key is called. It goes into the
// audit log of what was changed, never into the service's own log.
func actor(r *http.Request) string {
	who, _ := r.Context().Value(actorKey{}).(string)
	return who
}

// admit judges a request of an operator: a program by its key, a person by a token and the role in it. It
// returns who it is.
func (s *Server) admit(r *http.Request, role identity.Role) (who string, err error) {
	keys, text := s.keys.Load(), credential(r.Header.Get("Authorization"), r.Header.Get("X-Api-Key"))
	switch {
	case keys == nil && s.opts.People == nil:
		return anybody, sameSite(r.Header.Get(fetchSite))
	case s.opts.People == nil || strings.HasPrefix(text, keyPrefix):
		if keys == nil {
			return "", unauthorized("there are no API keys: send a token of the identity provider")
		}
		if _, err := keys.allow(text, ScopeAdmin); err != nil {
			return "", err
		}
		return "key " + keys.find(text).ID, nil
	case text == "":
		return "", unauthorized("an API key or a token of the identity provider is needed: Authorization: Bearer ...")
	}
	person, err := s.opts.People.Verify(r.Context(), text)
	switch {
	case errors.Is(err, identity.ErrProvider):
		return "", unavailable("the identity provider cannot be asked at the moment: use an API key, or try again", err)
	case err != nil:
		s.logger.Info("a token was refused", "error", err) // never holds the token
		return "", unauthorized("the token is not valid: expired, for another audience, or of another issuer")
	case !person.Role.Includes(role):
		return "", &httpError{status: http.StatusForbidden, kind: "forbidden", detail: "this needs the role " + string(role)}
	}
	return person.Subject, nil
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

// refuse answers an operator with an error.
func (s *Server) refuse(w http.ResponseWriter, err error) {
	e := asHTTP(err)
	if e.status >= http.StatusInternalServerError {
		s.logger.Warn("an operator's request failed", "status", e.status, "error", e.Error())
	}
	if e.status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="sartor"`)
	}
	if e.retryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(e.retryAfter))
	}
	w.Header().Set("Content-Type", problemType)
	s.adminJSON(w, e.status, s.problem(e, ""))
}
