package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"time"

	"github.com/spf13/cobra"
)

// loadPlan is what 'sartor bench load' is to do, as JSON on its standard input.
type loadPlan struct {
	Addr        string        `json:"addr"` // host:port on the loopback
	Rate        float64       `json:"rate"` // requests a second; 0 = as many as are answered
	Connections int           `json:"connections"`
	Duration    time.Duration `json:"duration_ns"`
	Requests    [][]byte      `json:"requests"` // the bytes that go over the wire
}

func (p *loadPlan) check() error {
	addr, err := netip.ParseAddrPort(p.Addr)
	switch {
	case err != nil:
		return fmt.Errorf("addr: %w", err)
	case !addr.Addr().IsLoopback():
		return fmt.Errorf("addr %s: load is only made for a server on the loopback", p.Addr)
	case p.Rate < 0 || p.Connections < 1 || p.Duration <= 0 || len(p.Requests) == 0:
		return errors.New("need a rate that is not negative, and connections, a duration and requests")
	}
	return nil
}

// loadReport is what became of the requests of a plan.
type loadReport struct {
	Took     time.Duration `json:"took_ns"`
	Accepted spread        `json:"accepted"` // from the sending of a request until its answer was read
	Refused  spread        `json:"refused"`  // the same, with 503
	Failed   int           `json:"failed"`   // neither answered nor refused
	// AcceptedArrived and RefusedArrived end when the answer arrived, as the system has noted it: before the
	// generator got a processor to read it with, which on one machine with the server is the longer part. They
	// count the answers of which that is known; elsewhere than on Linux it is of none.
	AcceptedArrived spread `json:"accepted_arrived"`
	RefusedArrived  spread `json:"refused_arrived"`
	// FirstFailure says why, "" when none failed.
	FirstFailure string `json:"first_failure,omitempty"`
	// Late is how long after they were due requests were sent, with a rate: a server that holds every
	// connection for long makes the next requests late, which the latencies from the sending leave out.
	Late spread `json:"late"`
	// CPU is the process time of the generator, which shares the processors with the server.
	CPU time.Duration `json:"cpu_ns"`
}

func (r *loadReport) sent() int { return r.Accepted.Count + r.Refused.Count + r.Failed }

// answered is the whole answers a second.
func (r *loadReport) answered() float64 { return float64(r.Accepted.Count) / r.Took.Seconds() }

// processors is how many of them the generator used.
func (r *loadReport) processors() float64 { return r.CPU.Seconds() / r.Took.Seconds() }

// spread sums up durations.
type spread struct {
	Count int           `json:"count"`
	P50   time.Duration `json:"p50_ns"`
	P99   time.Duration `json:"p99_ns"`
}

// spreadOf sorts the durations.
func spreadOf(all []time.Duration) spread {
	slices.Sort(all)
	r := &loadResult{latencies: all}
	return spread{len(all), r.Quantile(0.5), r.Quantile(0.99)}
}

func newBenchLoadCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:    "load",
		Short:  "Send the requests of a plan on standard input to a server on the loopback",
		Hidden: true, // 'sartor bench serve' starts it, so that it does not measure its own scheduler
		Args:   cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := context.WithCancel(cmd.Context())
			defer cancel()
			var plan loadPlan
			in := json.NewDecoder(a.stdin)
			if err := in.Decode(&plan); err != nil {
				return fmt.Errorf("read the plan: %w", err)
			}
			if err := plan.check(); err != nil {
				return usageError{fmt.Errorf("the plan: %w", err)}
			}
			go func() { // the input ends when whoever started this does, even if killed
				_, _ = io.Copy(io.Discard, a.stdin) // an error ends it as well
				cancel()
			}()
			report, err := plan.send(ctx)
			if err != nil {
				return fmt.Errorf("send the requests: %w", err)
			}
			return json.NewEncoder(a.stdout).Encode(report)
		},
		Annotations: map[string]string{skipConfig: "the plan says everything"},
	}
}

// stamped gives a request a field for the time of its sending.
func stamped(request []byte) []byte {
	line, rest, _ := bytes.Cut(request, []byte("\r\n"))
	return slices.Concat(line, []byte("\r\n"+sentHeader+sentNever+"\r\n"), rest)
}

// apart has another process of this program send the requests of a plan: in the process of the server,
// the generator's goroutines would queue with the server's for a turn, and its garbage would be collected
// with the server's.
func (p *loadPlan) apart(ctx context.Context) (*loadReport, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find the program to start again: %w", err)
	}
	plan, err := json.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("write the plan: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cmd := exec.CommandContext(ctx, self, "bench", "load")
	cmd.Args[0] = "sartor" // in a test, self is the test's binary, which takes its name for what to do
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	in, err := cmd.StdinPipe() // stays open until Wait: its end would stop the load
	if err != nil {
		return nil, fmt.Errorf("start the load generator: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the load generator: %w", err)
	}
	_, writeErr := in.Write(plan)
	if writeErr != nil {
		cancel()
	}
	if err := cmd.Wait(); err != nil {
		return nil, fmt.Errorf("load generator: %w: %s", errors.Join(err, writeErr), bytes.TrimSpace(errOut.Bytes()))
	}
	report := new(loadReport)
	if err := json.Unmarshal(out.Bytes(), report); err != nil {
		return nil, fmt.Errorf("report of the load generator: %w", err)
	}
	return report, nil
}
