package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sartorhq/sartor/streams/spelling"
)

// usageError marks an error as the command line's fault: exit code 2 and a pointer to --help.
type usageError struct{ err error }

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

// usagef makes an error that ends the command with exit code 2.
func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// adopt gives every command of the tree the same manners: wrong flags and wrong arguments are usage
// errors that say what to write, and a command without RunE is a group.
func adopt(cmd *cobra.Command) {
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return usageError{flagError(cmd, err)} })
	if !cmd.Runnable() && cmd.HasSubCommands() {
		group(cmd)
	}
	if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if check(cmd, args) != nil {
				return usageError{argumentError(cmd, args)}
			}
			return nil
		}
	}
	for _, c := range cmd.Commands() {
		adopt(c)
	}
}

// group makes a command that only holds others: without one it prints its help, and a wrong name is
// a usage error with a suggestion.
func group(cmd *cobra.Command) *cobra.Command {
	cmd.Annotations = map[string]string{skipConfig: "a group does nothing itself"}
	cmd.Args = cobra.ArbitraryArgs
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help()
		}
		return usageError{unknownCommand(cmd, args[0])}
	}
	return cmd
}

// unknownCommand says which of a command's commands may have been meant.
func unknownCommand(cmd *cobra.Command, name string) error {
	var names []string
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			names = append(names, c.Name())
		}
	}
	if near := spelling.Nearest(name, names); near != "" {
		return fmt.Errorf("unknown command %q for %q: did you mean %q?", name, cmd.CommandPath(), near)
	}
	return fmt.Errorf("unknown command %q for %q: it has %s", name, cmd.CommandPath(), strings.Join(names, ", "))
}

// argumentError says which argument is missing or too many, in the names of the command's usage line, and
// shows the command's first example.
func argumentError(cmd *cobra.Command, args []string) error {
	if cmd.HasSubCommands() && len(args) > 0 {
		return unknownCommand(cmd, args[0])
	}
	names := argumentNames(cmd)
	if n := len(args); n < len(names) {
		text := fmt.Sprintf("%s needs %s", cmd.CommandPath(), strings.Join(names, " and "))
		if n > 0 {
			text += ", and got only " + strings.Join(args, " ")
		}
		if example, _, _ := strings.Cut(strings.TrimSpace(cmd.Example), "\n"); example != "" {
			text += ", as in:\n  " + example
		}
		return errors.New(text)
	}
	if len(names) == 0 {
		return fmt.Errorf("%s takes no arguments: %q is too much", cmd.CommandPath(), args[0])
	}
	return fmt.Errorf("%s takes %s and no more: %q is too much", cmd.CommandPath(), strings.Join(names, " and "), args[min(len(names), len(args)-1)])
}

// argumentNames are the arguments of a usage line, less its flags: PATH of "explain --case NAME PATH".
func argumentNames(cmd *cobra.Command) []string {
	words := strings.Fields(cmd.Use)[1:]
	var names []string
	for i, w := range words {
		if strings.HasPrefix(w, "--") || i > 0 && strings.HasPrefix(words[i-1], "--") {
			continue
		}
		names = append(names, w)
	}
	return names
}

// flagError says what to write instead of a flag that is unknown or has a wrong value.
func flagError(cmd *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	var wrong *pflag.InvalidValueError
	var bare *pflag.ValueRequiredError
	switch {
	case errors.As(err, &unknown) && unknown.GetSpecifiedShortnames() == "":
		var names []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if !f.Hidden {
				names = append(names, f.Name)
			}
		})
		if near := spelling.Nearest(unknown.GetSpecifiedName(), names); near != "" {
			return fmt.Errorf("unknown flag --%s: did you mean --%s?", unknown.GetSpecifiedName(), near)
		}
		return fmt.Errorf("unknown flag --%s", unknown.GetSpecifiedName())
	case errors.As(err, &wrong):
		return fmt.Errorf("--%s %q: need %s", wrong.GetFlag().Name, wrong.GetValue(), valueKind(wrong.GetFlag().Value.Type()))
	case errors.As(err, &bare):
		return fmt.Errorf("--%s needs %s after it", bare.GetFlag().Name, valueKind(bare.GetFlag().Value.Type()))
	}
	return err
}

// valueKind tells people what a flag takes.
func valueKind(kind string) string {
	switch kind {
	case "int", "int64", "uint64", "count":
		return "a whole number, such as 10"
	case "uint":
		return "a whole number of 0 or more, such as 10"
	case "float64":
		return "a number, such as 0.5"
	case "bool":
		return "true or false"
	case "duration":
		return "a duration, such as 500ms, 30s or 2h"
	case "stringSlice", "stringArray":
		return "a value, or several with commas between"
	case "intSlice":
		return "whole numbers with commas between, such as 10,100"
	}
	return "a value"
}

// oneOf refuses the value of a flag that is none of names.
func oneOf(flag, value string, names ...string) error {
	if slices.Contains(names, value) {
		return nil
	}
	if near := spelling.Nearest(value, names); near != "" {
		return usagef("unknown %s %q: did you mean %s?", flag, value, near)
	}
	return usagef("unknown %s %q: use one of %s", flag, value, strings.Join(names, ", "))
}
