package main

import (
	"fmt"
	"io"
	"reflect"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"
)

func newConfigCommand(a *app) *cobra.Command {
	cmd := group(&cobra.Command{
		Use:   "config",
		Short: "Check and show the configuration",
		Long: `Settings come from flags, then SARTOR_* environment variables, then the YAML file of --config
(or SARTOR_CONFIG), then defaults. The variable of kafka.tls.ca_file is SARTOR_KAFKA_TLS_CA_FILE.
A key that nobody knows is an error. Secrets come from the environment or from a *_file.`,
		Example: `  sartor config check --config sartor.yaml
  sartor config print --origin
  sartor config print --defaults > sartor.yaml`,
	})
	cmd.AddCommand(newConfigCheckCommand(a), newConfigPrintCommand(a))
	return cmd
}

func newConfigCheckCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:         "check",
		Annotations: map[string]string{checksConfig: "a broken configuration is what it tells"},
		Short:       "Report everything that is wrong with the configuration",
		Long:        "Loads the configuration as every other command does and lists all problems at once. Exit code 1 if there is one.",
		Example:     "  sartor config check --config /etc/sartor/sartor.yaml",
		Args:        cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintln(a.stdout, "configuration is good")
			return err
		},
	}
}

func newConfigPrintCommand(a *app) *cobra.Command {
	var origin, defaults bool
	cmd := &cobra.Command{
		Use:   "print",
		Short: "Print the configuration as YAML, ready to be a --config file",
		Example: `  sartor config print                      what every command would use
  sartor config print --origin             with the place each value came from
  sartor config print --defaults           the documented defaults`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if defaults {
				cfg := defaultConfig()
				return printConfig(a.stdout, &cfg, func(k configKey) string { return k.Doc })
			}
			note := func(configKey) string { return "" }
			if origin {
				note = func(k configKey) string { return a.origins[k.Name] }
			}
			return printConfig(a.stdout, &a.config, note)
		},
	}
	cmd.Flags().BoolVar(&origin, "origin", false, "say where each value came from")
	cmd.Flags().BoolVar(&defaults, "defaults", false, "print the defaults with their meaning")
	cmd.MarkFlagsMutuallyExclusive("origin", "defaults")
	return cmd
}

// printConfig writes cfg as YAML that loads back to the same values, each line with a comment.
// Secrets are never printed: their line is a comment that says whether there is one.
func printConfig(w io.Writer, cfg *Config, note func(configKey) string) error {
	var b strings.Builder
	var open []string // sections whose heading is written
	for _, k := range configKeys(cfg) {
		path := strings.Split(k.Name, ".")
		for depth := range path[:len(path)-1] {
			if depth < len(open) && open[depth] == path[depth] {
				continue
			}
			open = append(open[:depth:depth], path[depth])
			if depth == 0 {
				b.WriteByte('\n')
			}
			fmt.Fprintf(&b, "%s%s:\n", strings.Repeat("  ", depth), path[depth])
		}
		open = open[:len(path)-1]
		line, err := configLine(k, path[len(path)-1])
		if err != nil {
			return err
		}
		line = strings.Repeat("  ", len(path)-1) + line
		if n := note(k); n != "" {
			line = fmt.Sprintf("%-40s # %s", line, n)
		}
		fmt.Fprintln(&b, line)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func configLine(k configKey, name string) (string, error) {
	if k.Secret {
		state := "not set"
		if k.Value.String() != "" {
			state = "***"
		}
		return "# " + name + ": " + state, nil
	}
	value := k.Value.Interface()
	if k.Type == reflect.TypeFor[time.Duration]() {
		return name + ": " + shortDuration(value.(time.Duration)), nil
	}
	node := &yaml.Node{}
	if err := node.Encode(value); err != nil {
		return "", fmt.Errorf("print %s: %w", k.Name, err)
	}
	flow(node)
	text, err := yaml.Marshal(node)
	if err != nil {
		return "", fmt.Errorf("print %s: %w", k.Name, err)
	}
	return name + ": " + strings.TrimSpace(string(text)), nil
}

// flow makes a list or mapping print on one line.
func flow(n *yaml.Node) {
	n.Style |= yaml.FlowStyle
	for _, c := range n.Content {
		if c.Kind == yaml.MappingNode || c.Kind == yaml.SequenceNode {
			flow(c)
		}
	}
}

// shortDuration prints 10s rather than 10s0ms and 1h rather than 1h0m0s.
func shortDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
