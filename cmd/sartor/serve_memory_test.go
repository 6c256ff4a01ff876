package main

import (
	"runtime/debug"
	"testing"
)

func TestGCPercent(t *testing.T) {
	for live, want := range map[uint64]int{
		0: 3200, 1 << 20: 3200, 8 << 20: 1600, 64 << 20: 200, 128 << 20: 100, 4 << 30: 100,
	} {
		if got := gcPercent(gcRoomLeast, live); got != want {
			t.Errorf("%d bytes live: %d %%, want %d %%", live, got, want)
		}
	}
}

// TestGCRoomIsGivenBack: whoever stops finds the percentage that held before.
func TestGCRoomIsGivenBack(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(70))
	t.Setenv("GOGC", "")
	keepGCRoom()()
	if got := debug.SetGCPercent(70); got != 70 {
		t.Errorf("%d %% afterwards, want 70 %%", got)
	}
	t.Setenv("GOGC", "50")
	keepGCRoom()()
	if got := debug.SetGCPercent(70); got != 70 {
		t.Errorf("%d %% although GOGC is set, want 70 %%", got)
	}
}

// TestGCRoomFollowsTheMemory: a thirty-second of it, between 128 and 512 MiB.
func TestGCRoomFollowsTheMemory(t *testing.T) {
	for memory, want := range map[uint64]uint64{0: 128 << 20, 1 << 30: 128 << 20, 8 << 30: 256 << 20, 64 << 30: 512 << 20} {
		if got := gcRoom(memory); got != want {
			t.Errorf("%d bytes of memory: room for %d, want %d", memory, got, want)
		}
	}
}
