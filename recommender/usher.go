package recommender

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"
)

// usher lets those in who wait for a place, woken over a pipe of this process, as by a connection. A place
// that is given back directly makes the next request runnable at once: while requests wait, Go's threads never
// run out of work, and look at the network every 10 ms only. Over the pipe the next one is known to the
// network's poller alone, so the thread that has answered one looks there, and finds with it all that came.
type usher struct {
	pipe atomic.Pointer[os.File] // to write to; nil while no usher is there
}

// call tells the usher that there is something to do, unless there is none. True promises that places which
// were owed before the call are freed.
func (u *usher) call() bool {
	p := u.pipe.Load()
	if p == nil {
		return false
	}
	_, err := p.Write([]byte{1}) // never waits: the pipe holds far more bytes than there are places
	return err == nil
}

// ErrUsher is returned by Usher where it cannot work; requests are let in without.
var ErrUsher = errors.New("no usher")

// Usher lets waiting requests in until ctx is done, in a way that has the network looked at between two of
// them, so that under overload new requests are read, and refused, at once. Without it, and after its end,
// requests let each other in. At most one may run. The error is ErrUsher where the system has no pipes
// that can be waited for without a thread (Windows), or gives none.
func (r *Recommender) Usher(ctx context.Context) error {
	return r.usher.run(ctx, func() {
		for _, w := range []*workers{r.workers, r.riders} {
			if w != nil {
				w.free()
			}
		}
	})
}

// run calls free after each call until ctx is done. A place is owed before the pipe is written to, and the
// pipe is closed before free is called for the last time: so whoever wrote in time is served here, and whoever
// did not hears it from the pipe.
func (u *usher) run(ctx context.Context, free func()) (err error) {
	r, w, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUsher, err)
	}
	defer func() {
		_, _ = w.Close(), r.Close() // nothing is in them that counts
		free()
	}()
	if err := r.SetReadDeadline(time.Time{}); err != nil { // os.ErrNoDeadline: reading would take a thread
		return fmt.Errorf("%w: %w", ErrUsher, err)
	}
	if !u.pipe.CompareAndSwap(nil, w) {
		return fmt.Errorf("%w: another one is there", ErrUsher)
	}
	defer u.pipe.Store(nil)
	defer context.AfterFunc(ctx, func() { _ = r.SetReadDeadline(time.Unix(1, 0)) })() // fails only when it is closed
	for buf := make([]byte, 512); ; {
		if _, err := r.Read(buf); ctx.Err() != nil {
			return nil
		} else if err != nil {
			return fmt.Errorf("%w: %w", ErrUsher, err)
		}
		free()
	}
}
