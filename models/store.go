package models

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
)

// The files of a saved model.
const (
	ManifestFile = "manifest.json"
	TensorFile   = "model.safetensors"
)

// maxManifest bounds the manifest that Load reads.
const maxManifest = 1 << 20

// ErrDamaged says that the files of a model are not what was saved: copy the model again, or go back
// to another version.
var ErrDamaged = errors.New("model files are damaged")

// storable is a model that this package can save.
type storable interface {
	Model
	tensors() []tensor
	repeatTensors() []tensor
}

// Save writes m into the new folder dir, whose parent must exist, and returns its manifest with the
// version, which is a hash of the content. The folder appears whole or not at all: everything is
// written beside it first. A folder that exists already is an error that matches fs.ErrExist.
func Save(dir string, m Model) (Meta, error) {
	s, ok := m.(storable)
	if !ok {
		return Meta{}, fmt.Errorf("save model: a model of kind %q cannot be saved", m.Meta().Kind)
	}
	if _, err := os.Lstat(dir); err == nil {
		return Meta{}, fmt.Errorf("save model: folder %s: %w", dir, fs.ErrExist)
	}
	work, err := os.MkdirTemp(filepath.Dir(dir), ".saving-")
	if err != nil {
		return Meta{}, fmt.Errorf("save model: %w", err)
	}
	defer os.RemoveAll(work) // after the rename there is nothing left to remove
	meta, err := write(work, s)
	if err != nil {
		return Meta{}, fmt.Errorf("save model to %s: %w", dir, err)
	}
	if err := os.Chmod(work, 0o755); err != nil {
		return Meta{}, fmt.Errorf("save model: %w", err)
	}
	if err := os.Rename(work, dir); err != nil {
		return Meta{}, fmt.Errorf("save model: %w", err)
	}
	return meta, nil
}

// write puts both files into the folder and returns the finished manifest.
func write(dir string, m storable) (Meta, error) {
	meta := m.Meta()
	sum, err := writeFile(filepath.Join(dir, TensorFile), func(w io.Writer) error { return writeTensors(w, append(m.tensors(), m.repeatTensors()...)) })
	if err != nil {
		return Meta{}, err
	}
	meta.SHA256 = map[string]string{TensorFile: sum}
	if meta.Version, err = version(meta); err != nil {
		return Meta{}, err
	}
	text, err := json.MarshalIndent(meta, "", "  ")
	if err != nil {
		return Meta{}, fmt.Errorf("write manifest: %w", err)
	}
	_, err = writeFile(filepath.Join(dir, ManifestFile), func(w io.Writer) error {
		_, err := w.Write(append(text, '\n'))
		return err
	})
	return meta, err
}

// writeFile writes and syncs a new file and returns the checksum of its content.
func writeFile(path string, fill func(io.Writer) error) (sum string, err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	hash, buffered := sha256.New(), bufio.NewWriterSize(f, 1<<20)
	if err := fill(io.MultiWriter(buffered, hash)); err != nil {
		return "", err
	}
	if err := errors.Join(buffered.Flush(), f.Sync()); err != nil {
		return "", err
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

// version names a model by its kind and a hash of its manifest, which holds the checksums of the other
// files: no part of a model can change without its version.
func version(meta Meta) (string, error) {
	meta.Version = ""
	meta.CreatedAt, meta.TrainedThrough = meta.CreatedAt.UTC(), meta.TrainedThrough.UTC()
	text, err := json.Marshal(meta)
	if err != nil {
		return "", fmt.Errorf("write manifest: %w", err)
	}
	sum := sha256.Sum256(text)
	return meta.Kind + "-" + hex.EncodeToString(sum[:6]), nil
}

// LoadMeta reads and verifies the manifest of the model saved in dir, and nothing else.
func LoadMeta(dir string) (Meta, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return Meta{}, fmt.Errorf("load model: %w", err)
	}
	defer root.Close()
	meta, err := readManifest(root)
	if err != nil {
		return Meta{}, fmt.Errorf("load model from %s: %w", dir, err)
	}
	return meta, nil
}

// Load reads the model saved in dir. It returns an error, and no model, unless every checksum, shape
// and value is right; errors.Is(err, ErrDamaged) tells damage from a missing folder.
func Load(dir string) (Model, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("load model: %w", err)
	}
	defer root.Close()
	m, err := load(root)
	if err != nil {
		return nil, fmt.Errorf("load model from %s: %w", dir, err)
	}
	return m, nil
}

