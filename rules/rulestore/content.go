package rulestore

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sartorhq/sartor/rules"
	"github.com/sartorhq/sartor/rules/rulefile"
)

// The limits of a folder; they keep a wrong path from being read into memory.
const (
	maxFiles     = 200
	maxListBytes = 8 << 20
)

// content is what a folder held at one moment: rule files and the list files that they name.
type content struct {
	Files map[string]string `json:"files"`
	Lists map[string]string `json:"lists,omitempty"`
	dir   string            // for messages

	asked    map[string]bool // list files that were asked for, found or not
	parsed   []rules.File
	problems []rules.Problem
}

// readFolder reads the rule files of dir (*.yaml and *.yml, not *.test.yaml, not hidden ones), parses
// them, and so finds and reads their list files. When nothing has changed since last, it returns last
// and parses nothing: polling is cheap. remote reads lists that live elsewhere.
func readFolder(dir string, last *content, remote func(name string) ([]byte, error)) (*content, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return nil, err
	}
	c := &content{Files: map[string]string{}, Lists: map[string]string{}, dir: dir}
	for _, e := range entries {
		if !IsRuleFile(e.Name()) {
			continue
		}
		if len(c.Files) == maxFiles {
			return nil, fmt.Errorf("more than %d rule files", maxFiles)
		}
		data, err := readFile(root, e.Name(), rulefile.MaxBytes)
		if err != nil {
			return nil, err
		}
		if data != nil {
			c.Files[e.Name()] = string(data)
		}
	}
	open := func(name string) ([]byte, error) {
		if strings.HasPrefix(name, rulefile.RedisSource) {
			return remote(name)
		}
		data, err := readFile(root, filepath.FromSlash(name), maxListBytes)
		if err == nil && data == nil {
			err = errors.New("is not a file")
		}
		return data, err
	}
	if last != nil && maps.Equal(last.Files, c.Files) && last.sameLists(open) {
		return last, nil
	}
	c.read(open)
	return c, nil
}

// sameLists tells whether the list files still answer as they did.
func (c *content) sameLists(open func(name string) ([]byte, error)) bool {
	for name := range c.asked {
		data, err := open(name)
		if text, had := c.Lists[name]; had != (err == nil) || had && text != string(data) {
			return false
		}
	}
	return true
}

// IsRuleFile tells whether a file of this name holds rules, rather than tests or something else.
func IsRuleFile(name string) bool {
	ext := filepath.Ext(name)
	stem := strings.TrimSuffix(name, ext)
	return (ext == ".yaml" || ext == ".yml") && !strings.HasPrefix(name, ".") && filepath.Ext(stem) != ".test"
}

// readFile reads one byte more than limit, so that the reader of the content can refuse it. A folder
// gives nil.
func readFile(root *os.Root, name string, limit int64) ([]byte, error) {
	f, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, nil
	}
	return io.ReadAll(io.LimitReader(f, limit+1))
}

// read parses all files in the order of their names; open reads list files.
func (c *content) read(open func(name string) ([]byte, error)) {
	c.asked = map[string]bool{}
	for _, name := range c.names() {
		f, problems := rulefile.ParseWith(filepath.Join(c.dir, name), []byte(c.Files[name]), func(list string) ([]byte, error) {
			data, err := open(list)
			c.asked[list] = true
			if err == nil {
				c.Lists[list] = string(data)
			}
			return data, err
		})
		c.parsed = append(c.parsed, f)
		c.problems = append(c.problems, problems...)
	}
}

// names returns the rule files in the order in which they count.
func (c *content) names() []string {
	names := make([]string, 0, len(c.Files))
	for name := range c.Files {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// hash is the same for the same names and texts, wherever they come from.
func (c *content) hash() string {
	h := sha256.New()
	for _, group := range []map[string]string{c.Files, c.Lists} {
		names := make([]string, 0, len(group))
		for name := range group {
			names = append(names, name)
		}
		slices.Sort(names)
		for _, name := range names {
			fmt.Fprintf(h, "%q %q\n", name, group[name])
		}
		fmt.Fprintln(h, "--")
	}
	return hex.EncodeToString(h.Sum(nil))
}

// saved is the last good file: the texts rather than anything compiled, so that a newer program can
// read what an older one wrote.
type saved struct {
	Format  int      `json:"format"`
	Hash    string   `json:"hash"`
	Content *content `json:"content"`
}

const savedFormat = 1

// saveLastGood writes the content beside its final name and renames it, so that a crash leaves the
// old file or the new one.
func (d *Dir) saveLastGood(c *content) error {
	if d.opts.LastGood == "" {
		return nil
	}
	data, err := json.Marshal(saved{savedFormat, c.hash(), c})
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(d.opts.LastGood), filepath.Base(d.opts.LastGood)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name()) // gone already when all went well
	_, err = tmp.Write(data)
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), d.opts.LastGood)
}

// loadLastGood makes the saved revision live, marked stale.
func (d *Dir) loadLastGood() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	data, err := os.ReadFile(d.opts.LastGood)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read last good rules: %w", err)
	}
	s := saved{}
	if err := json.Unmarshal(data, &s); err != nil {
		return fmt.Errorf("read last good rules %s: %w", d.opts.LastGood, err)
	}
	if s.Format != savedFormat || s.Content == nil || s.Content.hash() != s.Hash {
		return fmt.Errorf("read last good rules %s: the file is damaged", d.opts.LastGood)
	}
	c := s.Content
	c.dir = d.dir
	lists := c.Lists
	c.Lists = map[string]string{}
	c.read(func(name string) ([]byte, error) {
		if text, ok := lists[name]; ok {
			return []byte(text), nil
		}
		return nil, fs.ErrNotExist
	})
	set, problems := d.compile(c)
	if set == nil {
		return fmt.Errorf("compile last good rules: %w (%s)", ErrBroken, problems[0].Message)
	}
	d.publish(set, c, nil, true)
	return nil
}
