package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sartorhq/sartor/rules"
)

func newRulesCodeCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "code [CODE]",
		Short: "Explain the code of a problem, such as R017",
		Long: `Says what a code of 'sartor rules check' or 'sartor rules lint' means, with an example that gives it.
Without a code, all of them are listed. The same, with what is said about the examples, is in
rules/ERRORS.md.`,
		Example: `  sartor rules code R017`,
		Args:    cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			all := rules.Catalogue()
			if len(args) == 0 {
				for _, c := range all {
					fmt.Fprintf(a.stdout, "%s  %s\n", c.Code, c.Title)
				}
				return nil
			}
			for _, c := range all {
				if strings.EqualFold(c.Code, args[0]) {
					fmt.Fprintf(a.stdout, "%s: %s\n\n%s\n", c.Code, c.Title, c.Meaning)
					if c.Example != "" {
						fmt.Fprintf(a.stdout, "\nfor instance:\n\n%s", indented(c.Example))
					}
					return nil
				}
			}
			return usagef("there is no code %s: 'sartor rules code' lists them", args[0])
		},
	}
}

func indented(text string) string {
	return "  " + strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\n", "\n  ") + "\n"
}
