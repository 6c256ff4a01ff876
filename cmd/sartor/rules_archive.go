package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sartorhq/sartor/features"
	"github.com/sartorhq/sartor/features/redisstore"
	"github.com/sartorhq/sartor/recommender/httpapi"
	"github.com/sartorhq/sartor/rules"
	"github.com/sartorhq/sartor/rules/ruleredis"
	"github.com/sartorhq/sartor/rules/rulestore"
)

// openedArchive is an archive for the length of one command.
type openedArchive struct {
	httpapi.RuleArchive
	redis *ruleredis.Store // nil for a folder
	close func()
}

// archive opens the archive of --store and fills the author in. The caller closes it.
func (a *app) archive(f *publishFlags) (*openedArchive, error) {
	if f.store == "" {
		return nil, usagef("which archive? use --store FOLDER, or --store redis")
	}
	schema, err := loadSchema(a.config.Schema)
	if err != nil {
		return nil, err
	}
	if f.author == "" {
		for _, name := range []string{"USER=", "USERNAME="} {
			if i := slices.IndexFunc(a.environ, func(kv string) bool { return strings.HasPrefix(kv, name) }); i >= 0 && f.author == "" {
				f.author = strings.TrimPrefix(a.environ[i], name)
			}
		}
		if u, err := user.Current(); err == nil && f.author == "" { // a container says it in no variable
			f.author = u.Username
		}
	}
	opts := rulestore.ArchiveOptions{Test: func(_ context.Context, files []rules.File, tests rulestore.Tree) (rulestore.TestResult, error) {
		return testTree(files, tests, schema)
	}}
	if f.requests != "" {
		opts.Shadow = func(ctx context.Context, live, next []rules.File) (rulestore.Check, error) {
			return a.shadow(ctx, f, schema, live, next)
		}
	}
	if f.store != ruleRedis {
		archive := rulestore.NewArchive(f.store, schema, opts)
		return &openedArchive{RuleArchive: rulestore.Alone{Archive: archive}, close: func() {}}, nil
	}
	if len(a.config.Redis.Addrs) == 0 {
		return nil, usagef("--store redis: which Redis? Set redis.addrs in the --config file or SARTOR_REDIS_ADDRS")
	}
	options, err := a.redisOptions()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "sartor-rules-*")
	if err != nil {
		return nil, fmt.Errorf("make a folder for the copy of the archive: %w", err)
	}
	client := redisstore.Connect(options)
	store := ruleredis.New(client, a.config.Redis.Prefix)
	return &openedArchive{RuleArchive: rulestore.NewClone(rulestore.NewArchive(dir, schema, opts), store), redis: store,
		close: func() { client.Close(); os.RemoveAll(dir) }}, nil
}

// changeArchive carries out what ends with a report, on the newest state, and prints it.
func (a *app) changeArchive(ctx context.Context, f *publishFlags,
	fn func(*rulestore.Archive) (fate string, report *rulestore.CheckReport, err error)) error {
	opened, err := a.archive(f)
	if err != nil {
		return err
	}
	defer opened.close()
	var fate string
	var report *rulestore.CheckReport
	err = opened.Change(ctx, func(archive *rulestore.Archive) (err error) {
		fate, report, err = fn(archive)
		return err
	})
	if errors.Is(err, rulestore.ErrUnchanged) {
		fmt.Fprintf(a.stdout, "nothing to do: %v\n", err)
		return nil
	}
	return a.published(fate, report, err)
}

