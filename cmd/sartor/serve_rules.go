package main

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/sartorhq/sartor/features/redisstore"
	"github.com/sartorhq/sartor/recommender/httpapi"
	"github.com/sartorhq/sartor/rules"
	"github.com/sartorhq/sartor/rules/ruleredis"
	"github.com/sartorhq/sartor/rules/rulestore"
)

// What rules.store may be.
const (
	ruleFolder  = ""        // rules.dir is the source; somebody else writes it
	ruleArchive = "archive" // rules.dir is an archive, which the admin API may change
	ruleRedis   = "redis"   // rules.dir is this replica's copy of the archive in Redis
)

const (
	// rulesSync is how often a replica looks for new rules, besides hearing of them, and reports its own.
	rulesSync = 5 * time.Second
	// replicaForgotten is how long after its last report a replica counts as gone.
	replicaForgotten = 4 * rulesSync
)

// rulesDir is the folder that rules are served from.
func (c *Config) rulesDir() string {
	if c.Rules.Store == ruleFolder || c.Rules.Dir == "" {
		return c.Rules.Dir
	}
	return filepath.Join(c.Rules.Dir, "current")
}

// sharedRules is a replica's part in an archive that is shared through Redis.
type sharedRules struct {
	client io.Closer
	redis  *ruleredis.Store
	copy   *rulestore.Clone // what is served; follows Redis
	desk   *rulestore.Clone // what the admin API changes, in a folder of its own
	name   string
}

// openArchive connects the admin API with the archive, when there is one.
func (s *serving) openArchive(w *wiring, api *httpapi.Options) {
	if w.config.Rules.Dir == "" || w.config.Rules.Store == ruleFolder {
		return
	}
	open := func(dir string) *rulestore.Archive {
		return rulestore.NewArchive(dir, w.schema, rulestore.ArchiveOptions{
			Test: func(_ context.Context, files []rules.File, tests rulestore.Tree) (rulestore.TestResult, error) {
				return testTree(files, tests, w.schema)
			}})
	}
	if w.config.Rules.Store == ruleArchive {
		api.RuleArchive = rulestore.Alone{Archive: open(w.config.Rules.Dir)}
		return
	}
	client := redisstore.Connect(w.redis)
	store := ruleredis.New(client, w.config.Redis.Prefix)
	s.shared = &sharedRules{client: client, redis: store, name: replicaName(w.config.HTTP.Addr),
		copy: rulestore.NewClone(open(w.config.Rules.Dir), store), desk: rulestore.NewClone(open(w.config.Rules.Dir+".desk"), store)}
	api.RuleArchive, api.RuleReplicas = s.shared.desk, s.shared.replicas
}

// replicaName tells replicas apart for people: the pod's or the machine's name, and the address.
func replicaName(addr string) string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return host + " " + addr
}

func (r *sharedRules) replicas(ctx context.Context) ([]httpapi.RuleReplica, error) {
	all, err := r.redis.Replicas(ctx, time.Now().Add(-replicaForgotten))
	out := make([]httpapi.RuleReplica, len(all))
	for i, x := range all {
		out[i] = httpapi.RuleReplica(x)
	}
	return out, err
}

// followRules keeps the copy of the shared archive, and reports what is served, until ctx ends.
func (s *serving) followRules(ctx context.Context) error {
	defer s.shared.client.Close()
	heard := make(chan struct{}, 1)
	listening := make(chan struct{})
	go func() {
		defer close(listening)
		for ctx.Err() == nil {
			err := s.shared.redis.Changes(ctx, func() {
				select {
				case heard <- struct{}{}:
				default: // one look sees all changes
				}
			})
			s.logger.Debug("the subscription to rule changes has ended", "error", err)
			pause(ctx, rulesSync)
		}
	}()
	c := complainer{logger: s.logger, what: "the shared rules cannot be read: the copy of this replica is served"}
	tick := time.NewTicker(rulesSync)
	defer tick.Stop()
	for {
		_, err := s.shared.copy.Sync(ctx)
		if err == nil {
			err = s.reportRules(ctx)
		}
		c.note(ctx, err)
		select {
		case <-ctx.Done():
			<-listening
			return nil
		case <-heard:
		case <-tick.C:
		}
	}
}

// reportRules tells the others what this replica serves.
func (s *serving) reportRules(ctx context.Context) error {
	st := s.rules.Status()
	r := ruleredis.Replica{Name: s.shared.name, SHA256: st.Revision, OK: st.OK, At: time.Now().UTC()}
	if st.Published != nil {
		r.Revision = st.Published.ID
	}
	return s.shared.redis.Report(ctx, r)
}

// pause waits for d or the end of ctx.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// watchRules loads the rules and then each set that goes live. A folder with errors is no reason to
// stop: the store logs it, counts it and reports it at /v1/status. An archive in which nothing is
// published yet is no error: it is waited for.
func (s *serving) watchRules(ctx context.Context) error {
	if s.config.Rules.Store != ruleFolder {
		there := func() bool {
			_, err := os.Stat(s.config.rulesDir())
			return !errors.Is(err, os.ErrNotExist)
		}
		if !there() && !every(ctx, s.config.Rules.Poll, there) {
			return nil
		}
	}
	if err := s.rules.Load(ctx); err == nil || s.rules.Status().Revision != "" {
		s.rec.SetRules(s.rules.Set())
	}
	return ignoreCanceled(ctx, s.rules.Watch(ctx, s.config.Rules.Poll, s.rec.SetRules))
}
