package main

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// leastNote is the annotation of a flag that holds the least value that it takes.
const leastNote = "sartor-least"

// atLeast has a command refuse smaller values of its flags.
func atLeast(flags *pflag.FlagSet, least float64, names ...string) {
	for _, name := range names {
		if err := flags.SetAnnotation(name, leastNote, []string{strconv.FormatFloat(least, 'g', -1, 64)}); err != nil {
			panic("sartor: " + err.Error()) // no such flag: every test of the command meets it
		}
	}
}

// numbers judges the values of a command's number flags that were given. None may be negative whose help does not
// say what a negative one means, and none may be below its atLeast: what cannot be meant is not worked with.
func numbers(cmd *cobra.Command) error {
	var wrong error
	cmd.Flags().Visit(func(f *pflag.Flag) {
		value, ok := numberOf(f)
		if !ok || wrong != nil {
			return
		}
		least := 0.0
		if note := f.Annotations[leastNote]; len(note) > 0 {
			least, _ = strconv.ParseFloat(note[0], 64) // atLeast wrote it
		} else if strings.Contains(f.Usage, "negative = ") {
			least = math.Inf(-1)
		}
		switch {
		case math.IsNaN(value) || math.IsInf(value, 0):
			wrong = usagef("--%s %s: need %s", f.Name, f.Value, valueKind(f.Value.Type()))
		case value < least && least == 0:
			wrong = usagef("--%s %s: must not be negative", f.Name, f.Value)
		case value < least && f.Value.Type() == "duration":
			wrong = usagef("--%s %s: need %s or more", f.Name, f.Value, time.Duration(least))
		case value < least:
			wrong = usagef("--%s %s: need %g or more", f.Name, f.Value, least)
		}
	})
	return wrong
}

// numberOf returns the value of a flag that holds one number; a duration counts its nanoseconds.
func numberOf(f *pflag.Flag) (float64, bool) {
	switch f.Value.Type() {
	case "int", "int64", "uint", "uint64", "float64":
		v, err := strconv.ParseFloat(f.Value.String(), 64)
		return v, err == nil
	case "duration":
		d, err := time.ParseDuration(f.Value.String())
		return float64(d), err == nil
	}
	return 0, false
}