func load(root *os.Root) (Model, error) {
	meta, err := readManifest(root)
	if err != nil {
		return nil, err
	}
	file, err := root.ReadFile(TensorFile)
	if err != nil {
		return nil, err
	}
	sums := make(chan [sha256.Size]byte, 1)
	go func() { sums <- sha256.Sum256(file) }() // takes as long as the rest
	m, err := decode(meta, file)
	sum := <-sums
	if got := hex.EncodeToString(sum[:]); got != meta.SHA256[TensorFile] {
		return nil, fmt.Errorf("%s has checksum %.12s…, the manifest says %.12s…: copy it again or roll back: %w",
			TensorFile, got, meta.SHA256[TensorFile], ErrDamaged)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", TensorFile, err, ErrDamaged)
	}
	// What the tensors imply and what the manifest claims must be one thing.
	if got := m.Meta(); got.Dim != meta.Dim || got.Items != meta.Items || !maps.Equal(got.Params, meta.Params) {
		return nil, fmt.Errorf("%s holds %d items of %d dimensions, the manifest says %d of %d: %w",
			TensorFile, got.Items, got.Dim, meta.Items, meta.Dim, ErrDamaged)
	}
	return m, nil
}

func readManifest(root *os.Root) (Meta, error) {
	var meta Meta
	info, err := root.Stat(ManifestFile)
	if err != nil {
		return meta, err
	}
	if info.Size() > maxManifest {
		return meta, fmt.Errorf("%s has %d bytes, more than %d: %w", ManifestFile, info.Size(), maxManifest, ErrDamaged)
	}
	text, err := root.ReadFile(ManifestFile)
	if err != nil {
		return meta, err
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&meta); err != nil {
		return meta, fmt.Errorf("%s: %w (written by a newer sartor?): %w", ManifestFile, err, ErrDamaged)
	}
	if _, err := dec.Token(); err != io.EOF {
		return meta, fmt.Errorf("%s goes on after its end: %w", ManifestFile, ErrDamaged)
	}
	want, err := version(meta)
	if err != nil {
		return meta, err
	}
	if meta.Version != want {
		return meta, fmt.Errorf("%s says version %q, its content is %q: it was changed after it was saved: %w",
			ManifestFile, meta.Version, want, ErrDamaged)
	}
	return meta, nil
}

// decode builds the model of meta.Kind from the bytes of the tensor file.
func decode(meta Meta, file []byte) (Model, error) {
	set, err := readTensors(file)
	if err != nil {
		return nil, err
	}
	return decodeSet(meta, set)
}

// decodeSet builds the model of meta.Kind from tensors.
func decodeSet(meta Meta, set tensorSet) (Model, error) {
	m, err := decodeKind(meta, set)
	if err != nil {
		return nil, err
	}
	return decodeRepeat(meta, set, m)
}

// decodeKind builds the model without what any kind may have.
func decodeKind(meta Meta, set tensorSet) (Model, error) {
	switch meta.Kind {
	case KindALS:
		return decodeALS(meta, set)
	case KindLAE:
		return decodeLAE(meta, set)
	case KindPopularity:
		return decodePopularity(meta, set)
	case KindEncoder:
		return decodeEncoder(meta, set)
	case KindBlend:
		return decodeBlend(meta, set)
	}
	return nil, fmt.Errorf("a model of kind %q is not understood: need %q, %q, %q, %q or %q", meta.Kind, KindALS, KindLAE, KindEncoder, KindBlend, KindPopularity)
}

