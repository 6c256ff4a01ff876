package rulestore

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
)

// Bundle is a part of an archive: lines of its audit log and all that they speak of.
type Bundle struct {
	// Whole says that the lines are the whole log.
	Whole bool
	// Lines are audit lines, without their line ends, in their order.
	Lines []string
	// Records are the revisions' records as JSON by id, and Trees the files of those handed in.
	Records map[string]string
	Trees   map[string]Tree
}

// Head is the hash of the last line, "" without lines.
func (b *Bundle) Head() (string, error) {
	if len(b.Lines) == 0 {
		return "", nil
	}
	var e Entry
	if err := json.Unmarshal([]byte(b.Lines[len(b.Lines)-1]), &e); err != nil {
		return "", fmt.Errorf("read the last audit line: %w", err)
	}
	return e.Hash, nil
}

// history is a bundle that was checked.
type history struct {
	log     []Entry // the whole
	records []*Revision
}

// check returns the history that a bundle leads to from the log of this machine.
func (b *Bundle) check(mine []Entry) (history, error) {
	if b.Whole {
		mine = nil
	}
	var log bytes.Buffer
	for _, e := range mine {
		line, err := json.Marshal(e)
		if err != nil {
			return history{}, err
		}
		log.Write(append(line, '\n'))
	}
	for _, line := range b.Lines {
		log.WriteString(line + "\n")
	}
	all, err := readAudit(log.Bytes())
	if err != nil {
		return history{}, err
	}
	if err := b.checkLines(all, all[len(mine):]); err != nil {
		return history{}, err
	}
	records, err := readRecords(b.Records)
	if err != nil {
		return history{}, err
	}
	for _, tree := range b.Trees {
		for name := range tree {
			if !filepath.IsLocal(filepath.FromSlash(name)) {
				return history{}, fmt.Errorf("%q is outside of the folder", name)
			}
		}
	}
	return history{all, records}, nil
}

// checkLines compares the newest lines of a log with what the bundle holds of their revisions.
func (b *Bundle) checkLines(all, lines []Entry) error {
	handedIn := map[string]bool{}
	for _, e := range all {
		if e.Action == ActionDraft {
			handedIn[e.Revision] = true
		} else if e.Revision != "" && !handedIn[e.Revision] {
			return fmt.Errorf("revision %s was never handed in", e.Revision)
		}
	}
	for _, e := range lines {
		if e.Action == ActionDraft && b.Trees[e.Revision].hash() != e.Tree {
			return fmt.Errorf("the files of revision %s were changed", e.Revision)
		}
		if e.Revision != "" && b.Records[e.Revision] == "" {
			return fmt.Errorf("the record of revision %s is missing", e.Revision)
		}
	}
	return nil
}

// readRecords decodes records, in the order of their ids, which name folders.
func readRecords(texts map[string]string) ([]*Revision, error) {
	var out []*Revision
	for _, id := range slices.Sorted(maps.Keys(texts)) {
		if !filepath.IsLocal(id) || filepath.Base(id) != id || strings.HasPrefix(id, ".") {
			return nil, fmt.Errorf("%q is no revision", id)
		}
		r := &Revision{}
		if err := json.Unmarshal([]byte(texts[id]), r); err != nil {
			return nil, fmt.Errorf("read the record of revision %s: %w", id, err)
		}
		if r.ID != id {
			return nil, fmt.Errorf("the record of revision %s speaks of %q", id, r.ID)
		}
		out = append(out, r)
	}
	return out, nil
}
