package main

import "github.com/spf13/cobra"

// commands lists the subcommands in the order in which help shows them.
func commands(a *app) []*cobra.Command {
	return []*cobra.Command{
		newIngestCommand(a),
		newReplayCommand(a),
		newConfigCommand(a),
		newVersionCommand(a),
	}
}
