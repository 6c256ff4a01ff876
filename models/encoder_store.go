package models

import (
	"fmt"
	"math"
	"time"
)

func (m *Encoder) tensors() []tensor {
	list := textTensors(idTensor, m.table.IDs)
	for _, a := range m.table.Arrays(m.params) {
		list = append(list, floatTensor(a.Name, *a.Values, a.Shape...))
	}
	if m.table.Tower != nil {
		list = append(list, m.table.Tower.specTensors()...)
	}
	if m.table.Head != nil {
		list = append(list, m.table.Head.Spec.tensors("head")...)
	}
	return append(list, floatTensor(popularityTensor, m.table.Popularity, len(m.table.IDs)))
}

// whole returns a parameter of the manifest that must be a whole number from 0 to most.
func (m Meta) whole(name string, most int) (int, error) {
	v := m.Params[name]
	if v != math.Trunc(v) || !(v >= 0 && v <= float64(most)) {
		return 0, fmt.Errorf("parameter %s is %v: need a whole number from 0 to %d", name, v, most)
	}
	return int(v), nil
}

func decodeEncoder(meta Meta, set tensorSet) (*Encoder, error) {
	p := EncoderParams{Kappa: meta.Params["kappa"]}
	var err error
	if p.Signal, err = signalOf(meta.Params); err != nil {
		return nil, err
	}
	seconds, units, tower, head := 0, 0, 0, 0
	for _, of := range []struct {
		name string
		to   *int
		most int
	}{{"factors", &p.Dim, MaxFactors}, {"hidden", &p.Hidden, MaxFactors}, {"inner", &p.Inner, MaxInner},
		{"blocks", &p.Blocks, MaxBlocks}, {"clock_seconds", &seconds, 1 << 32},
		{"recall", &p.Recall, MaxRecall}, {"unit", &units, 1}, {"tower", &tower, MaxFactors}, {"head", &head, MaxHead}} {
		if *of.to, err = meta.whole(of.name, of.most); err != nil {
			return nil, err
		}
	}
	p.Unit = units == 1
	p.Clock = time.Duration(seconds) * time.Second
	if err := p.Validate(); err != nil {
		return nil, err
	}
	t := EncoderTable{Blocks: make([]EncoderBlock, p.Blocks)}
	if t.IDs, err = set.texts(idTensor); err != nil {
		return nil, err
	}
	if err := t.decodeParts(set, tower, head); err != nil {
		return nil, err
	}
	for _, a := range t.Arrays(p) {
		if *a.Values, err = set.floats(a.Name, a.Shape...); err != nil {
			return nil, err
		}
	}
	if t.Popularity, err = set.floats(popularityTensor, len(t.IDs)); err != nil {
		return nil, err
	}
	return NewEncoder(meta, p, t)
}