// shadow answers recorded requests by the live rules and by the next ones.
func (a *app) shadow(ctx context.Context, f *publishFlags, schema *features.Schema, live, next []rules.File) (rulestore.Check, error) {
	recs, err := a.readRecordings(f.requests, schema)
	if err != nil {
		return rulestore.Check{}, err
	}
	var sets []*rules.Set
	for _, files := range [][]rules.File{live, next} {
		set, problems := rules.Compile(files, schema, rules.Options{})
		if set == nil {
			return rulestore.Check{}, fmt.Errorf("the rules do not compile any more: %s", problems[0].Message)
		}
		sets = append(sets, set)
	}
	impact, err := recs.Compare(ctx, sets[0], sets[1])
	if err != nil {
		return rulestore.Check{}, err
	}
	step := rulestore.Check{OK: true, Detail: fmt.Sprintf("%d of %d lists change, overlap %.3f, empty lists %d -> %d",
		impact.Changed, impact.Requests, impact.Overlap, impact.Old.Empty, impact.New.Empty)}
	switch {
	case 100*impact.Changed > f.maxChanged*impact.Requests:
		step.OK, step.Detail = false, step.Detail+fmt.Sprintf(": more than the %d %% of --max-changed", f.maxChanged)
	case impact.New.Empty > impact.Old.Empty:
		step.OK, step.Detail = false, step.Detail+": more lists would be empty"
	}
	return step, nil
}

func newRulesApproveCommand(a *app) *cobra.Command {
	var f publishFlags
	cmd := &cobra.Command{
		Use:   "approve REVISION",
		Short: "Agree to somebody else's revision, where the policy asks for it",
		Long: `Records in the audit log that you agree to a checked revision of somebody else. Where the policy of the
archive asks for approvals ('sartor rules policy'), a revision goes live only with them. To put back what was
live before needs nobody.`,
		Example: `  sartor rules approve 7 --store redis -m "Prices checked"`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			opened, err := a.archive(&f)
			if err != nil {
				return err
			}
			defer opened.close()
			var r *rulestore.Revision
			err = opened.Change(cmd.Context(), func(archive *rulestore.Archive) (err error) {
				r, err = archive.Approve(cmd.Context(), args[0], f.author, f.message)
				return err
			})
			if errors.Is(err, rulestore.ErrUnknownRevision) || errors.Is(err, rulestore.ErrMayNotApprove) || errors.Is(err, rulestore.ErrState) {
				return usageError{err}
			}
			if err != nil {
				return err
			}
			fmt.Fprintf(a.stdout, "%s is %s: %s by %s, wanted by %s\n", r.ID, r.State, plural(len(r.Approvals), "approval"), r.Approvals[len(r.Approvals)-1].By, r.Author)
			return nil
		},
	}
	f.declare(a, cmd)
	cmd.Flags().StringVarP(&f.message, "message", "m", "", "a comment, for the history")
	return cmd
}

func newRulesPolicyCommand(a *app) *cobra.Command {
	var f publishFlags
	approvals := -1
	cmd := &cobra.Command{
		Use:   "policy",
		Short: "Show or set how many others must agree to a revision",
		Example: `  sartor rules policy --store redis
  sartor rules policy --store redis --approvals 1 -m "Four eyes from today"`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			opened, err := a.archive(&f)
			if err != nil {
				return err
			}
			defer opened.close()
			if cmd.Flags().Changed("approvals") {
				if f.message == "" {
					return usagef("why? use -m MESSAGE: the policy is part of the audit log")
				}
				err := opened.Change(cmd.Context(), func(archive *rulestore.Archive) error {
					return archive.SetApprovals(cmd.Context(), approvals, f.author, f.message)
				})
				if errors.Is(err, rulestore.ErrDraft) {
					return usageError{err}
				}
				if err != nil {
					return err
				}
			}
			archive, err := opened.Latest(cmd.Context())
			if err != nil {
				return err
			}
			n, err := archive.Approvals()
			if err != nil {
				return err
			}
			fmt.Fprintf(a.stdout, "%s needed before a revision goes live\n", plural(n, "approval"))
			return nil
		},
	}
	f.declare(a, cmd)
	cmd.Flags().IntVar(&approvals, "approvals", approvals, "how many others than the author must agree")
	cmd.Flags().StringVarP(&f.message, "message", "m", "", "why, for the history")
	return cmd
}
