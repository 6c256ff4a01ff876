package main

import "github.com/spf13/cobra"

// commands lists the subcommands in the order in which help shows them.
func commands(a *app) []*cobra.Command {
	return []*cobra.Command{
		newDevCommand(a),
		newServeCommand(a),
		newRecommendCommand(a),
		newIngestCommand(a),
		newArchiveCommand(a),
		newTrainCommand(a),
		newDataCommand(a),
		newEvaluateCommand(a),
		newModelsCommand(a),
		newReplayCommand(a),
		newFeaturesCommand(a),
		newEraseCommand(a),
		newDLQCommand(a),
		newTopicsCommand(a),
		newRulesCommand(a),
		newBenchCommand(a),
		newConfigCommand(a),
		newVersionCommand(a),
	}
}
