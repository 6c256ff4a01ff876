//go:build faults

package kafka

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// faultEnv names the place at which this process dies, as if by SIGKILL: FAULTPOINT_SARTOR=applied:3 dies
// when that place is reached for the third time, by whichever partition. Only a build with -tags faults
// looks at it; 'make soak' makes one.
const faultEnv = "FAULTPOINT_SARTOR"

// faultPoints are all places, in the order in which a batch comes by them.
func faultPoints() []string {
	return []string{
		"opened",              // the fences are read, nothing is fetched
		"before-letters",      // the batch is decoded; its dead letters are not written
		"letters-written",     // the dead letters are written, the batch is not applied
		"before-apply",        // just before the store is called
		"during-apply",        // up to 2 ms later: on its way, half applied, or applied and not known to be
		"applied",             // the store has the batch; nobody was told
		"before-commit",       // just before the commit that dashboards see
		"committed",           // just behind it
		"before-flush",        // idle: just before shards without events are brought up to date
		"during-flush",        // up to 2 ms later
		"flushed",             // just behind it
		"rebalance",           // the generation has ended; the final commit is not made
		"rebalance-committed", // the final commit is made; the partition is not given back
		"refused",             // the store has refused an event; its letter is not written
	}
}

// faults kill the process at the place that the environment names.
type faults struct{ reached atomic.Int64 }

// reach is called at a place.
func (f *faults) reach(point string) {
	name, times, _ := strings.Cut(os.Getenv(faultEnv), ":")
	if name == "" {
		return
	}
	if !slices.Contains(faultPoints(), name) || !slices.Contains(faultPoints(), point) {
		panic(fmt.Sprintf("%s=%s: there are only %v", faultEnv, name, faultPoints()))
	}
	if point != name {
		return
	}
	nth, err := strconv.ParseInt(times, 10, 64)
	if err != nil {
		nth = 1
	}
	if f.reached.Add(1) < nth {
		return
	}
	if strings.HasPrefix(point, "during-") {
		go func() { time.Sleep(rand.N(2 * time.Millisecond)); die() }()
		return
	}
	die()
}

// die ends the process without any of its clean-up.
func die() {
	if p, err := os.FindProcess(os.Getpid()); err == nil {
		_ = p.Kill()
	}
	select {}
}
