package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/sartorhq/sartor/features/redisstore"
	"github.com/sartorhq/sartor/models/registry"
	"github.com/sartorhq/sartor/recommender"
)

// mailing are the flags of 'sartor recommend'.
type mailing struct {
	users, out     string
	scenario       string
	channel        string
	count          int
	filter         string
	fields         []string
	workers        int
	acceptDegraded bool
	resume         bool
}

func newRecommendCommand(a *app) *cobra.Command {
	m := mailing{}
	cmd := &cobra.Command{
		Use:   "recommend --users FILE --out FILE",
		Short: "Make the lists of many users at once, for a mailing",
		Long: `Reads users from a file, one a line, and writes a list for each: to FILE.ndjson what POST /v1/recommend
would answer, one user a line, or to FILE.parquet one row for each item. It reads Redis, model and rules as
'sartor serve' does, through the same code, and keeps a few users in memory at a time.

A line is a user id, or a JSON object: {"user_id": "u1", "context": {"country": "DE"}, "exclude": ["sku-9"]}.
Blank lines are left out, and a user who is there twice has two lists.
The output appears under its name only when it is whole: a run that fails or is interrupted leaves nothing
behind and can be started again. With --resume it leaves FILE.ndjson.part, and the same command goes on behind
the last complete line of it; the users must be the same, model and rules are those of the moment. A list that
lacks something, because Redis does not answer or no model is there, ends the run unless --accept-degraded is
given.

Nothing is recorded as shown: report an exposure with the recommendation_id when a mail goes out.`,
		Example: `  sartor recommend --users users.txt --out lists.ndjson --scenario email --count 6 --config sartor.yaml
  sartor recommend --users users.ndjson --out lists.parquet --filter 'item.stock > 0' --fields title,price
  sartor recommend --users users.txt --out lists.ndjson --resume      again, after an interruption: from there on
  zcat users.gz | sartor recommend --users - --out - | head`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.recommend(cmd.Context(), m) },
	}
	flags := cmd.Flags()
	flags.StringVar(&m.users, "users", "", "file of users, one a line; - = standard input")
	flags.StringVar(&m.out, "out", "", "file to write: .ndjson or .parquet; - = NDJSON to standard output")
	flags.StringVar(&m.scenario, "scenario", "email", "placement whose rules apply")
	flags.StringVar(&m.channel, "channel", "", "for rules: mail, push, ...")
	flags.IntVar(&m.count, "count", recommender.DefaultCount, "length of each list")
	flags.StringVar(&m.filter, "filter", "", "a condition that every item must meet")
	flags.StringSliceVar(&m.fields, "fields", nil, "item fields to write with each item")
	flags.IntVar(&m.workers, "workers", 4*runtime.GOMAXPROCS(0), "users asked for at the same time")
	flags.BoolVar(&m.acceptDegraded, "accept-degraded", false, "go on with lists that lack something")
	flags.BoolVar(&m.resume, "resume", false, "keep what is done when the run ends early, and go on from there; NDJSON only")
	a.bind(flags, "rules", "rules.dir", "folder of rule files")
	a.bind(flags, "models", "models.dir", "registry folder")
	return cmd
}

// The patience of a mailing: nobody waits for one list, and a list that is late is better than a poor one.
const (
	mailingBudget = 5 * time.Second
	mailingRead   = time.Second
	mailingTries  = 4
	mailingPause  = 250 * time.Millisecond
)

func (m *mailing) check() error {
	switch {
	case m.users == "":
		return usagef("--users is missing: name a file of users, one a line")
	case m.out == "":
		return usagef("--out is missing: name a file that ends in .ndjson or .parquet")
	case m.count < 1 || m.count > recommender.MaxCount:
		return usagef("--count %d: must be between 1 and %d", m.count, recommender.MaxCount)
	case m.workers < 1:
		return usagef("--workers must be greater than zero")
	case sameFile(m.users, m.out):
		return usagef("--out %s is the file of users: name another", m.out)
	}
	return m.checkResume()
}

// recommend makes the lists.
func (a *app) recommend(ctx context.Context, m mailing) (err error) {
	if err := m.check(); err != nil {
		return err
	}
	if len(a.config.Redis.Addrs) == 0 {
		return usagef("recommend needs Redis: set redis.addrs in the --config file or SARTOR_REDIS_ADDRS")
	}
	in, err := openUsers(m.users, a.stdin)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.close()) }()
	rec, closeRec, err := a.openMailing(ctx, m.acceptDegraded)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeRec()) }()
	if err := m.try(ctx, rec); err != nil {
		return err
	}
	out, done, err := openLists(m, in, a.stdout)
	if err != nil {
		return err
	}
	run := &mailingRun{mailing: m, rec: rec, out: out, told: map[string]int{}, bar: newStep(a.stderr, "recommend", "users", in.total)}
	if done > 0 {
		run.told["by the run before"] = done
		run.bar.add(done)
	}
	if err := run.all(ctx, in); err != nil {
		if ctx.Err() != nil {
			err = errors.New("interrupted before all lists were made")
		}
		return errors.Join(err, out.abandon())
	}
	if err := out.finish(); err != nil {
		return err
	}
	run.bar.done()
	return run.summary(a.stderr)
}

// try asks for a list of nobody, so that what is wrong with the flags is told as theirs, and not as the first user's.
func (m *mailing) try(ctx context.Context, rec *recommender.Recommender) error {
	_, err := rec.Recommend(ctx, m.request(mailingUser{}))
	var bad *recommender.InvalidError
	if !errors.As(err, &bad) {
		return err
	}
	wrong := make([]string, len(bad.Problems))
	for i, p := range bad.Problems {
		wrong[i] = fmt.Sprintf("--%s: %s", strings.Replace(p.Field, "include_fields", "fields", 1), p.Message)
	}
	return usagef("%s", strings.Join(wrong, "; "))
}

