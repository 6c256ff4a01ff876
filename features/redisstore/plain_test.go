package redisstore

import (
	"fmt"
	"testing"
	"time"

	"github.com/sartorhq/sartor/streams"
)

// The yardstick of the benchmarks writes what Apply writes: its counters are those of the fold.
func TestPlainWritesTheSame(t *testing.T) {
	onServers(t, func(t *testing.T, opts Options) {
		s := open(t, opts)
		var events []streams.Event
		for i := range 40 {
			events = append(events, event(streams.Types()[i%9], fmt.Sprintf("u%d", i%3), fmt.Sprintf("i%d", i%2), time.Duration(i)*time.Minute))
		}
		log, w := foldAll(events), s.Plain()
		if err := w.Write(t.Context(), log); err != nil {
			t.Fatal(err)
		}
		for e, want := range oracle(log) {
			got := s.client.HGetAll(t.Context(), w.prefix+string(rune(e.Kind))+":"+e.ID).Val()
			if len(got) != len(want.Counters) {
				t.Errorf("%v: %d counters, want %d", e, len(got), len(want.Counters))
			}
			for name, v := range want.Counters {
				if got[name] != fmt.Sprint(v) {
					t.Errorf("%v: %s is %s, want %d", e, name, got[name], v)
				}
			}
			for list, entries := range want.Lists {
				if n := s.client.ZCard(t.Context(), w.prefix+"l:"+list+":"+e.ID).Val(); n != int64(len(entries)) {
					t.Errorf("%v: list %s has %d entries, want %d", e, list, n, len(entries))
				}
			}
		}
		if used, err := s.ServerCPU(t.Context()); err == nil && used < 0 {
			t.Errorf("the server used %v", used)
		}
	})
}
