package main

import (
	"encoding/json"
	"errors"
	"os"
	"time"

	"github.com/sartorhq/sartor/models"
	"github.com/sartorhq/sartor/models/train"
)

// history is the file history.jsonl of a run: a line for every epoch and every evaluation, for the
// console and for people with jq. A nil history writes nothing.
type history struct {
	file *os.File
	enc  *json.Encoder
	err  error // the first
}

// line is one line. Which fields are set depends on what it tells.
type line struct {
	At        time.Time          `json:"at"`
	What      string             `json:"what"` // choose, evaluate, train, look or figures
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
	Metrics   map[string]float64 `json:"metrics,omitempty"`
}

// openHistory appends to the file, so that the runs of a model stand one after another; an empty path
// gives nil.
func openHistory(path string) (*history, error) {
	if path == "" {
		return nil, nil
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	return &history{file: file, enc: json.NewEncoder(file)}, nil
}

func (h *history) add(l line) {
	if h == nil {
		return
	}
	l.At = time.Now().UTC()
	h.err = errors.Join(h.err, h.enc.Encode(l))
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
	return errors.Join(h.err, h.file.Close())
}
