package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/sartorhq/sartor/recommender"
	"github.com/sartorhq/sartor/rules"
)

// scenarioSource is one source of candidates in a scenario file.
type scenarioSource struct {
	// Source is model, similar, co-bought, trending, hot, new or list.
	Source string `yaml:"source"`
	// Share is the part of the list, in proportion to those of the other sources.
	Share float64 `yaml:"share"`
	// Window is of hot: 1h, 24h, 7d or 30d.
	Window string `yaml:"window"`
	// By is country, of hot.
	By string `yaml:"by"`
	// Items are those of list.
	Items []string `yaml:"items"`
}

// portion is the source as serving takes it.
func (s scenarioSource) portion() (recommender.Portion, error) {
	if s.By != "" && s.By != "country" {
		return recommender.Portion{}, fmt.Errorf("sources: %s by %s: only by country", s.Source, s.By)
	}
	return recommender.Portion{Source: rules.Source(s.Source), Share: s.Share, Window: s.Window, ByCountry: s.By == "country", Items: s.Items}, nil
}

// scenarioBlends reads the sources of all scenario files of a folder. state tells folders with the same
// content apart from others.
func scenarioBlends(dir string) (blends map[string][]recommender.Portion, state string, err error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil {
		return nil, "", fmt.Errorf("list scenario files: %w", err)
	}
	var seen bytes.Buffer
	blends = map[string][]recommender.Portion{}
	var problems []error
	for _, path := range paths { // sorted
		data, err := os.ReadFile(path)
		if err != nil {
			problems = append(problems, fmt.Errorf("read scenario: %w", err))
			continue
		}
		fmt.Fprintf(&seen, "%s\n%d\n%s", path, len(data), data)
		spec, err := readScenario(path)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		for _, s := range spec.Sources {
			p, err := s.portion()
			if err != nil {
				problems = append(problems, fmt.Errorf("scenario %s: %w", path, err))
			}
			blends[spec.Scenario] = append(blends[spec.Scenario], p)
		}
	}
	return blends, seen.String(), errors.Join(problems...)
}

// watchScenarios takes over the candidate sources of the scenario files whenever they change. While one of
// them is wrong, the old ones serve.
func (s *serving) watchScenarios(ctx context.Context) {
	c := complainer{logger: s.logger, what: "the scenario files cannot be used: the old sources serve"}
	serves := ""
	load := func() bool {
		blends, state, err := scenarioBlends(s.config.Scenarios.Dir)
		if state == serves && err == nil {
			return false
		}
		if err == nil {
			err = s.rec.SetBlends(blends)
		}
		if c.note(ctx, err); err == nil {
			serves = state
			s.logger.Info("candidate sources swapped in", "scenarios", slices.Sorted(maps.Keys(blends)))
		}
		return false
	}
	load()
	every(ctx, s.config.Rules.Poll, load)
}
