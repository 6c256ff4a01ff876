package models

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sartorhq/sartor/features"
)

// EncodeItem returns the vector that is searched for an item, as LAE.EncodeItem does: its own row for an
// item of the model, else what the tower makes of its document, without bias and popularity.
func (m *Encoder) EncodeItem(it *features.Item) (vec []float32, ok bool) {
	if it == nil {
		return nil, false
	}
	if j, known := m.rows.Find(it.ID); known {
		return slices.Clone(m.items.Vectors[int(j)*m.items.Dim : int(j+1)*m.items.Dim]), true
	}
	t := m.table.Tower
	if t == nil {
		return nil, false
	}
	of := t.Spec.Of(it)
	if len(of) == 0 {
		return nil, false
	}
	vec = make([]float32, m.items.Dim)
	t.Out.Add(vec[:m.params.Dim], of, make([]float32, m.params.Dim), make([]float32, t.Hidden))
	if m.params.Unit {
		unit(vec[:m.params.Dim])
	}
	return vec, true
}

// UserFields lists the fields of users that the model's head reads besides the history; nil without a head.
// Shared, not to be changed.
func (m *Encoder) UserFields() []string { return m.fields }

// readFields lists the fields of users of which the head knows a feature.
func (h *Head) readFields() []string {
	var names []string
	for _, f := range h.Spec.Fields {
		field, ok := strings.CutPrefix(f.Name, ofUser)
		prefix := f.Name + "="
		if ok && slices.ContainsFunc(h.Spec.Features, func(text string) bool { return strings.HasPrefix(text, prefix) }) {
			names = append(names, field)
		}
	}
	return names
}

// parts says in the manifest which parts the model has; what it has not is absent, as in older files.
func (m *Encoder) parts(params map[string]float64) {
	if m.params.Unit {
		params["unit"] = 1
	}
	if m.params.Recall > 0 {
		params["recall"] = float64(m.params.Recall)
	}
	if m.table.Tower != nil {
		params["tower"] = float64(m.table.Tower.Hidden)
	}
	if m.table.Head != nil {
		params["head"] = float64(m.table.Head.Hidden)
	}
}

// checkParts refuses a tower or a head that does not fit.
func (t *EncoderTable) checkParts() error {
	if w := t.Tower; w != nil {
		if w.Hidden < 1 || w.Hidden > MaxFactors {
			return fmt.Errorf("a tower of %d units: need 1 to %d", w.Hidden, MaxFactors)
		}
		if err := w.checkItems(len(t.IDs)); err != nil {
			return err
		}
	}
	if t.Head != nil {
		return t.Head.check()
	}
	return nil
}

// decodeParts reads what a tower and a head of the given sizes know, but for their weights; 0 = none.
func (t *EncoderTable) decodeParts(set tensorSet, tower, head int) (err error) {
	if tower > 0 {
		t.Tower = &Tower{Hidden: tower}
		if t.Tower.Spec, err = decodeSpec(set, "tower"); err != nil {
			return err
		}
		if err = t.Tower.decodeItems(set); err != nil {
			return err
		}
	}
	if head > 0 {
		t.Head, err = decodeHead(set, head)
	}
	return err
}
