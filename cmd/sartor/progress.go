package main

import (
	"fmt"
	"io"
	"time"

	"github.com/schollz/progressbar/v3"
)

// step shows one long piece of work: a bar where a person watches, one line at the end elsewhere.
// All methods belong to one goroutine; a nil step shows nothing.
type step struct {
	out   io.Writer
	name  string
	unit  string
	count int64
	start time.Time
	bar   *progressbar.ProgressBar // nil when nobody watches
}

// newStep begins a step; total -1 means that the end is not known.
func newStep(out io.Writer, name, unit string, total int64) *step {
	s := &step{out: out, name: name, unit: unit, start: time.Now()}
	if isTerminal(out) {
		s.bar = progressbar.NewOptions64(total, progressbar.OptionSetWriter(out), progressbar.OptionSetDescription(fmt.Sprintf("  %-9s", name)),
			progressbar.OptionSetWidth(30), progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionSetItsString(unit),
			progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish())
	}
	return s
}

func (s *step) add(n int) {
	if s == nil {
		return
	}
	s.count += int64(n)
	if s.bar != nil {
		_ = s.bar.Add(n) // a bar that cannot be drawn is no reason to stop
	}
}

// set moves the step to a count.
func (s *step) set(count int64) {
	if s != nil && count > s.count {
		s.add(int(count - s.count))
	}
}

// done replaces the bar by a line.
func (s *step) done() {
	if s == nil {
		return
	}
	if s.bar != nil {
		_ = s.bar.Finish()
	}
	took := time.Since(s.start)
	fmt.Fprintf(s.out, "  %-9s %s %s in %.1f s\n", s.name, thousands(s.count), s.unit, took.Seconds())
}

// thousands prints 1234567 as 1,234,567.
func thousands(n int64) string {
	if n < 0 {
		return "-" + thousands(-n)
	}
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", thousands(n/1000), n%1000)
}
