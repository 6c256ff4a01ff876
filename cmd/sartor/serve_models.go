package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/sartorhq/sartor/models"
	"github.com/sartorhq/sartor/models/registry"
)

// modelWatch keeps what serves at the current version of one registry.
type modelWatch struct {
	registry *registry.Registry
	scenario string // "" = the model of all scenarios without one of their own
	set      func(models.Model) error
	serves   string // version
	c        complainer
}

// watchModels loads the registry's current model whenever it is another one, and likewise the models of
// single scenarios, which come and go with their folders.
func (s *serving) watchModels(ctx context.Context) {
	const what = "the registry's current model cannot be loaded: the old one keeps serving"
	shared := &modelWatch{registry: s.models, set: s.rec.SetModel, c: complainer{logger: s.logger, what: what}}
	special := map[string]*modelWatch{}
	c := complainer{logger: s.logger, what: "the models of scenarios cannot be looked for"}
	load := func() bool {
		s.look(ctx, shared)
		names, err := s.models.Scenarios()
		if c.note(ctx, err); err != nil {
			return false
		}
		for _, name := range names {
			if special[name] == nil {
				special[name] = &modelWatch{registry: s.models.Scenario(name), scenario: name, c: complainer{logger: s.logger, what: what},
					set: func(m models.Model) error { return s.rec.SetScenarioModel(name, m) }}
			}
			s.look(ctx, special[name])
		}
		for name, w := range special {
			if !slices.Contains(names, name) {
				w.c.note(ctx, w.set(nil))
				s.logger.Info("a scenario's own model is gone: the shared one answers", "scenario", name)
				delete(special, name)
			}
		}
		return false
	}
	load()
	every(ctx, s.config.Models.Poll, load)
}

// look swaps the registry's current model in when it is another one than serves.
func (s *serving) look(ctx context.Context, w *modelWatch) {
	version, err := w.registry.Current()
	if version == w.serves || errors.Is(err, registry.ErrEmpty) {
		return
	}
	if err == nil {
		err = s.swap(w, version)
	}
	if w.c.note(ctx, err); err == nil {
		w.serves = version
	}
}

// swapModel swaps a version of the shared model in.
func (s *serving) swapModel(version string) error {
	return s.swap(&modelWatch{registry: s.models, set: s.rec.SetModel}, version)
}

func (s *serving) swap(w *modelWatch, version string) error {
	m, err := w.registry.Load(version)
	if err != nil {
		return fmt.Errorf("load model %s: %w", version, err)
	}
	if err := w.set(m); err != nil {
		return fmt.Errorf("use model %s: %w", version, err)
	}
	s.logger.Info("model swapped in", "version", version, "scenario", w.scenario, "kind", m.Meta().Kind, "items", m.Meta().Items)
	return nil
}
