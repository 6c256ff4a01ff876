//go:build !unix

package rulestore

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// lock makes the archive's folder and a lock file in it. Where the system has no locks that end with
// their process, a file that a crash left behind must be removed by hand.
func (a *Archive) lock(context.Context) (unlock func(), err error) {
	if err := os.MkdirAll(filepath.Join(a.dir, revisionsName), 0o755); err != nil {
		return nil, err
	}
	path := filepath.Join(a.dir, ".lock")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return nil, fmt.Errorf("somebody else changes the archive, or a crash left %s: %w", path, err)
	}
	return func() { f.Close(); os.Remove(path) }, nil
}
