// Command sartor tailors recommendations from Kafka streams: one binary that ingests events, trains a
// model, applies the business team's rules and answers over HTTP. This package holds flags,
// configuration and wiring only; what the program does lives in the packages that it wires.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// Once the first signal has asked for a clean stop, a second one ends the process at once.
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
