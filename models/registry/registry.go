// Package registry keeps the versions of a model in one folder and says which of them is current. It
// works between processes that share the folder: a publisher and many readers. It chooses no version
// itself and runs nothing in the background.
package registry

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sartorhq/sartor/models"
)

// The sentinels that callers branch on.
var (
	// ErrEmpty says that nothing has been published yet.
	ErrEmpty = errors.New("the registry holds no current model")
	// ErrNotFound says that the registry has no such version.
	ErrNotFound = errors.New("no such model version")
)

// currentFile holds the name of the current version and a newline.
const currentFile = "CURRENT"

// stagingPrefix begins the name of everything that is not finished.
const stagingPrefix = ".staging-"

// maxVersion bounds the length of a version's name.
const maxVersion = 100

// Registry is a folder of versions. Its methods are safe for concurrent use, also by several
// processes: a version appears whole, CURRENT changes in one step, and of two publishers the later one
// wins.
type Registry struct {
	dir string
}

// New returns the registry in the folder dir, which is created when the first model is published.
func New(dir string) *Registry { return &Registry{dir: dir} }

// scenarioFolder holds the registries of scenarios.
const scenarioFolder = "scenarios"

// Scenario returns the registry of the models that were tuned for one scenario, a folder inside this
// one with a current version of its own.
func (r *Registry) Scenario(name string) *Registry {
	return New(filepath.Join(r.dir, scenarioFolder, name))
}

// Dir returns the folder.
func (r *Registry) Dir() string { return r.dir }

// Publish saves m as a new version, makes it current and returns its manifest. Publishing the same
// content again makes the existing version current.
func (r *Registry) Publish(ctx context.Context, m models.Model) (models.Meta, error) {
	meta, err := r.add(ctx, m)
	if err != nil {
		return models.Meta{}, fmt.Errorf("publish model: %w", err)
	}
	if err := r.SetCurrent(meta.Version); err != nil {
		return models.Meta{}, fmt.Errorf("publish model: %w", err)
	}
	return meta, nil
}

// Add saves m as a new version without making it current.
func (r *Registry) Add(ctx context.Context, m models.Model) (models.Meta, error) {
	meta, err := r.add(ctx, m)
	if err != nil {
		return models.Meta{}, fmt.Errorf("add model: %w", err)
	}
	return meta, nil
}

func (r *Registry) add(ctx context.Context, m models.Model) (models.Meta, error) {
	if err := os.MkdirAll(r.dir, 0o755); err != nil {
		return models.Meta{}, err
	}
	root, err := os.OpenRoot(r.dir)
	if err != nil {
		return models.Meta{}, err
	}
	defer root.Close()
	staging := stagingPrefix + rand.Text()
	defer root.RemoveAll(staging) // nothing is left of it after the rename
	meta, err := models.Save(filepath.Join(r.dir, staging), m)
	if err != nil {
		return models.Meta{}, err
	}
	if err := ctx.Err(); err != nil {
		return models.Meta{}, err
	}
	err = root.Rename(staging, meta.Version)
	if _, statErr := root.Stat(meta.Version); err != nil && statErr == nil {
		// Another publisher had the same content: a version is a hash, so that folder is this one,
		// unless somebody damaged it.
		if _, err := models.LoadMeta(filepath.Join(r.dir, meta.Version)); err != nil {
			return models.Meta{}, err
		}
		return meta, nil
	}
	return meta, err
}

// Current returns the current version, or ErrEmpty. It reads one small file: cheap enough to poll.
func (r *Registry) Current() (version string, err error) {
	root, err := os.OpenRoot(r.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%s: %w", r.dir, ErrEmpty)
	}
	if err != nil {
		return "", fmt.Errorf("read current model: %w", err)
	}
	defer root.Close()
	text, err := root.ReadFile(currentFile)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%s: %w", r.dir, ErrEmpty)
	}
	if err != nil {
		return "", fmt.Errorf("read current model: %w", err)
	}
	version = strings.TrimSuffix(string(text), "\n")
	if err := checkVersion(version); err != nil {
		return "", fmt.Errorf("read %s of %s: %w: publish or set a version again", currentFile, r.dir, err)
	}
	return version, nil
}

