package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/sartorhq/sartor/features/redisstore"
	"github.com/sartorhq/sartor/models/registry"
	"github.com/sartorhq/sartor/recommender"
	"github.com/sartorhq/sartor/recommender/decision"
	"github.com/sartorhq/sartor/recommender/httpapi"
	"github.com/sartorhq/sartor/rules/rulestore"
	"github.com/sartorhq/sartor/streams"
	"github.com/sartorhq/sartor/streams/codec"
	"github.com/sartorhq/sartor/streams/kafka"
)

const (
	// refreshEvery is how old the catalogue view may get while everything works.
	refreshEvery = 500 * time.Millisecond
	// reopenEvery is how often a Redis that could not be reached at start is tried again.
	reopenEvery = time.Second
)

func newServeCommand(a *app) *cobra.Command {
	var record recordFlags
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Answer recommendation requests over HTTP",
		Long: `Reads features from Redis, the newest model from the registry folder and rules from the rules
folder, and answers POST /v1/recommend. Models and rules are watched and swapped in whole; a broken
one never replaces a good one. It starts and answers without Redis, Kafka, model or rules, and says
in each answer what is missing. Any number of replicas may run. It stops cleanly on SIGTERM: /readyz
says 503 for http.drain while requests are still answered, then those under way are finished. A
second signal ends it at once.`,
		Example: `  sartor serve --config sartor.yaml
  sartor serve --addr :8080 --set http.keys_file=keys.yaml --rules rules/ --models models/ --set redis.addrs=redis:6379`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.serve(cmd.Context(), record) },
	}
	record.declare(cmd)
	a.bind(cmd.Flags(), "addr", "http.addr", "host:port to listen on")
	a.bind(cmd.Flags(), "rules", "rules.dir", "folder of rule files")
	a.bind(cmd.Flags(), "models", "models.dir", "registry folder")
	a.bind(cmd.Flags(), "adapters", "http.adapters", "APIs of other systems to answer as well: gorse, metarank")
	a.bind(cmd.Flags(), "insecure", "http.insecure", "serve other machines without API keys")
	cmd.Flags().Lookup("insecure").NoOptDefVal = "true"
	cmd.AddCommand(newKeyCommand(), newOpenAPICommand(a))
	return cmd
}

// serve runs until ctx is done.
func (a *app) serve(ctx context.Context, record recordFlags) error {
	ln, err := listen(ctx, a.config.HTTP.Addr)
	if err != nil {
		return err
	}
	if err := checkExposed("http.addr", ln.Addr(), a.config.HTTP); err != nil {
		return errors.Join(err, ln.Close())
	}
	w, err := a.newWiring()
	if err != nil {
		return errors.Join(err, ln.Close())
	}
	if err := makeDataFolders(a.config.Data); err != nil {
		return errors.Join(err, ln.Close())
	}
	parts := servingParts{}
	if parts.admin, err = a.openAdmin(ctx); err != nil {
		return errors.Join(err, ln.Close())
	}
	if parts.recorder, err = record.open(w); err != nil {
		return errors.Join(err, ln.Close(), parts.close())
	}
	if parts.trace, err = newTracing(ctx, a.config.Trace, buildVersion()); err != nil {
		return errors.Join(err, ln.Close(), parts.close())
	}
	parts.trace.wireKafka(&w.kafka)
	if len(a.config.Redis.Addrs) > 0 {
		parts.store = redisstore.New(w.redis, w.schema)
	}
	if len(a.config.Kafka.Brokers) > 0 {
		parts.producer = kafka.NewProducer(w.kafka)
	}
	s := newServing(w, parts)
	a.logger.Info("serving", "addr", ln.Addr().String(), "redis", a.config.Redis.Addrs, "kafka", a.config.Kafka.Brokers,
		"models", a.config.Models.Dir, "rules", a.config.Rules.Dir)
	return errors.Join(s.run(ctx, ln), parts.close())
}

// listen opens the port early, so that a busy one is said before any work.
func listen(ctx context.Context, addr string) (net.Listener, error) {
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("address %s is in use by another program: stop it, or choose another with --addr", addr)
	}
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", addr, err)
	}
	return ln, nil
}

// servingParts are the clients that serving uses and does not own; nil where there is no server.
type servingParts struct {
	store    *redisstore.Store
	producer *kafka.Producer
	admin    net.Listener // of operators; serving closes it
	recorder *requestRecorder
	trace    *tracing
}

func (p servingParts) close() error {
	var errs []error
	if p.recorder != nil {
		errs = append(errs, p.recorder.file.Close())
	}
	if p.producer != nil {
		errs = append(errs, p.producer.Close())
	}
	if p.store != nil {
		errs = append(errs, p.store.Close())
	}
	errs = append(errs, p.trace.close())
	return errors.Join(errs...)
}

// serving is the read path with everything that keeps its snapshot fresh.
type serving struct {
	config    Config
	logger    *slog.Logger
	parts     servingParts
	rec       *recommender.Recommender
	decisions *decision.Log // nil without a producer
	rules     *rulestore.Dir
	shared    *sharedRules // nil unless rules are shared through Redis
	models    *registry.Registry
	server    *httpapi.Server
	keys      *keyWatch // nil without keys
}

