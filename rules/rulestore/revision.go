package rulestore

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/diff"

	"github.com/sartorhq/sartor/rules/rulefile"
)

// State is how far a revision has come.
type State string

// The states, in the order of a revision's life.
const (
	StateDraft      State = "draft"     // handed in, perhaps refused by a check
	StateChecked    State = "checked"   // fit to be published
	StateApproved   State = "approved"  // and others than its author agree, as many as the policy asks for
	StatePublished  State = "published" // live
	StateSuperseded State = "superseded"
)

// Revision is one version of a whole rule folder: rules, their lists and their tests.
type Revision struct {
	ID     string `json:"id"` // "000007-1b2c3d4e"
	Number int    `json:"number"`
	State  State  `json:"state"`
	// SHA256 is the content hash of rules and lists: Status.Revision of the replicas that serve it.
	SHA256 string `json:"sha256"`
	// Tree is the hash of all files, tests included.
	Tree      string    `json:"tree"`
	Author    string    `json:"author"`
	Message   string    `json:"message"`
	CreatedAt time.Time `json:"created_at"`
	// RollbackOf is the revision whose content this one repeats, "" for none.
	RollbackOf string `json:"rollback_of,omitempty"`
	// Base is the revision that was live when this one was handed in, and Diff what has changed since.
	Base string `json:"base,omitempty"`
	Diff string `json:"diff,omitempty"`
	// Checks is what the last check found, step by step; empty before the first.
	Checks []Check `json:"checks,omitempty"`
	// Approvals are those who agreed, in the order in which they did.
	Approvals []Approval `json:"approvals,omitempty"`
}

// Approval is one person's agreement to a revision's files, which never change.
type Approval struct {
	By      string    `json:"by"`
	At      time.Time `json:"at"`
	Comment string    `json:"comment,omitempty"`
}

// Check is one step of the way to publication.
type Check struct {
	Name   string `json:"name"` // decode, types, cost, lint, tests, shadow
	OK     bool   `json:"ok"`
	Detail string `json:"detail,omitempty"`
}

// Tree is the files of a revision by slash-separated name: rule files, list files and tests.
type Tree map[string]string

// ReadTree reads what makes up a revision from a folder: rule files, the list files that they name, and
// test files.
func ReadTree(dir string) (Tree, error) {
	c, err := readFolder(dir, nil, func(string) ([]byte, error) { return nil, rulefile.ErrElsewhere })
	if err != nil {
		return nil, err
	}
	out := Tree{}
	for _, group := range []map[string]string{c.Files, c.Lists} {
		for name, text := range group {
			out[name] = text
		}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if !IsTestFile(e.Name()) {
			continue
		}
		data, err := readFile(root, e.Name(), maxListBytes)
		if err != nil {
			return nil, err
		}
		if data != nil {
			out[e.Name()] = string(data)
		}
	}
	return out, nil
}

// IsTestFile tells whether a file of this name holds tests of rules.
func IsTestFile(name string) bool {
	return (strings.HasSuffix(name, ".test.yaml") || strings.HasSuffix(name, ".test.yml")) && !strings.HasPrefix(name, ".")
}

func (t Tree) names() []string {
	names := make([]string, 0, len(t))
	for name := range t {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (t Tree) hash() string {
	h := sha256.New()
	for _, name := range t.names() {
		fmt.Fprintf(h, "%q %q\n", name, t[name])
	}
	return hex.EncodeToString(h.Sum(nil))
}

// content is the part that replicas serve, read as they read it.
func (t Tree) content(dir string) *content {
	c := &content{Files: map[string]string{}, Lists: map[string]string{}, dir: dir}
	for name, text := range t {
		if IsRuleFile(name) {
			c.Files[name] = text
		}
	}
	c.read(func(name string) ([]byte, error) {
		if text, ok := t[name]; ok {
			return []byte(text), nil
		}
		return nil, fs.ErrNotExist
	})
	return c
}

// difference is the unified difference of two trees.
func difference(before, after Tree) string {
	all := Tree{}
	for _, t := range []Tree{before, after} {
		for name := range t {
			all[name] = ""
		}
	}
	var b strings.Builder
	for _, name := range all.names() {
		if before[name] != after[name] {
			b.Write(diff.Diff("a/"+name, []byte(before[name]), "b/"+name, []byte(after[name])))
		}
	}
	return b.String()
}

// The folder of an archive.
const (
	currentName   = "current"
	revisionsName = "revisions"
	filesName     = "files"
	revisionFile  = "revision.json"
)

func (a *Archive) path(id string) string { return filepath.Join(a.dir, revisionsName, id) }

// save writes a revision's record, never its files.
func (a *Archive) save(r *Revision) error {
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return writeAtomic(filepath.Join(a.path(r.ID), revisionFile), append(data, '\n'))
}

// ErrUnknownRevision is returned for an id that the archive does not hold.
var ErrUnknownRevision = errors.New("no such revision")

// Revision returns the revision whose id is id, or starts with it when only one does.
func (a *Archive) Revision(id string) (*Revision, error) {
	all, err := a.History()
	if err != nil {
		return nil, err
	}
	var found []*Revision
	for i := range all {
		if all[i].ID == id {
			return &all[i], nil
		}
		if id != "" && (strings.HasPrefix(all[i].ID, id) || strings.TrimLeft(id, "0") == fmt.Sprint(all[i].Number)) {
			found = append(found, &all[i])
		}
	}
	if len(found) != 1 {
		return nil, fmt.Errorf("%w: %q fits %d revisions", ErrUnknownRevision, id, len(found))
	}
	return found[0], nil
}

// Files returns the files of a revision.
func (a *Archive) Files(id string) (Tree, error) {
	tree, err := ReadTree(filepath.Join(a.path(id), filesName))
	if err != nil {
		return nil, fmt.Errorf("read revision %s: %w", id, err)
	}
	return tree, nil
}

// History returns all revisions, the newest first.
func (a *Archive) History() ([]Revision, error) {
	entries, err := os.ReadDir(filepath.Join(a.dir, revisionsName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []Revision
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		r, err := readRevision(a.path(e.Name()))
		if err != nil {
			return nil, err
		}
		out = append(out, *r)
	}
	slices.SortFunc(out, func(x, y Revision) int { return y.Number - x.Number })
	return out, nil
}

func readRevision(dir string) (*Revision, error) {
	data, err := os.ReadFile(filepath.Join(dir, revisionFile))
	if err != nil {
		return nil, err
	}
	r := &Revision{}
	if err := json.Unmarshal(data, r); err != nil {
		return nil, fmt.Errorf("read revision %s: %w", filepath.Base(dir), err)
	}
	return r, nil
}

// Current returns the id of the live revision, "" before the first.
func (a *Archive) Current() (string, error) {
	target, err := os.Readlink(filepath.Join(a.dir, currentName))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return filepath.Base(filepath.Dir(target)), nil
}

// Published is where the live revision of a Dir comes from.
type Published struct {
	ID      string `json:"id"`
	Author  string `json:"author"`
	Message string `json:"message"`
}

// published finds the revision of an archive that the folder is the live link of; nil when it is an
// ordinary folder, or another revision by now.
func (d *Dir) published(hash string) *Published {
	files, err := filepath.EvalSymlinks(d.dir)
	if err != nil {
		return nil
	}
	r, err := readRevision(filepath.Dir(files))
	if err != nil || r.SHA256 != hash {
		return nil
	}
	return &Published{ID: r.ID, Author: r.Author, Message: r.Message}
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
