package models

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// partManifest is the tensor, behind the prefix of a part, that holds its manifest.
const partManifest = "manifest"

func partPrefix(part int) string { return fmt.Sprintf("part.%d.", part) }

// tensors are those of the parts, each behind its prefix, and their manifests.
func (m *Blend) tensors() []tensor {
	var all []tensor
	for k, p := range m.parts {
		list := p.Model.(storable).tensors()    // Blendable kinds are storable
		text, _ := json.Marshal(p.Model.Meta()) // NewBlend has tried
		list = append(list, tensor{name: partManifest, dtype: "U8", shape: []int{len(text)}, data: text})
		for _, t := range list {
			t.name = partPrefix(k) + t.name
			all = append(all, t)
		}
	}
	return all
}

func decodeBlend(meta Meta, set tensorSet) (*Blend, error) {
	n, err := partsOf(meta)
	if err != nil {
		return nil, err
	}
	parts := make([]BlendPart, n)
	for k := range parts {
		prefix, of := partPrefix(k), tensorSet{}
		for name, t := range set {
			if rest, ok := strings.CutPrefix(name, prefix); ok {
				t.name = rest
				of[rest] = t
			}
		}
		if parts[k], err = decodePart(of); err != nil {
			return nil, fmt.Errorf("part %d: %w", k, err)
		}
		parts[k].Weight = meta.Params[weightParam(k)]
	}
	return NewBlend(meta, parts...)
}

func decodePart(set tensorSet) (BlendPart, error) {
	t, ok := set[partManifest]
	if !ok || t.dtype != "U8" || len(t.data) > maxManifest {
		return BlendPart{}, fmt.Errorf("no manifest of type U8 and at most %d bytes", maxManifest)
	}
	var meta Meta
	dec := json.NewDecoder(bytes.NewReader(t.data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&meta); err != nil {
		return BlendPart{}, fmt.Errorf("manifest: %w", err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return BlendPart{}, fmt.Errorf("the manifest goes on after its end")
	}
	if !Blendable(meta.Kind) {
		return BlendPart{}, fmt.Errorf("a model of kind %q cannot be a part", meta.Kind)
	}
	m, err := decodeSet(meta, set)
	return BlendPart{Model: m}, err
}
