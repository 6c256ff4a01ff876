package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"time"

	starter "github.com/sartorhq/sartor/deploy/rules"
	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/features/redisstore"
	"github.com/sartorhq/sartor/models/train"
	"github.com/sartorhq/sartor/recommender"
	"github.com/sartorhq/sartor/recommender/httpapi"
	"github.com/sartorhq/sartor/rules"
	"github.com/sartorhq/sartor/rules/rulefile"
	"github.com/sartorhq/sartor/streams"
	"github.com/sartorhq/sartor/streams/file"
)

// benchEpochs is how long the models of a recording are trained: how good they are is not the question.
const benchEpochs = 2

// benchRecording is a recording as the benchmark asks for it: the log that models are trained on, and the first
// users in it with all that they did. The items' documents are in Redis, like the users' features.
type benchRecording struct {
	name  string
	log   *train.Log
	users []string
}

// recording measures answers to the users of a recording under the rules that a new installation starts
// with, by each kind of model that 'sartor train' chooses from.
func (b *benchServeRun) recording(ctx context.Context) error {
	name, path, _ := strings.Cut(b.opts.data, ":")
	format, err := file.ParseFormat(name)
	if err != nil {
		return err
	}
	set, err := starterRules(b.schema)
	if err != nil {
		return err
	}
	rec := recommender.New(b.recOptions())
	defer ushered(ctx, rec, b.app.logger)() // as in 'sartor serve'
	rec.SetRules(set)
	data, err := b.storeRecording(ctx, name, fileEvents(format, path))
	if err != nil {
		return fmt.Errorf("write the recording to Redis: %w", err)
	}
	if err := rec.Refresh(ctx, b.store); err != nil {
		return err
	}
	asks := asks(data.users)
	b.printf("\n%s: %s; %s of its users ask, each as if his last event were an hour old; starter rules; %d connections\n", strings.ToUpper(name), data.log, thousands(int64(len(data.users))), b.opts.connections)
	b.figureHead()
	for _, kind := range automatic() {
		o := train.Options{Seed: 1, Epochs: benchEpochs, Dim: b.opts.factors, Schema: b.schema.Version()}
		m, _, err := modelKinds()[kind].fit(ctx, data.log, o)
		if err != nil {
			return fmt.Errorf("train %s: %w", kind, err)
		}
		if err := rec.SetModel(m); err != nil {
			return err
		}
		runtime.GC()
		err = during(ctx, httpapi.New(httpapi.Options{Recommender: rec, MaxReads: -1, Logger: b.app.logger}), func(addr string) error {
			return b.recordingOf(ctx, data, kind, addr, asks)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// recordingOf measures the answers by one model, after it has looked at one to each of the users.
func (b *benchServeRun) recordingOf(ctx context.Context, data *benchRecording, kind, addr string, asks [][]byte) error {
	do, closeAll := b.requestsFor(addr, b.opts.connections, asks, fullList)
	defer closeAll()
	c := &httpConn{addr: addr}
	defer func() { _ = c.close() }() // the measurement is over
	byModel := 0
	for i, ask := range asks {
		answer, err := c.do(ask)
		if err != nil {
			return err
		}
		if err := wholeAnswer(answer); err != nil {
			return fmt.Errorf("request %d: %w", i, err)
		}
		if textAfter(answer, `"served_by":"`) == string(recommender.ServedByModel) {
			byModel++
		}
	}
	stop, err := cpuProfile(b.opts.profile)
	if err != nil {
		return err
	}
	_, err = b.figureOf(ctx, "POST /v1/recommend, model "+kind, do)
	if err = errors.Join(err, stop()); err != nil {
		return err
	}
	b.printf("  %-46s %8.0f%%\n", "  served by the model", 100*float64(byModel)/float64(len(asks)))
	most, err := b.apart(ctx, addr, asks)
	if err != nil {
		return err
	}
	if data.name == string(file.MovieLens1M) {
		b.verdict(fmt.Sprintf("%.0f times the %.0f/s of Gorse on ML-1M", goalTimes, goalPeer), most >= goalTimes*goalPeer, "%.1f times", most/goalPeer)
	}
	return nil
}

// apart measures how many answers a second a generator gets that is a process of its own, as Redis is, and
// prints what an answer costs each of the three.
func (b *benchServeRun) apart(ctx context.Context, addr string, asks [][]byte) (most float64, err error) {
	plan := loadPlan{Addr: addr, Connections: b.opts.connections, Duration: b.opts.duration, Requests: asks}
	before, err := redisFigures(ctx, b.stack.RedisNetwork(), b.stack.RedisAddrs()[0])
	if err != nil {
		return 0, err
	}
	r, processors, err := measured(ctx, &plan)
	if err != nil {
		return 0, err
	}
	after, err := redisFigures(ctx, b.stack.RedisNetwork(), b.stack.RedisAddrs()[0])
	if err != nil {
		return 0, err
	}
	if r.Failed+r.Refused.Count > 0 || r.Accepted.Count == 0 {
		return 0, fmt.Errorf("of %d requests %d failed and %d were refused; the first failure: %q", r.sent(), r.Failed, r.Refused.Count, r.FirstFailure)
	}
	n := time.Duration(r.Accepted.Count)
	b.printf("  %-46s %9s   CPU each: server %s, Redis %s, generator %s\n", "  asked by a process of its own", thousands(int64(r.answered())),
		micros(time.Duration(processors*float64(r.Took))/n), micros((after.cpu-before.cpu)/n), micros(r.CPU/n))
	return r.answered(), nil
}

// wholeAnswer refuses an answer that is not whole: fewer items than were asked for, or something lost.
func wholeAnswer(answer []byte) error {
	if err := fullList(answer); err != nil {
		return err
	}
	if !bytes.Contains(answer, []byte(`"degraded":[]`)) {
		return errors.New("the answer is degraded")
	}
	return nil
}

// fullList refuses an answer with fewer items than were asked for.
func fullList(answer []byte) error {
	if n := bytes.Count(answer, []byte(`"item_id":`)); n != benchCount {
		return fmt.Errorf("%d items are listed of %d", n, benchCount)
	}
	return nil
}

// storeRecording reads a recording: everything for training, the documents of items and the past of the first
// users for Redis. Each user's events keep their distances and end an hour ago, since those who ask a shop are
// those who are there: of users who were there years ago no window would hold anything.
func (b *benchServeRun) storeRecording(ctx context.Context, name string, read func(context.Context, func(*streams.Event)) error) (*benchRecording, error) {
	out := &benchRecording{name: name, log: train.NewLog()}
	var items []streams.Event
	pasts := make(map[string][]streams.Event, b.opts.users)
	err := read(ctx, func(e *streams.Event) {
		out.log.Add(e)
		switch e.Type {
		case streams.ItemUpsert:
			items = append(items, *e)
			return
		case streams.UserUpsert, streams.ItemDelete, streams.UserDelete:
			return
		}
		past, known := pasts[e.UserID]
		if !known && len(out.users) == b.opts.users || e.UserID == "" {
			return
		}
		if !known {
			out.users = append(out.users, e.UserID)
		}
		pasts[e.UserID] = append(past, *e)
	})
	if err != nil {
		return nil, err
	}
	if len(items) == 0 || len(out.users) == 0 {
		return nil, fmt.Errorf("%s: found %d items with documents and %d users: need some of both", name, len(items), len(out.users))
	}
	w := benchWriter{run: b}
	if w.part, err = b.store.Partition(ctx, "behavior", 0); err != nil {
		return nil, err
	}
	end := time.Now().Add(-time.Hour)
	for i := range items {
		if err := w.add(ctx, &items[i]); err != nil {
			return nil, err
		}
	}
	for _, user := range out.users {
		past := pasts[user]
		shift := end.Sub(past[len(past)-1].Time)
		for i := range past {
			past[i].Time = past[i].Time.Add(shift)
			if err := w.add(ctx, &past[i]); err != nil {
				return nil, err
			}
		}
	}
	return out, w.flush(ctx)
}

// benchWriter writes events to Redis in batches.
type benchWriter struct {
	run    *benchServeRun
	part   *redisstore.Partition
	batch  []redisstore.Folded
	offset int64
}

// benchBatch is how many events are applied at once.
const benchBatch = 500

func (w *benchWriter) add(ctx context.Context, e *streams.Event) error {
	w.batch = append(w.batch, redisstore.Folded{Offset: w.offset, Deltas: w.run.schema.Fold(e)})
	w.offset++
	if len(w.batch) < benchBatch {
		return nil
	}
	return w.apply(ctx)
}

func (w *benchWriter) apply(ctx context.Context) error {
	if len(w.batch) == 0 {
		return nil
	}
	err := w.part.Apply(ctx, w.batch, w.offset-1)
	w.batch = w.batch[:0]
	return err
}

func (w *benchWriter) flush(ctx context.Context) error {
	return errors.Join(w.apply(ctx), w.part.Flush(ctx))
}

// starterRules compiles the rules that 'sartor dev' gives to a new shop.
func starterRules(schema *features.Schema) (*rules.Set, error) {
	const name = "home.yaml"
	text, err := starter.FS.ReadFile(name)
	if err != nil {
		return nil, err
	}
	parsed, problems := rulefile.Parse(name, text)
	if len(problems) == 0 {
		var set *rules.Set
		if set, problems = rules.Compile([]rules.File{parsed}, schema, rules.Options{}); set != nil {
			return set, nil
		}
	}
	return nil, fmt.Errorf("starter rules: %v", problems)
}
