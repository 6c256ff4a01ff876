package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/sartorhq/sartor/streams"
)

// scenarioSpec is a scenario file: what a placement wants, and how the pretrained model is tuned to it.
type scenarioSpec struct {
	Scenario string `yaml:"scenario"`
	// Objective is what a user's event on an item is worth as a target, by type; events that are absent
	// are still shown as history.
	Objective map[string]float64 `yaml:"objective"`
	// Items limits the scenario's catalogue to the items of which an attribute has one of the values;
	// empty = all items.
	Items struct {
		Attribute string   `yaml:"attribute"`
		Any       []string `yaml:"any"`
	} `yaml:"items"`
	// Sources are where the candidates of the scenario come from when it is served; see serve_scenarios.go.
	Sources []scenarioSource `yaml:"sources"`
	// Freeze lists groups that stay as pretrained: items.in, items.out, tower; of an encoder item, input,
	// encoder.0, encoder.1, ...
	Freeze []string `yaml:"freeze"`
	// Rates are parts of the learning rate by group, such as items.in: 0.1; 1 where absent.
	Rates  map[string]float64 `yaml:"rates"`
	Rate   float64            `yaml:"rate"` // learning rate
	Epochs int                `yaml:"epochs"`
	Keep   float64            `yaml:"keep"`      // share of a user's items that is shown
	Fade   time.Duration      `yaml:"half_life"` // age at which evidence of taste counts half; 0 = as pretrained
	// Order is the share of examples that show what came before and foresee the next Ahead items.
	Order float64 `yaml:"order"`
	Ahead int     `yaml:"ahead"`
	// Again makes what a user had before a target like any other, where people buy again, and ranks it.
	Again bool `yaml:"again"`
	// Exposures is how often an item counts as a negative that the user was shown in this scenario and left;
	// 0 = exposures do not count.
	Exposures float64 `yaml:"exposures"`
	// Head adds to an encoder a residual network of so many units on the user's vector, of what is known of
	// the user and of his visit; 0 = as pretrained. It learns as the group head.
	Head int `yaml:"head"`
	// Tune chooses half-life and weights of event types on the scenario's validation window.
	Tune bool `yaml:"tune_signal"`
	// TuneRates chooses the learning rate and the parts of it by group on the validation window.
	TuneRates bool `yaml:"tune_rates"`
	// Patience ends tuning after so many epochs without a better validation figure.
	Patience int `yaml:"patience"`
}

// readScenario reads and checks a scenario file, but for what depends on the kind of model: see checkKind.
func readScenario(path string) (scenarioSpec, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return scenarioSpec{}, fmt.Errorf("read scenario: %w", err)
	}
	s := scenarioSpec{Rate: 0.001, Epochs: 10, Patience: 4}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	if err := dec.Decode(&s); err != nil && !errors.Is(err, io.EOF) {
		return s, fmt.Errorf("read scenario %s: %w", path, err)
	}
	if err := s.check(); err != nil {
		return s, fmt.Errorf("scenario %s: %w", path, err)
	}
	return s, nil
}

// check reports everything that is wrong.
func (s scenarioSpec) check() error {
	var problems []error
	if s.Scenario == "" {
		problems = append(problems, errors.New("scenario: the name is missing"))
	} else if strings.ContainsAny(s.Scenario, `/\`) || strings.HasPrefix(s.Scenario, ".") || len(s.Scenario) > 128 { // it names a folder of the registry
		problems = append(problems, fmt.Errorf("scenario: %.140q: need a name without slashes that does not begin with a dot, of at most 128 bytes", s.Scenario))
	}
	positive := len(s.Objective) == 0
	for _, name := range sortedKeys(s.Objective) {
		stream := streams.Type(name).Stream()
		if stream != streams.Behavior && stream != streams.Orders {
			problems = append(problems, fmt.Errorf("objective: %s is not a type of the behavior or orders stream", name))
		}
		if !(s.Objective[name] >= 0 && s.Objective[name] <= 1e6) {
			problems = append(problems, fmt.Errorf("objective: %s is %v, need 0 to 1e6", name, s.Objective[name]))
		}
		positive = positive || s.Objective[name] > 0
	}
	if !positive {
		problems = append(problems, errors.New("objective: no type has a weight above 0"))
	}
	if (s.Items.Attribute == "") != (len(s.Items.Any) == 0) {
		problems = append(problems, errors.New("items: need attribute and any, or neither"))
	}
	if !(s.Order >= 0 && s.Order <= 1) || s.Ahead < 0 || s.Patience < 0 {
		problems = append(problems, fmt.Errorf("order: %v, ahead: %d, patience: %d: need 0 to 1, and numbers that are not negative", s.Order, s.Ahead, s.Patience))
	}
	if s.Exposures != 0 && !(s.Exposures >= 1 && s.Exposures <= 1000) {
		problems = append(problems, fmt.Errorf("exposures: %v, need 1 to 1000, or 0", s.Exposures))
	}
	if s.Fade < 0 || s.Fade%time.Second != 0 {
		problems = append(problems, fmt.Errorf("half_life: %v, need a whole number of seconds, or 0", s.Fade))
	}
	return errors.Join(problems...)
}

func sortedKeys(m map[string]float64) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// catalog collects the ids of the scenario's items from the catalogue events that pass by.
type catalog struct {
	spec scenarioSpec
	ids  map[string]bool
}

// add looks at an event; the last one of an item counts.
func (c *catalog) add(e *streams.Event) {
	if e.Type != streams.ItemUpsert || len(e.Items) == 0 || c.spec.Items.Attribute == "" {
		return
	}
	id := e.Items[0].ItemID
	c.ids[id] = holds(e.Attributes[c.spec.Items.Attribute], c.spec.Items.Any)
}

// holds tells whether a value, or one of a list, is among those that are wanted.
func holds(value any, wanted []string) bool {
	switch v := value.(type) {
	case string:
		return slices.Contains(wanted, v)
	case []string:
		return slices.ContainsFunc(v, func(x string) bool { return slices.Contains(wanted, x) })
	case []any:
		return slices.ContainsFunc(v, func(x any) bool { return holds(x, wanted) })
	}
	return false
}

// wants returns what LAEOptions.Catalog asks; nil = every item.
func (c *catalog) wants() func(string) bool {
	if c.spec.Items.Attribute == "" {
		return nil
	}
	return func(id string) bool { return c.ids[id] }
}
