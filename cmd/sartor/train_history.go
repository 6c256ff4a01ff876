package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/sartorhq/sartor/models"
	"github.com/sartorhq/sartor/models/train"
)

// history tells what happens in a run, a line for every step, epoch and evaluation: in the file
// history.jsonl, for the console and for people with jq, and in TensorBoard's form. A nil history tells
// nothing.
type history struct {
	file  *os.File // nil = none
	enc   *json.Encoder
	board *tensorboard
	err   error // the first
}

// line is one line. Which fields are set depends on what it tells.
type line struct {
	At        time.Time          `json:"at"`
	What      string             `json:"what"` // choose, evaluate, train, look, figures or cost
	Model     string             `json:"model,omitempty"`
	Step      int                `json:"step,omitempty"`
	Epoch     int                `json:"epoch,omitempty"`
	Epochs    int                `json:"epochs,omitempty"`
	Loss      float64            `json:"loss,omitempty"`
	Rate      float64            `json:"rate,omitempty"`
	PerSecond float64            `json:"users_per_second,omitempty"`
	Events    float64            `json:"events_per_second,omitempty"`
	Norm      float64            `json:"gradient_norm,omitempty"`
	Seconds   float64            `json:"seconds,omitempty"`
	Phase     string             `json:"phase,omitempty"`             // of a cost: choose, evaluate or train
	Processor float64            `json:"processor_seconds,omitempty"` // of all threads
	Memory    int64              `json:"peak_memory_bytes,omitempty"` // of the process, while it trained
	Metrics   map[string]float64 `json:"metrics,omitempty"`
}

// openHistory appends to the file, so that the runs of a model stand one after another, and begins an
// event file in the folder of TensorBoard; both empty give nil.
func openHistory(path, board string) (h *history, err error) {
	if path == "" && board == "" {
		return nil, nil
	}
	h = &history{}
	if h.board, err = openTensorboard(board, time.Now()); err != nil {
		return nil, err
	}
	if path == "" {
		return h, nil
	}
	if err := historyFile(path); err != nil {
		return nil, errors.Join(err, h.board.close())
	}
	if h.file, err = os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644); err != nil {
		return nil, errors.Join(err, h.board.close())
	}
	h.enc = json.NewEncoder(h.file)
	return h, nil
}

// historyFile refuses to append to a file that is none: a slip of the finger must not end up in somebody's data.
func historyFile(path string) error {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	begin := make([]byte, len(historyBegin))
	switch n, err := io.ReadFull(f, begin); {
	case n == 0 && errors.Is(err, io.EOF):
		return nil
	case string(begin) != historyBegin:
		return fmt.Errorf("--history %s: the file is no history, and nothing is appended to it: name a new file", path)
	}
	return nil
}

// historyBegin is how each line begins.
const historyBegin = `{"at":"`

func (h *history) add(l line) {
	if h == nil {
		return
	}
	l.At = time.Now().UTC()
	h.board.scalars(l)
	if h.enc != nil {
		h.err = errors.Join(h.err, h.enc.Encode(l))
	}
}

func (h *history) epoch(what, model string, p train.Progress) {
	h.add(line{What: what, Model: model, Epoch: p.Epoch, Epochs: p.Epochs, Loss: p.Loss, Rate: p.Rate, PerSecond: p.PerSecond, Seconds: p.Elapsed.Seconds()})
}

// step adds a step of an encoder's training.
func (h *history) step(what string, s train.Step) {
	h.add(line{What: what, Model: models.KindEncoder, Step: s.Step, Epoch: s.Epoch, Epochs: s.Epochs, Loss: s.Loss, Rate: s.Rate, Norm: s.Norm, Events: s.PerSecond})
}

// close reports the first line that could not be written.
func (h *history) close() error {
	if h == nil {
		return nil
	}
	err := errors.Join(h.err, h.board.close())
	if h.file != nil {
		err = errors.Join(err, h.file.Close())
	}
	return err
}
