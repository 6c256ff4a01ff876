// Package models is the immutable embedding model: it encodes a user, holds one vector per item,
// and reads and writes itself as safetensors plus a JSON manifest. It never trains and never
// touches the network.
package models

import (
	"time"

	"github.com/sartorhq/sartor/features"
)

// Model is what serving needs of any model kind. Implementations are immutable and safe for
// concurrent use.
type Model interface {
	// Meta returns the manifest.
	Meta() Meta
	// Encode returns the user's vector, of length Items().Dim, computed from the stored history and
	// features at the moment now. ok is false when there is nothing to encode (a user without any
	// event on a known item): the caller falls back and says so.
	Encode(u *features.User, now time.Time) (vec []float32, ok bool)
	// Items returns the item vectors. score(user, j) = <Encode(user), Vectors[j*Dim:(j+1)*Dim]>.
	Items() Items
}

// Items is the item side of a model: row j belongs to IDs[j]. Shared, not to be changed.
type Items struct {
	IDs     []string
	Dim     int
	Vectors []float32 // len(IDs) x Dim, row-major
	// Taste is how many of the Dim dimensions, counted from the first, say what an item is like: two
	// items are compared by these. The rest carry terms of the score, such as popularity, and padding.
	Taste int
}

// Scaling says how a request's raw scores become the base scores in [0, 1] that rules work on.
type Scaling string

// The scalings of spec/rules.md A7, stage score.
const (
	MinMax  Scaling = "minmax"
	Sigmoid Scaling = "sigmoid"
	Rank    Scaling = "rank"
)

// Meta is a model's manifest: what it is, what it was trained on and how good it was.
type Meta struct {
	Version        string             `json:"version"` // content hash, set when saved
	Kind           string             `json:"kind"`    // "als", "popularity", ...
	Dim            int                `json:"dim"`
	Items          int                `json:"items"`
	Users          int                `json:"users"`  // in the training data
	Events         int64              `json:"events"` // in the training data
	CreatedAt      time.Time          `json:"created_at"`
	TrainedThrough time.Time          `json:"trained_through"` // newest event time used
	Schema         string             `json:"schema"`          // feature schema version
	Seed           uint64             `json:"seed"`
	Scaling        Scaling            `json:"scaling"`
	Params         map[string]float64 `json:"params,omitempty"`
	Metrics        map[string]float64 `json:"metrics,omitempty"` // e.g. "recall@20", "ndcg@20", "popularity.ndcg@20"
	SHA256         map[string]string  `json:"sha256,omitempty"`  // checksum by file name
}
