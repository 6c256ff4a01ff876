package httpapi

import (
	"context"
	"errors"
	"net"
	"net/http"

	"github.com/gofiber/fiber/v2"
)

// Limit is the least that an answer over HTTP can cost here: the same server as New's with nothing of
// it but a route. Benchmarks set the real answers beside it.
type Limit struct{ app *fiber.App }

// NewLimit returns a server that answers GET /empty with nothing, and POST /work with a fixed text of
// the size of an answer after work has been done.
func NewLimit(work func(ctx context.Context) error, answer []byte) *Limit {
	opts := Options{}.withDefaults()
	l := &Limit{app: fiber.New(fiber.Config{DisableStartupMessage: true, Immutable: true, ReadTimeout: opts.ReadTimeout,
		WriteTimeout: opts.WriteTimeout, IdleTimeout: opts.IdleTimeout})}
	l.app.Get("/empty", func(*fiber.Ctx) error { return nil })
	l.app.Post("/work", func(c *fiber.Ctx) error {
		if err := work(context.Background()); err != nil {
			return err
		}
		return replyRaw(c, http.StatusOK, fiber.MIMEApplicationJSON, answer)
	})
	return l
}

// Serve answers until Shutdown.
func (l *Limit) Serve(ln net.Listener) error {
	if err := l.app.Listener(ln); err != nil && !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// Shutdown ends Serve.
func (l *Limit) Shutdown(ctx context.Context) error { return l.app.ShutdownWithContext(ctx) }
