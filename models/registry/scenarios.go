package registry

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Scenarios names the scenarios that have a registry of their own in this one, sorted; whether it holds a
// current model is for Scenario(name).Current to say.
func (r *Registry) Scenarios() ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(r.dir, scenarioFolder))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list the scenarios: %w", err)
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names, nil
}
