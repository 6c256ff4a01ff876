package main

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/sartorhq/sartor/models"
	"github.com/sartorhq/sartor/models/train"
)

// checkpoint keeps the state of the training that is to be published in a file, so that one that was
// killed goes on after its last whole epoch, to the same result.
type checkpoint struct {
	path  string
	print [sha256.Size]byte // of the log and the options: another training's state is of no use
}

// newCheckpoint ties a file to a log and options.
func newCheckpoint(path, kind string, l *train.Log, o train.Options) *checkpoint {
	signal, e := o.Signal, o.Encoder
	text := kind + fmt.Sprint(e.Hidden, e.Inner, e.Blocks, e.Clock, e.Recall, e.Unit, e.ExposureWeight, e.Fresh, e.Tokens, e.Longest, e.Schedule, e.WeightDecay, e.Dropout, e.Clip,
		e.Full, e.Negatives, e.StopAfter)
	text += fmt.Sprint(l, l.Newest().UnixMilli(), o.Dim, o.Epochs, o.Kappa, o.PopularityHalfLife, o.Seed, o.LAE.Batch, o.LAE.Negatives,
		o.LAE.Rate, o.LAE.Keep, o.LAE.Tau, o.LAE.Beta, signal.HalfLife)
	x := o.LAE
	text += fmt.Sprint(x.Order, x.Ahead, x.Again, x.Stop, x.RateIn, x.RateOut, x.RateTower, x.FreezeIn, x.FreezeOut, x.Tower.Freeze, x.Tower.Hidden,
		x.Tower.IDDropout, x.Tower.FeatureDropout, x.ExposureWeight)
	if x.From != nil {
		text += x.From.Meta().Version
	}
	if e.From != nil {
		text += e.From.Meta().Version + fmt.Sprint(e.KeepCounts)
	}
	for _, name := range sortedKeys(e.Rates) {
		text += fmt.Sprint("rate", name, e.Rates[name])
	}
	for _, name := range sortedKeys(e.Objective) {
		text += fmt.Sprint("target", name, e.Objective[name])
	}
	for _, wants := range []func(string) bool{x.Catalog, e.Catalog} {
		if wants != nil {
			text += "only" + wanted(l, wants)
		}
	}
	text += fmt.Sprint(e.Augment, e.Head, e.Tower.Hidden, e.Tower.IDDropout, e.Tower.FeatureDropout, l.Profiled(), e.Tower.Catalog != nil)
	if x.Tower.Catalog != nil {
		text += fmt.Sprint("catalog", x.Tower.Catalog.Len())
	}
	for _, name := range sortedKeys(x.Objective) {
		text += fmt.Sprint("objective", name, x.Objective[name])
	}
	for _, name := range sortedKeys(signal.Weights) {
		text += fmt.Sprint(name, signal.Weights[name])
	}
	return &checkpoint{path: path, print: sha256.Sum256([]byte(text))}
}

// attach lets the options write to the file, and begin from it when it holds a state of this training.
func (c *checkpoint) attach(kind string, o *train.Options) (resumed int, err error) {
	if kind == models.KindEncoder {
		var s train.EncoderState
		o.Encoder.Checkpoint = func(s *train.EncoderState) error { return c.write(s) }
		found, err := c.read(&s)
		if found && err == nil {
			o.Encoder.Resume = &s
		}
		return s.Epoch, err
	}
	var s train.LAEState
	o.LAE.Checkpoint = func(s *train.LAEState) error { return c.write(s) }
	found, err := c.read(&s)
	if found && err == nil {
		o.LAE.Resume = &s
	}
	return s.Epoch, err
}

// write replaces the file: first the fingerprint, then a checksum, then the state.
func (c *checkpoint) write(s any) (err error) {
	var body bytes.Buffer
	if err := gob.NewEncoder(&body).Encode(s); err != nil {
		return err
	}
	file, err := os.OpenFile(c.path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(body.Bytes())
	w := bufio.NewWriter(file)
	for _, part := range [][]byte{c.print[:], sum[:], body.Bytes()} {
		if _, e := w.Write(part); e != nil {
			err = e
		}
	}
	if err = errors.Join(err, w.Flush(), file.Sync(), file.Close()); err != nil {
		return err
	}
	return os.Rename(c.path+".new", c.path)
}

// read fills the state; found is false when there is no file. A file of another training or a damaged one
// is an error: it is for a person to decide that it may go.
func (c *checkpoint) read(s any) (found bool, err error) {
	data, err := os.ReadFile(c.path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read checkpoint: %w", err)
	}
	const head = 2 * sha256.Size
	if len(data) < head || !bytes.Equal(data[:sha256.Size], c.print[:]) {
		return false, fmt.Errorf("checkpoint %s belongs to other data or options: remove it to begin anew", c.path)
	}
	if sum := sha256.Sum256(data[head:]); !bytes.Equal(sum[:], data[sha256.Size:head]) {
		return false, fmt.Errorf("checkpoint %s is damaged: remove it to begin anew", c.path)
	}
	if err := gob.NewDecoder(bytes.NewReader(data[head:])).Decode(s); err != nil && !errors.Is(err, io.EOF) {
		return false, fmt.Errorf("checkpoint %s: %w", c.path, err)
	}
	return true, nil
}

// done removes the file: what it kept is in the registry.
func (c *checkpoint) done() error {
	if err := os.Remove(c.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove checkpoint: %w", err)
	}
	return nil
}

// keepState attaches the checkpoint file to the options of the training that is to be published.
func (t *trainer) keepState() (done func() error, err error) {
	if t.o.Checkpoint == "" || t.o.Kind != models.KindLAE && t.o.Kind != models.KindEncoder {
		return func() error { return nil }, nil
	}
	t.o.Train.Encoder.StopAfter = t.epochs
	c := newCheckpoint(t.o.Checkpoint, t.o.Kind, t.log, t.o.Train)
	resumed, err := c.attach(t.o.Kind, &t.o.Train)
	if t.o.Train.LAE.Resume != nil || t.o.Train.Encoder.Resume != nil {
		t.say("Going on after epoch %d of %s.\n", resumed, t.o.Checkpoint)
	}
	return c.done, err
}

// wanted digests which items of the log a catalogue holds.
func wanted(l *train.Log, wants func(string) bool) string {
	hash := sha256.New()
	_, items := l.Numbers()
	for i := range items {
		if id := l.ItemID(int32(i)); wants(id) {
			fmt.Fprintf(hash, "%q", id)
		}
	}
	return string(hash.Sum(nil))
}
