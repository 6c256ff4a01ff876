package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// The exit codes of every command.
const (
	exitOK     = 0
	exitFailed = 1 // a check failed, or the command could not do its work
	exitUsage  = 2 // the command line is wrong
)

// errReported ends a command with exit code 1 when it has already told the user why.
var errReported = errors.New("already reported")

// app is what every command receives: the process's streams, and, once a command runs, its
// configuration, logger and metrics. A command constructor only declares flags; it reads config,
// logger and metrics in RunE, when the root command has filled them in.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	environ        []string // of the form KEY=value

	config  Config
	origins map[string]string // config key -> where its value came from
	logger  *slog.Logger
	metrics *prometheus.Registry

	configFile string            // --config
	settings   []string          // --set key=value
	bound      map[string]string // values of flags that stand for a config key
}

// run is the whole program without the process around it: it parses args, runs one command and
// returns the exit code. Cancelling ctx stops a long-running command cleanly.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	a := &app{stdin: stdin, stdout: stdout, stderr: stderr, environ: os.Environ()}
	return a.execute(ctx, args)
}

func (a *app) execute(ctx context.Context, args []string) int {
	root := newRootCommand(a)
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitOK
	}
	var usage usageError
	switch {
	case errors.As(err, &usage):
		fmt.Fprintf(a.stderr, "sartor: %v\nTry '%s --help'.\n", err, cmd.CommandPath())
		return exitUsage
	case errors.Is(err, errReported):
	default:
		fmt.Fprintf(a.stderr, "sartor: %v\n", err)
	}
	return exitFailed
}

func newRootCommand(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:   "sartor",
		Short: "Tailored recommendations from your Kafka streams",
		Long: `Sartor reads what happens in your shop from Kafka, keeps features of users and items in Redis,
trains a model, applies the rules that your business team owns, and answers over HTTP.

Start here:   sartor dev            everything in one process, with a synthetic shop
In a fleet:   sartor ingest         Kafka to Redis (scale by partitions)
              sartor serve          the HTTP API (scale by load)
              sartor train          a new model from the log

Settings come from flags, then SARTOR_* environment variables, then the --config file, then
defaults. 'sartor config print --origin' shows each value and where it came from.`,
		SilenceUsage:  true,
		SilenceErrors: true,
		CompletionOptions: cobra.CompletionOptions{
			HiddenDefaultCmd: true,
		},
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return a.prepare(cmd) },
	}
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	flags := root.PersistentFlags()
	flags.StringVar(&a.configFile, "config", "", "YAML configuration `file` (env SARTOR_CONFIG)")
	flags.StringArrayVar(&a.settings, "set", nil, "set one configuration `key=value`, such as --set kafka.group=blue (repeatable)")
	a.bind(flags, "log-level", "log.level", "debug, info, warn or error")
	root.AddCommand(commands(a)...)
	adopt(root)
	return root
}

// prepare judges the flags' numbers and fills in config, logger and metrics before a command runs.
func (a *app) prepare(cmd *cobra.Command) error {
	if err := numbers(cmd); err != nil {
		return err
	}
	if cmd.Annotations[skipConfig] != "" {
		return nil
	}
	cfg, origins, err := a.loadConfig()
	var found configProblems
	if errors.As(err, &found) && cmd.Annotations[checksConfig] != "" {
		return found // the command's answer
	}
	if err != nil {
		return err
	}
	a.config, a.origins = cfg, origins
	a.logger = newLogger(a.stderr, cfg.Log)
	a.metrics = prometheus.NewRegistry()
	a.metrics.MustRegister(collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return nil
}

// skipConfig annotates commands that must work when the configuration is broken, checksConfig those that are asked
// whether it is.
const (
	skipConfig   = "skip-config"
	checksConfig = "checks-config"
)

// newLogger writes JSON lines, or text when a person is looking.
func newLogger(w io.Writer, cfg LogConfig) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(cfg.Level)); err != nil {
		level = slog.LevelInfo // loadConfig has already refused a wrong level
	}
	opts := &slog.HandlerOptions{Level: level}
	if cfg.Format == "text" || cfg.Format == "auto" && isTerminal(w) {
		return slog.New(slog.NewTextHandler(w, opts))
	}
	return slog.New(slog.NewJSONHandler(w, opts))
}

// isTerminal tells whether a person watches w: progress bars and colours go nowhere else.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
