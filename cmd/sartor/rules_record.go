package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/spf13/cobra"

	"github.com/sartorhq/sartor/rules"
	"github.com/sartorhq/sartor/rules/rulestest"
)

// recordFlags ask serve to record requests.
type recordFlags struct {
	path  string
	every uint64
	mask  []string
}

func (f *recordFlags) declare(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.path, "record", "", "append a sample of requests to this `file`, for 'sartor rules diff'; user ids are hashed, the file ends at 1 GiB")
	flags.Uint64Var(&f.every, "record-every", 100, "record one of this many requests")
	flags.StringSliceVar(&f.mask, "record-mask", nil, "leave these `fields` out, such as user.country")
}

const (
	// recordQueue is how many requests may wait to be written; more are dropped and counted.
	recordQueue = 64
	// maxRecordBytes ends a recording: it is a sample, not an archive.
	maxRecordBytes = 1 << 30
)

// requestRecorder writes one of every so many requests to a file, off the request's path.
type requestRecorder struct {
	every    uint64
	seen     atomic.Uint64
	queue    chan considered
	file     io.WriteCloser
	recorder *rulestest.Recorder
	logger   *slog.Logger
	dropped  prometheus.Counter
	written  int64
}

// considered is what one request's rules saw.
type considered struct {
	env        *rules.Env
	candidates []rules.Candidate
}

// open returns nil when nothing is to be recorded.
func (f recordFlags) open(w *wiring) (*requestRecorder, error) {
	if f.path == "" {
		return nil, nil
	}
	if f.every == 0 {
		return nil, usagef("--record-every 0: need at least 1")
	}
	file, err := os.OpenFile(f.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("record requests: %w", err)
	}
	secret := make([]byte, 32) // forgotten with the process: no recording can be traced back to a user id
	rand.Read(secret)          // never fails since Go 1.24
	r := &requestRecorder{every: f.every, queue: make(chan considered, recordQueue), file: file, logger: w.logger,
		dropped: promauto.With(w.metrics).NewCounter(prometheus.CounterOpts{Name: "sartor_requests_record_dropped_total",
			Help: "Requests of the sample that were not recorded, because writing was too slow."})}
	r.recorder = rulestest.NewRecorder(counted{file, &r.written}, w.schema, rulestest.RecorderOptions{Secret: secret, Mask: f.mask})
	return r, nil
}

// counted adds up what is written.
type counted struct {
	w io.Writer
	n *int64
}

// Write writes and counts.
func (c counted) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	*c.n += int64(n)
	return n, err
}

// considered samples a request; it never blocks.
func (r *requestRecorder) considered(env *rules.Env, candidates []rules.Candidate) {
	if (r.seen.Add(1)-1)%r.every != 0 {
		return
	}
	// Without its Expired, the environment holds nothing that ends with the request.
	keep := &rules.Env{Now: env.Now, User: env.User, Request: env.Request, Context: env.Context}
	select {
	case r.queue <- considered{keep, slices.Clone(candidates)}:
	default:
		r.dropped.Inc()
	}
}

// run writes until ctx is done, and then what waits. A recording that cannot be written ends; the
// service goes on.
func (r *requestRecorder) run(ctx context.Context) {
	for {
		select {
		case c := <-r.queue:
			if !r.write(c) {
				return
			}
		case <-ctx.Done():
			for {
				select {
				case c := <-r.queue:
					if !r.write(c) {
						return
					}
				default:
					return
				}
			}
		}
	}
}

// write tells whether the recording goes on.
func (r *requestRecorder) write(c considered) bool {
	if r.written >= maxRecordBytes {
		r.logger.Info("the recording of requests is full and ends", "bytes", r.written)
		return false
	}
	if err := r.recorder.Record(c.env, c.candidates); err != nil {
		r.logger.Warn("the recording of requests ends", "error", err)
		return false
	}
	return true
}
