package models

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"unsafe"

	"github.com/sartorhq/sartor/models/kernel"
)

// The safetensors format: an 8-byte little-endian header length, a JSON header that names each tensor
// with type, shape and place, then the bytes of the tensors without gap. The reader is strict: what
// the format does not allow is refused, so that a damaged file never becomes a model.

// maxHeader bounds the JSON header; the format's own bound is 100 MB.
const maxHeader = 8 << 20

// maxTensors bounds the number of tensors in one file.
const maxTensors = 4096

// dtypeSize lists the element types that are understood, with their size in bytes.
var dtypeSize = map[string]int{"U8": 1, "I64": 8, "F32": 4, "F16": 2, "BF16": 2, "F64": 8, "I32": 4}

// tensor is a named array of little-endian elements.
type tensor struct {
	name  string
	dtype string
	shape []int
	data  []byte
}

// tensorHeader is one entry of the JSON header.
type tensorHeader struct {
	DType   string   `json:"dtype"`
	Shape   []int    `json:"shape"`
	Offsets [2]int64 `json:"data_offsets"`
}

func floatTensor(name string, values []float32, shape ...int) tensor {
	data := make([]byte, 0, 4*len(values))
	for _, v := range values {
		data = binary.LittleEndian.AppendUint32(data, math.Float32bits(v))
	}
	return tensor{name: name, dtype: "F32", shape: shape, data: data}
}

func intTensor(name string, values []int64) tensor {
	data := make([]byte, 0, 8*len(values))
	for _, v := range values {
		data = binary.LittleEndian.AppendUint64(data, uint64(v))
	}
	return tensor{name: name, dtype: "I64", shape: []int{len(values)}, data: data}
}

// textTensors stores strings as one array of bytes and one of the position after each string.
func textTensors(name string, texts []string) []tensor {
	var all, ends []byte
	for _, s := range texts {
		all = append(all, s...)
		ends = binary.LittleEndian.AppendUint64(ends, uint64(len(all)))
	}
	return []tensor{
		{name: name + ".bytes", dtype: "U8", shape: []int{len(all)}, data: all},
		{name: name + ".ends", dtype: "I64", shape: []int{len(texts)}, data: ends},
	}
}

// writeTensors writes a safetensors file. Widest types come first and the header is padded with
// blanks to a multiple of 8, so that every array is aligned in a mapped file.
func writeTensors(w io.Writer, tensors []tensor) error {
	tensors = slices.Clone(tensors)
	slices.SortStableFunc(tensors, func(a, b tensor) int { return dtypeSize[b.dtype] - dtypeSize[a.dtype] })
	header := make(map[string]tensorHeader, len(tensors))
	at := int64(0)
	for _, t := range tensors {
		end := at + int64(len(t.data))
		header[t.name] = tensorHeader{DType: t.dtype, Shape: t.shape, Offsets: [2]int64{at, end}}
		at = end
	}
	text, err := json.Marshal(header) // map keys are sorted: equal models are equal files
	if err != nil {
		return fmt.Errorf("write tensors: %w", err)
	}
	for len(text)%8 != 0 {
		text = append(text, ' ')
	}
	out := append(binary.LittleEndian.AppendUint64(nil, uint64(len(text))), text...)
	for _, t := range append([]tensor{{data: out}}, tensors...) {
		if _, err := w.Write(t.data); err != nil {
			return fmt.Errorf("write tensors: %w", err)
		}
	}
	return nil
}

// tensorSet is what a file holds, by name.
type tensorSet map[string]tensor

// readTensors reads a whole safetensors file; the tensors share memory with it.
func readTensors(file []byte) (tensorSet, error) {
	if len(file) < 8 {
		return nil, fmt.Errorf("%d bytes are too few for a safetensors file", len(file))
	}
	size := binary.LittleEndian.Uint64(file)
	if size > maxHeader || size > uint64(len(file)-8) {
		return nil, fmt.Errorf("the header claims %d bytes, more than the file or the limit of %d allows", size, maxHeader)
	}
	headers, err := readHeader(file[8 : 8+size])
	if err != nil {
		return nil, err
	}
	data := file[8+size:]
	set, order := make(tensorSet, len(headers)), make([]tensorHeader, 0, len(headers))
	for name, h := range headers {
		if err := h.check(int64(len(data))); err != nil {
			return nil, fmt.Errorf("tensor %q: %w", name, err)
		}
		set[name] = tensor{name: name, dtype: h.DType, shape: h.Shape, data: data[h.Offsets[0]:h.Offsets[1]]}
		order = append(order, h)
	}
	slices.SortFunc(order, func(a, b tensorHeader) int {
		if a.Offsets[0] != b.Offsets[0] {
			return int(a.Offsets[0] - b.Offsets[0])
		}
		return int(a.Offsets[1] - b.Offsets[1])
	})
	at := int64(0)
	for _, h := range order {
		if h.Offsets[0] != at {
			return nil, fmt.Errorf("the tensors leave a gap or overlap at byte %d of the data", min(at, h.Offsets[0]))
		}
		at = h.Offsets[1]
	}
	if at != int64(len(data)) {
		return nil, fmt.Errorf("%d bytes after the last tensor", int64(len(data))-at)
	}
	return set, nil
}

