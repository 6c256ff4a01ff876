package devstack

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2"
)

// memoryRedis is a Redis inside this process, for machines without redis-server. It is written to a
// snapshot now and then. An old or missing snapshot loses and doubles nothing: the fences are part of
// it, so that ingest reads the log again from where the snapshot stands.
type memoryRedis struct {
	server *miniredis.Miniredis
	path   string
	logger *slog.Logger
	stop   context.CancelFunc
	done   sync.WaitGroup
	every  time.Duration
}

func startMiniredis(path string, every time.Duration, logger *slog.Logger) (*memoryRedis, error) {
	server := miniredis.NewMiniRedis()
	if err := restore(server, path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		broken := path + ".broken"
		logger.Warn("the Redis snapshot cannot be read: starting empty, ingest reads the log again", "error", err, "kept", broken)
		if err := os.Rename(path, broken); err != nil {
			return nil, fmt.Errorf("put the broken snapshot aside: %w", err)
		}
		server.FlushAll()
	}
	if err := server.Start(); err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	r := &memoryRedis{server: server, path: path, logger: logger, stop: stop, every: every}
	r.done.Go(func() { r.saveNowAndThen(ctx) })
	return r, nil
}

func (r *memoryRedis) saveNowAndThen(ctx context.Context) {
	tick := time.NewTicker(r.every)
	defer tick.Stop()
	last := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		// Keys live for days. ClockTTL would let them expire on the millisecond, and sorts all keys for
		// every command to do so.
		now := time.Now()
		r.server.FastForward(now.Sub(last))
		last = now
		err := save(r.server, r.path)
		switch {
		case errors.Is(err, errMoving):
			r.logger.Debug("no Redis snapshot this time: too many new keys at once")
		case err != nil:
			r.logger.Warn("the Redis snapshot failed", "error", err)
		}
	}
}

func (r *memoryRedis) network() string          { return "tcp" }
func (r *memoryRedis) addrs() []string          { return []string{r.server.Addr()} }
func (r *memoryRedis) stopped() <-chan struct{} { return nil }
func (r *memoryRedis) describe() string {
	return fmt.Sprintf("%s (in-process miniredis, snapshot every %s, not for production; install redis-server for speed)", r.server.Addr(), r.every)
}

// close writes the last snapshot and stops the server.
func (r *memoryRedis) close(context.Context) error {
	r.stop()
	r.done.Wait()
	err := save(r.server, r.path)
	r.server.Close()
	if err != nil {
		return fmt.Errorf("write the Redis snapshot: %w", err)
	}
	return nil
}
