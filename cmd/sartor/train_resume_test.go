package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/sartorhq/sartor/models"
	"github.com/sartorhq/sartor/models/registry"
)

// A training that is killed, with no time to say goodbye, goes on from its checkpoint to the same weights,
// byte for byte.
func TestTrainGoesOnAfterSIGKILL(t *testing.T) {
	events, dir := writeEvents(t, twoTastes(60, 40, 30)), t.TempDir()
	train := func(name string) (*exec.Cmd, string) {
		args := []string{"train", "--model", "encoder", "--from-file", "ndjson:" + events, "--models", filepath.Join(dir, name), "--split", "none",
			"--dim", "32", "--hidden", "64", "--inner", "64", "--epochs", "12", "--tokens", "64", "--checkpoint", filepath.Join(dir, name+".state"), "--checkpoint-every", "1"}
		return exec.CommandContext(t.Context(), "sartor", args...), filepath.Join(dir, name+".state")
	}
	whole, _ := train("whole")
	if out, err := whole.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	broken, state := train("broken")
	if err := broken.Start(); err != nil {
		t.Fatal(err)
	}
	deadline, tick := time.After(deadline), time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for seen := false; !seen; {
		select {
		case <-tick.C:
			_, err := os.Stat(state)
			seen = err == nil
		case <-deadline:
			t.Fatal("no checkpoint after a minute")
		}
	}
	_ = broken.Process.Kill() // an error only says that it has ended
	if err := broken.Wait(); err == nil {
		t.Skip("it ended before it could be killed")
	}
	again, _ := train("broken")
	out, err := again.CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("Going on after ")) {
		t.Fatalf("%v\n%s", err, out)
	}
	if a, b := tensorsOf(t, filepath.Join(dir, "whole")), tensorsOf(t, filepath.Join(dir, "broken")); !bytes.Equal(a, b) {
		t.Error("the weights differ")
	}
	if _, err := os.Stat(state); !os.IsNotExist(err) {
		t.Errorf("the checkpoint was left behind: %v", err)
	}
}

// tensorsOf reads the weights of the current model of a registry.
func tensorsOf(t *testing.T, dir string) []byte {
	t.Helper()
	version, err := registry.New(dir).Current()
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(dir, version, models.TensorFile))
	if err != nil {
		t.Fatal(err)
	}
	return data
}
