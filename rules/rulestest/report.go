package rulestest

import (
	"bytes"
	"fmt"
	"io"
	"strings"
)

// Report writes one line a case, the differences under the cases that failed, and a closing line.
// Passing cases are shown only when verbose. It returns whether all passed.
func Report(w io.Writer, results []Result, verbose bool) (passed bool, err error) {
	var b bytes.Buffer
	failed := 0
	for _, r := range results {
		switch {
		case !r.Passed():
			failed++
			fmt.Fprintf(&b, "FAIL  %s:%d  %s\n", r.Path, r.Line, r.Name)
			for _, f := range r.Failures {
				fmt.Fprintf(&b, "      %s\n", strings.ReplaceAll(f, "\n", "\n      "))
			}
			story(&b, r)
		case verbose:
			fmt.Fprintf(&b, "ok    %s:%d  %s\n", r.Path, r.Line, r.Name)
		}
	}
	if failed > 0 {
		fmt.Fprintf(&b, "%d of %d cases failed\n", failed, len(results))
	} else {
		fmt.Fprintf(&b, "%s passed\n", cases(len(results)))
	}
	_, err = w.Write(b.Bytes())
	return failed == 0, err
}

func cases(n int) string {
	if n == 1 {
		return "1 case"
	}
	return fmt.Sprintf("%d cases", n)
}

// story tells what the rules did in a case that failed.
func story(b *bytes.Buffer, r Result) {
	if len(r.Trace.Fired) == 0 {
		b.WriteString("      no rule fired\n")
		return
	}
	b.WriteString("      what happened:\n")
	for _, f := range r.Trace.Fired {
		fmt.Fprintf(b, "        %s: %s", f.Rule, f.Action)
		if f.Items > 0 {
			fmt.Fprintf(b, " (%d items)", f.Items)
		}
		if f.Detail != "" {
			fmt.Fprintf(b, ": %s", f.Detail)
		}
		b.WriteByte('\n')
	}
	for _, e := range r.Trace.Errors {
		fmt.Fprintf(b, "        %s: %s: error: %s\n", e.Rule, e.Action, e.Error)
	}
}