func newServing(w *wiring, parts servingParts) *serving {
	s, processors := &serving{config: w.config, logger: w.logger, parts: parts}, networkThread()
	rec := recommender.Options{Schema: w.schema, Budget: w.config.HTTP.Budget, UserTimeout: w.config.Redis.ReadTimeout,
		Index: w.config.Models.Index, Workers: processors, Logger: w.logger, Registerer: w.metrics}
	if parts.store != nil {
		rec.Users = parts.store
	}
	api := httpapi.Options{Version: buildVersion(), Gatherer: w.metrics, Registerer: w.metrics, Logger: w.logger,
		ReadTimeout: w.config.HTTP.ReadTimeout, Keys: w.keys, Admin: parts.admin != nil, MaxReads: w.config.HTTP.MaxInFlight,
		Processors: processors}
	if parts.producer != nil {
		s.decisions = decision.NewLog(parts.producer, decision.LogOptions{Spill: w.config.Data.ExposuresFile,
			Accepts: func(e *streams.Event) bool { return len(codec.Validate(e)) == 0 }, Logger: w.logger, Registerer: w.metrics})
		rec.Decided = s.decisions.Record
		api.Events = parts.producer
	}
	if parts.recorder != nil {
		rec.Considered = parts.recorder.considered
	}
	s.keys = newKeyWatch(w)
	w.access(&api)
	parts.trace.wire(&rec, &api)
	s.rec = recommender.New(rec)
	api.Recommender = s.rec
	if dir := w.config.rulesDir(); dir != "" {
		s.rules = rulestore.NewDir(dir, w.schema, rulestore.Options{Params: w.config.Rules.Params, LastGood: w.config.Rules.LastGood, Remote: ruleLists(parts.store),
			Logger: w.logger, Registerer: w.metrics})
		api.Rules = s.rulesStatus
	}
	s.openArchive(w, &api)
	if dir := w.config.Models.Dir; dir != "" {
		s.models = registry.New(dir)
	}
	s.server = httpapi.New(api)
	return s
}

// run serves until ctx is done and http.drain is over, then finishes the requests under way and writes what
// was shown.
func (s *serving) run(ctx context.Context, ln net.Listener) error {
	defer keepGCRoom()()
	told := ctx
	g, ctx := errgroup.WithContext(context.WithoutCancel(told)) // what is refreshed stays so while it drains
	ctx, end := context.WithCancel(ctx)
	defer end()
	g.Go(func() error { return s.server.Serve(ln) })
	if s.parts.admin != nil {
		g.Go(func() error { return s.serveAdmin(ctx) })
	}
	if s.decisions != nil {
		// Decisions of the last requests are written after ctx is done: Close ends it.
		g.Go(func() error { return s.decisions.Run(context.WithoutCancel(ctx)) })
	}
	g.Go(func() error {
		s.drain(told, ctx)
		end()
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.config.HTTP.ShutdownTimeout)
		defer cancel()
		err := s.server.Shutdown(stop)
		if s.decisions != nil {
			s.decisions.Close()
		}
		return err
	})
	g.Go(func() error { usher(ctx, s.rec, s.logger); return nil })
	if s.parts.store != nil {
		g.Go(func() error { s.keepCatalogue(ctx); return nil })
	} else {
		g.Go(func() error { s.loadCatalogue(); return s.rec.Refresh(ctx, noItems{}) })
	}
	if s.rules != nil {
		g.Go(func() error { return s.watchRules(ctx) })
	}
	if s.shared != nil {
		g.Go(func() error { return s.followRules(ctx) })
	}
	if s.models != nil {
		g.Go(func() error { s.watchModels(ctx); return nil })
	}
	if s.config.Scenarios.Dir != "" {
		g.Go(func() error { s.watchScenarios(ctx); return nil })
	}
	if s.keys != nil {
		g.Go(func() error { s.watchKeys(ctx); return nil })
	}
	if s.parts.recorder != nil {
		g.Go(func() error { s.parts.recorder.run(ctx); return nil })
	}
	return g.Wait()
}

// drain waits until serving is to end: http.drain after told is done, or as soon as ctx is, when a part has
// failed. Balancers learn by /readyz that nothing more is to be sent here, which takes them a while, and what
// they send meanwhile is answered.
func (s *serving) drain(told, ctx context.Context) {
	select {
	case <-told.Done():
	case <-ctx.Done():
		return
	}
	s.server.Drain()
	if s.config.HTTP.Drain == 0 {
		return
	}
	s.logger.Info("draining: /readyz says 503, requests are still answered", "for", s.config.HTTP.Drain)
	over := time.NewTimer(s.config.HTTP.Drain)
	defer over.Stop()
	select {
	case <-over.C:
	case <-ctx.Done():
	}
}

func (s *serving) rulesStatus() httpapi.RulesStatus {
	st := s.rules.Status()
	return httpapi.RulesStatus{Revision: st.Revision, LoadedAt: st.LoadedAt, OK: st.OK, LastAttempt: st.LastAttempt, Problems: st.Problems}
}