// SetCurrent makes an existing version current: it promotes a model or rolls back to one. The
// version's manifest must be sound; a broken version never becomes current.
func (r *Registry) SetCurrent(version string) error {
	meta, err := r.meta(version)
	if err != nil {
		return fmt.Errorf("make model %s current: %w", version, err)
	}
	if meta.Version != version {
		return fmt.Errorf("make model %s current: the folder holds version %s: %w", version, meta.Version, models.ErrDamaged)
	}
	root, err := os.OpenRoot(r.dir)
	if err != nil {
		return fmt.Errorf("make model %s current: %w", version, err)
	}
	defer root.Close()
	staging := stagingPrefix + rand.Text()
	defer root.Remove(staging)
	if err := writeSynced(root, staging, version+"\n"); err != nil {
		return fmt.Errorf("make model %s current: %w", version, err)
	}
	if err := root.Rename(staging, currentFile); err != nil {
		return fmt.Errorf("make model %s current: %w", version, err)
	}
	return nil
}

func writeSynced(root *os.Root, name, text string) (err error) {
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if _, err := f.WriteString(text); err != nil {
		return err
	}
	return f.Sync()
}

// Load reads one version, verified.
func (r *Registry) Load(version string) (models.Model, error) {
	if err := r.exists(version); err != nil {
		return nil, fmt.Errorf("load model %s: %w", version, err)
	}
	m, err := models.Load(filepath.Join(r.dir, version))
	if err != nil {
		return nil, err
	}
	if got := m.Meta().Version; got != version {
		return nil, fmt.Errorf("load model %s: the folder holds version %s: %w", version, got, models.ErrDamaged)
	}
	return m, nil
}

// Version is one entry of List.
type Version struct {
	Meta    models.Meta
	Current bool
}

// List returns the manifests of all sound versions, newest first. Versions that cannot be read are
// left out and named in the error, beside which the list is still valid.
func (r *Registry) List() ([]Version, error) {
	entries, err := os.ReadDir(r.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list models: %w", err)
	}
	current, err := r.Current()
	if err != nil && !errors.Is(err, ErrEmpty) {
		return nil, fmt.Errorf("list models: %w", err)
	}
	var list []Version
	var broken []error
	for _, e := range entries {
		if !e.IsDir() || strings.HasPrefix(e.Name(), ".") || e.Name() == scenarioFolder {
			continue
		}
		meta, err := models.LoadMeta(filepath.Join(r.dir, e.Name()))
		if err == nil && meta.Version != e.Name() {
			err = fmt.Errorf("folder %s holds version %s", e.Name(), meta.Version)
		}
		if err != nil {
			broken = append(broken, err)
			continue
		}
		list = append(list, Version{Meta: meta, Current: meta.Version == current})
	}
	slices.SortFunc(list, func(a, b Version) int {
		return cmp.Or(b.Meta.CreatedAt.Compare(a.Meta.CreatedAt), strings.Compare(a.Meta.Version, b.Meta.Version))
	})
	return list, errors.Join(broken...)
}

// Prune removes all but the keep newest versions and returns the names of those that went. The current
// version always stays. A reader that is loading a version that goes sees an error and keeps its old
// model.
func (r *Registry) Prune(keep int) (removed []string, err error) {
	list, broken := r.List()
	if list == nil {
		return nil, broken
	}
	root, err := os.OpenRoot(r.dir)
	if err != nil {
		return nil, fmt.Errorf("prune models: %w", err)
	}
	defer root.Close()
	for i, v := range list {
		if i < keep || v.Current {
			continue
		}
		// Out of sight first, so that nobody lists a version of which half is gone.
		staging := stagingPrefix + rand.Text()
		if err := root.Rename(v.Meta.Version, staging); err != nil {
			return removed, fmt.Errorf("prune models: %w", err)
		}
		removed = append(removed, v.Meta.Version)
		if err := root.RemoveAll(staging); err != nil {
			return removed, fmt.Errorf("prune models: %w", err)
		}
	}
	return removed, nil
}

func (r *Registry) meta(version string) (models.Meta, error) {
	if err := r.exists(version); err != nil {
		return models.Meta{}, err
	}
	return models.LoadMeta(filepath.Join(r.dir, version))
}

// exists refuses a name that is no version before it is used as a path.
func (r *Registry) exists(version string) error {
	if err := checkVersion(version); err != nil {
		return err
	}
	info, err := os.Lstat(filepath.Join(r.dir, version))
	if errors.Is(err, fs.ErrNotExist) || err == nil && !info.IsDir() {
		return ErrNotFound
	}
	return err
}

// checkVersion refuses what models.Save never gives out: a name with separators, dots in front or
// strange letters.
func checkVersion(version string) error {
	ok := version != "" && len(version) <= maxVersion && version[0] != '.' && version[0] != '-'
	for _, c := range []byte(version) {
		ok = ok && (c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.')
	}
	if !ok {
		return fmt.Errorf("%q is no model version: %w", version, ErrNotFound)
	}
	return nil
}