// request is the request for a user's list.
func (m *mailing) request(user mailingUser) recommender.Request {
	return recommender.Request{UserID: user.UserID, AnonymousID: user.AnonymousID, Scenario: m.scenario, Channel: m.channel, Count: m.count, Filter: m.filter,
		Fields: m.fields, Context: user.Context, Exclude: user.Exclude, Quiet: true}
}

// openMailing opens the read path of serve without its listeners: store, catalogue, rules and model. Each
// must be whole unless less is accepted.
func (a *app) openMailing(ctx context.Context, acceptDegraded bool) (rec *recommender.Recommender, stop func() error, err error) {
	a.config.HTTP.Budget, a.config.Redis.ReadTimeout = mailingBudget, mailingRead
	w, err := a.newWiring()
	if err != nil {
		return nil, nil, err
	}
	s := newServing(w, servingParts{store: redisstore.New(w.redis, w.schema)})
	fail := func(err error) (*recommender.Recommender, func() error, error) {
		return nil, nil, errors.Join(err, s.parts.close())
	}
	if err := s.parts.store.Open(ctx); err != nil {
		return fail(fmt.Errorf("reach Redis at %s: %w", strings.Join(a.config.Redis.Addrs, ", "), err))
	}
	if err := s.rec.Refresh(ctx, s.parts.store); err != nil {
		return fail(err)
	}
	if s.rules != nil {
		if err := s.rules.Load(ctx); err != nil {
			return fail(fmt.Errorf("load the rules: %w", err))
		}
		s.rec.SetRules(s.rules.Set())
	}
	if s.models != nil {
		version, err := s.models.Current()
		if err == nil {
			err = s.swapModel(version)
		}
		if err != nil && !(acceptDegraded && errors.Is(err, registry.ErrEmpty)) {
			return fail(fmt.Errorf("load the model: %w", err))
		}
	}
	if lacks := s.rec.Status().Degraded; len(lacks) > 0 && !acceptDegraded {
		return fail(fmt.Errorf("every list would lack something: %s: set rules.dir and models.dir, fill the catalogue, or say --accept-degraded", strings.Join(lacks, ", ")))
	}
	refreshing, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() { // a mailing may take long: what is sold out meanwhile must not be in it
		defer close(done)
		c := complainer{logger: a.logger, what: "the catalogue cannot be refreshed"}
		every(refreshing, refreshEvery, func() bool { c.note(refreshing, s.rec.Refresh(refreshing, s.parts.store)); return false })
	}()
	return s.rec, func() error {
		cancel()
		<-done
		return s.parts.close()
	}, nil
}

// mailingRun is one run over all users.
type mailingRun struct {
	mailing
	rec  *recommender.Recommender
	out  *listFile
	bar  *step
	told map[string]int // lists by what made them, and by what they lack
}

// job is a user on the way from the input to the output, which keeps the input's order.
type job struct {
	user mailingUser
	resp *recommender.Response
	err  error
	done chan struct{}
}

// all asks for every user. At most a few jobs for each worker are in memory.
func (r *mailingRun) all(ctx context.Context, in *userFile) error {
	g, ctx := errgroup.WithContext(ctx)
	todo, order := make(chan *job), make(chan *job, 4*r.workers)
	g.Go(func() error {
		defer close(todo)
		defer close(order)
		for {
			user, err := in.next()
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return err
			}
			j := &job{user: user, done: make(chan struct{})}
			for _, to := range []chan *job{order, todo} {
				select {
				case to <- j:
				case <-ctx.Done():
					return ctx.Err()
				}
			}
		}
	})
	for range r.workers {
		g.Go(func() error {
			for j := range todo {
				j.resp, j.err = r.ask(ctx, j.user)
				close(j.done)
			}
			return nil
		})
	}
	g.Go(func() error {
		for j := range order {
			select {
			case <-j.done:
			case <-ctx.Done():
				return ctx.Err()
			}
			if j.err != nil {
				return fmt.Errorf("%s: %w", j.user.where, j.err)
			}
			if err := r.write(j); err != nil {
				return err
			}
		}
		return nil
	})
	return g.Wait()
}

// ask makes one list, and tries again when the user could not be read.
func (r *mailingRun) ask(ctx context.Context, user mailingUser) (*recommender.Response, error) {
	q := r.request(user)
	for try := 1; ; try++ {
		resp, err := r.rec.Recommend(ctx, q)
		if err != nil || r.acceptDegraded || len(resp.Degraded) == 0 {
			return resp, err
		}
		if try == mailingTries {
			return nil, fmt.Errorf("the list lacks something: %s (--accept-degraded goes on)", strings.Join(resp.Degraded, ", "))
		}
		if every(ctx, time.Duration(try)*mailingPause, func() bool { return true }); ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
}

func (r *mailingRun) write(j *job) error {
	if err := r.out.write(j.user, r.scenario, j.resp); err != nil {
		return err
	}
	r.told["by "+string(j.resp.ServedBy)]++
	for _, lack := range j.resp.Degraded {
		r.told["without "+strings.ReplaceAll(lack, "_", " ")]++
	}
	r.bar.add(1)
	return nil
}

func (r *mailingRun) summary(w io.Writer) error {
	var parts []string
	for what, n := range r.told {
		parts = append(parts, fmt.Sprintf("%s %s", thousands(int64(n)), what))
	}
	slices.Sort(parts)
	if len(parts) == 0 {
		parts = []string{"no users"}
	}
	_, err := fmt.Fprintf(w, "  lists     %s\n", strings.Join(parts, ", "))
	return err
}
