// Command sartor tailors recommendations from Kafka streams: one binary that ingests events, trains a
// model, applies the business team's rules and answers over HTTP. This package holds flags,
// configuration and wiring only; what the program does lives in the packages that it wires.
package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/sartorhq/sartor/features/redisstore"
)

func main() {
	// The Redis library writes raw lines to standard error while a server is down; what matters of
	// them comes back as errors, which the roles log themselves.
	redisstore.RedirectClientLog(slog.New(slog.DiscardHandler))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// Once the first signal has asked for a clean stop, a second one ends the process at once.
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
