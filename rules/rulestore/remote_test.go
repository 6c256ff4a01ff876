package rulestore

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/sartorhq/sartor/features"
)

const recalledFile = `apiVersion: rules/v1
kind: RuleSet
name: recalls
description: d
owner: o
lists:
  recalled: {source: redis:recalled}
rules:
  - id: recalled
    hard: true
    match: item.id in lists.recalled
    then: [exclude: {}]
`

// A list that lives elsewhere takes effect when it changes; where it cannot be read, the last good rules
// go on, over a restart, too.
func TestLiveList(t *testing.T) {
	dir, schema := t.TempDir(), features.Default()
	if err := os.WriteFile(filepath.Join(dir, "recalls.yaml"), []byte(recalledFile), 0o644); err != nil {
		t.Fatal(err)
	}
	values, broken := "sku-1", error(nil)
	opts := Options{LastGood: filepath.Join(t.TempDir(), "good.json"), Remote: func(_ context.Context, name string) ([]byte, error) {
		if name != "redis:recalled" {
			t.Errorf("asked for %s", name)
		}
		return []byte(values), broken
	}}
	d := NewDir(dir, schema, opts)
	excluded := func(d *Dir, id string) bool {
		_, out := d.Set().StaticExcludes("home", schema.Item(id, nil, d.Status().LoadedAt))
		return out
	}
	if err := d.Load(t.Context()); err != nil || !excluded(d, "sku-1") || excluded(d, "sku-2") {
		t.Fatalf("%v, sku-1 excluded %v, sku-2 %v", err, excluded(d, "sku-1"), excluded(d, "sku-2"))
	}
	if changed, err := d.Reload(t.Context()); changed || err != nil {
		t.Errorf("nothing changed: %v %v", changed, err)
	}
	values = "# note\nsku-2\n"
	if changed, err := d.Reload(t.Context()); !changed || err != nil || excluded(d, "sku-1") || !excluded(d, "sku-2") {
		t.Errorf("another list: changed %v, %v", changed, err)
	}
	broken = errors.New("redis is down")
	if changed, err := d.Reload(t.Context()); changed || err == nil || !excluded(d, "sku-2") {
		t.Errorf("the list cannot be read: changed %v, %v; the guard must hold", changed, err)
	}
	again := NewDir(dir, schema, opts)
	if err := again.Load(t.Context()); err == nil || !excluded(again, "sku-2") || !again.Status().Stale {
		t.Errorf("after a restart: %v, status %+v", err, again.Status())
	}
	broken = nil
	if changed, err := again.Reload(t.Context()); err != nil || !excluded(again, "sku-2") {
		t.Errorf("it is back: %v %v", changed, err)
	}
	if err := NewDir(dir, schema, Options{}).Load(t.Context()); err == nil {
		t.Error("a list that nobody can read is taken for an empty one")
	}
	if tree, err := ReadTree(dir); err != nil || len(tree) != 1 {
		t.Errorf("a tree %v, %v", tree, err)
	}
}