// The names of the tensors.
const (
	idTensor         = "item.id"
	factorTensor     = "item.factors"
	inTensor         = "item.in"
	outTensor        = "item.out"
	usersTensor      = "item.users"
	popularityTensor = "item.popularity"
)

func (m *ALS) tensors() []tensor {
	n := len(m.table.IDs)
	factors := make([]float32, 0, n*m.params.Factors)
	for j := range n {
		factors = append(factors, m.factors.Row(j)...)
	}
	return append(textTensors(idTensor, m.table.IDs),
		floatTensor(factorTensor, factors, n, m.params.Factors),
		floatTensor(popularityTensor, m.table.Popularity, n))
}

func decodeALS(meta Meta, set tensorSet) (*ALS, error) {
	signal, err := signalOf(meta.Params)
	if err != nil {
		return nil, err
	}
	p := ALSParams{Unobserved: meta.Params["unobserved"], Lambda: meta.Params["lambda"], Nu: meta.Params["nu"],
		Kappa: meta.Params["kappa"], Signal: signal}
	p.Factors = factorsOf(meta)
	ids, err := set.texts(idTensor)
	if err != nil {
		return nil, err
	}
	factors, err := set.floats(factorTensor, len(ids), p.Factors)
	if err != nil {
		return nil, err
	}
	popularity, err := set.floats(popularityTensor, len(ids))
	if err != nil {
		return nil, err
	}
	// The copy lets the file go, as far as the vectors do not share it.
	return NewALS(meta, p, ItemTable{IDs: ids, Factors: factors, Popularity: slices.Clone(popularity)})
}

// factorsOf returns the number of factors that the manifest claims; 0, which no model accepts, when it is
// not a possible one.
func factorsOf(meta Meta) int {
	if f := meta.Params["factors"]; f == math.Trunc(f) && f >= 0 && f <= MaxFactors {
		return int(f)
	}
	return 0
}

func (m *LAE) tensors() []tensor {
	n := len(m.table.IDs)
	list := append(textTensors(idTensor, m.table.IDs),
		floatTensor(inTensor, m.table.In, n, m.params.Factors), floatTensor(outTensor, m.table.Out, n, m.params.Factors),
		floatTensor(usersTensor, m.table.Users, n), floatTensor(popularityTensor, m.table.Popularity, n))
	if m.table.Tower != nil {
		list = append(list, m.table.Tower.tensors(m.params.Factors)...)
	}
	return list
}

func decodeLAE(meta Meta, set tensorSet) (*LAE, error) {
	signal, err := signalOf(meta.Params)
	if err != nil {
		return nil, err
	}
	p := LAEParams{Factors: factorsOf(meta), Tau: meta.Params["tau"], Beta: meta.Params["beta"],
		Kappa: meta.Params["kappa"], Signal: signal}
	ids, err := set.texts(idTensor)
	if err != nil {
		return nil, err
	}
	t := LAETable{IDs: ids}
	if t.In, err = set.floats(inTensor, len(ids), p.Factors); err != nil {
		return nil, err
	}
	if t.Out, err = set.floats(outTensor, len(ids), p.Factors); err != nil {
		return nil, err
	}
	if t.Users, err = set.floats(usersTensor, len(ids)); err != nil {
		return nil, err
	}
	if t.Popularity, err = set.floats(popularityTensor, len(ids)); err != nil {
		return nil, err
	}
	if t.Tower, err = decodeTower(set, p.Factors); err != nil {
		return nil, err
	}
	return NewLAE(meta, p, t)
}

func (p *Popularity) tensors() []tensor {
	return append(textTensors(idTensor, p.items.IDs), floatTensor(popularityTensor, p.count, len(p.count)))
}

func decodePopularity(meta Meta, set tensorSet) (*Popularity, error) {
	ids, err := set.texts(idTensor)
	if err != nil {
		return nil, err
	}
	popularity, err := set.floats(popularityTensor, len(ids))
	if err != nil {
		return nil, err
	}
	return NewPopularity(meta, ids, slices.Clone(popularity))
}