// readHeader decodes the JSON header; a name may stand only once.
func readHeader(text []byte) (map[string]tensorHeader, error) {
	if len(text) == 0 || text[0] != '{' {
		return nil, fmt.Errorf("the header does not begin with {")
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if _, err := dec.Token(); err != nil {
		return nil, fmt.Errorf("read header: %w", err)
	}
	headers := map[string]tensorHeader{}
	seen := map[string]bool{}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return nil, fmt.Errorf("read header: %w", err)
		}
		name, _ := key.(string)
		if seen[name] || len(seen) >= maxTensors {
			return nil, fmt.Errorf("the header names tensor %q twice or holds more than %d tensors", name, maxTensors)
		}
		seen[name] = true
		if name == "__metadata__" {
			var free map[string]string
			if err := dec.Decode(&free); err != nil {
				return nil, fmt.Errorf("read header metadata: %w", err)
			}
			continue
		}
		var h tensorHeader
		if err := dec.Decode(&h); err != nil {
			return nil, fmt.Errorf("read header of tensor %q: %w", name, err)
		}
		headers[name] = h
	}
	if _, err := dec.Token(); err != nil {
		return nil, fmt.Errorf("read header: %w", err)
	}
	if rest := strings.TrimRight(string(text[dec.InputOffset():]), " "); rest != "" {
		return nil, fmt.Errorf("the header goes on after its last }")
	}
	return headers, nil
}

// check refuses a tensor whose place does not fit its type and shape, or the data.
func (h tensorHeader) check(data int64) error {
	size, ok := dtypeSize[h.DType]
	if !ok {
		return fmt.Errorf("type %q is not understood: use F32, F16, BF16, F64, I64, I32 or U8", h.DType)
	}
	if h.Offsets[0] < 0 || h.Offsets[1] < h.Offsets[0] || h.Offsets[1] > data {
		return fmt.Errorf("bytes %d to %d lie outside the %d bytes of data", h.Offsets[0], h.Offsets[1], data)
	}
	want := int64(size)
	for _, n := range h.Shape {
		if n < 0 || n > 0 && want > data/int64(n) {
			return fmt.Errorf("shape %v does not fit the file", h.Shape)
		}
		want *= int64(n)
	}
	if want != h.Offsets[1]-h.Offsets[0] {
		return fmt.Errorf("shape %v of %s takes %d bytes, the header gives it %d", h.Shape, h.DType, want, h.Offsets[1]-h.Offsets[0])
	}
	return nil
}

// floats decodes a tensor of the given shape, in place where the machine allows it: then they share memory with
// the file. Every value must be finite.
func (s tensorSet) floats(name string, shape ...int) ([]float32, error) {
	t, err := s.get(name, "F32", shape)
	if err != nil {
		return nil, err
	}
	values := t.inPlace()
	if values == nil {
		values = make([]float32, len(t.data)/4)
		for i := range values {
			values[i] = math.Float32frombits(binary.LittleEndian.Uint32(t.data[4*i:]))
		}
	}
	if kernel.Finite(values) {
		return values, nil
	}
	i := slices.IndexFunc(values, func(v float32) bool { return v-v != 0 })
	return nil, fmt.Errorf("tensor %q: element %d is %v", name, i, values[i])
}

// inPlace returns the floats of the tensor where they lie; nil when the machine writes them otherwise, or the
// file has them at odd places. Files that this package wrote never do.
func (t *tensor) inPlace() []float32 {
	at := unsafe.Pointer(unsafe.SliceData(t.data))
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 || len(t.data) == 0 || uintptr(at)%unsafe.Alignof(float32(0)) != 0 {
		return nil
	}
	return unsafe.Slice((*float32)(at), len(t.data)/4)
}

// ints decodes a tensor of whole numbers with one dimension.
func (s tensorSet) ints(name string) ([]int64, error) {
	t, err := s.get(name, "I64", nil)
	if err != nil {
		return nil, err
	}
	values := make([]int64, len(t.data)/8)
	for i := range values {
		values[i] = int64(binary.LittleEndian.Uint64(t.data[8*i:]))
	}
	return values, nil
}

// texts decodes what textTensors stored.
func (s tensorSet) texts(name string) ([]string, error) {
	ends, err := s.get(name+".ends", "I64", nil)
	if err != nil {
		return nil, err
	}
	raw, err := s.get(name+".bytes", "U8", nil)
	if err != nil {
		return nil, err
	}
	all, at := string(raw.data), uint64(0)
	texts := make([]string, len(ends.data)/8)
	for i := range texts {
		end := binary.LittleEndian.Uint64(ends.data[8*i:])
		if end < at || end > uint64(len(all)) {
			return nil, fmt.Errorf("tensor %q: text %d ends at byte %d, after byte %d of %d", name+".ends", i, end, at, len(all))
		}
		texts[i], at = all[at:end], end
	}
	if at != uint64(len(all)) {
		return nil, fmt.Errorf("tensor %q: %d bytes after the last text", name+".bytes", uint64(len(all))-at)
	}
	return texts, nil
}

// get returns a tensor and refuses another type, or another shape when one is given.
func (s tensorSet) get(name, dtype string, shape []int) (tensor, error) {
	t, ok := s[name]
	switch {
	case !ok:
		return t, fmt.Errorf("tensor %q is missing", name)
	case t.dtype != dtype:
		return t, fmt.Errorf("tensor %q is of type %s, need %s", name, t.dtype, dtype)
	case shape != nil && !slices.Equal(t.shape, shape):
		return t, fmt.Errorf("tensor %q has shape %v, need %v", name, t.shape, shape)
	case shape == nil && len(t.shape) != 1:
		return t, fmt.Errorf("tensor %q has shape %v, need one dimension", name, t.shape)
	}
	return t, nil
}
