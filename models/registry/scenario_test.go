package registry

import (
	"errors"
	"path/filepath"
	"testing"
)

func TestScenarioHasACurrentVersionOfItsOwn(t *testing.T) {
	r := New(t.TempDir())
	general, err := r.Publish(t.Context(), model(t, 1))
	if err != nil {
		t.Fatal(err)
	}
	home := r.Scenario("home")
	if _, err := home.Current(); !errors.Is(err, ErrEmpty) {
		t.Errorf("a new scenario: %v", err)
	}
	tuned, err := home.Publish(t.Context(), model(t, 2))
	if err != nil {
		t.Fatal(err)
	}
	if home.Dir() != filepath.Join(r.Dir(), "scenarios", "home") {
		t.Errorf("the scenario lies in %s", home.Dir())
	}
	if now, err := r.Current(); now != general.Version || err != nil {
		t.Errorf("the general model is %s, %v", now, err)
	}
	if now, err := home.Current(); now != tuned.Version || err != nil {
		t.Errorf("the scenario's model is %s, %v", now, err)
	}
	if list, err := r.List(); len(list) != 1 || err != nil {
		t.Errorf("listed %d versions, %v: scenarios are not versions", len(list), err)
	}
}
