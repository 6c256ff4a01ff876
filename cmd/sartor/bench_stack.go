package main

import (
	"context"

	"github.com/sartorhq/sartor/deploy/devstack"
)

// benchStack starts the servers of a benchmark in a temporary folder, in quiet: warnings are all that the log
// says where nobody chose a level, for the figures are what standard output is for. What it returns ends the
// servers and removes the folder, also when ctx is over.
func (a *app) benchStack(ctx context.Context, opts devstack.Options) (stack *devstack.Stack, end func() error, err error) {
	if a.origins["log.level"] == "default" {
		a.logger = newLogger(a.stderr, LogConfig{Level: "warn", Format: a.config.Log.Format})
	}
	opts.Ephemeral, opts.Logger = true, a.logger
	stack, err = devstack.Start(ctx, opts)
	if err != nil {
		return nil, nil, err
	}
	return stack, func() error {
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
		defer cancel()
		return stack.Close(stop)
	}, nil
}
