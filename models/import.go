package models

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
)

// Matrix reads a tensor of two dimensions from the bytes of a safetensors file that another program wrote,
// such as an embedding table of PyTorch, and returns its rows end to end. The type may be F32, F16, BF16 or
// F64; every number must be finite. An empty name means the only tensor of two dimensions.
func Matrix(file []byte, name string) (values []float32, dim int, err error) {
	set, err := readTensors(file)
	if err != nil {
		return nil, 0, fmt.Errorf("read safetensors: %w", err)
	}
	if name == "" {
		for _, n := range slices.Sorted(maps.Keys(set)) {
			if len(set[n].shape) == 2 {
				if name != "" {
					return nil, 0, fmt.Errorf("read safetensors: %q and %q are both matrices: name one", name, n)
				}
				name = n
			}
		}
	}
	t, ok := set[name]
	if !ok || len(t.shape) != 2 || t.shape[1] == 0 {
		return nil, 0, fmt.Errorf("read safetensors: %q is no matrix: the file has %s", name, strings.Join(slices.Sorted(maps.Keys(set)), ", "))
	}
	if values, err = t.numbers(); err != nil {
		return nil, 0, fmt.Errorf("read safetensors: %w", err)
	}
	return values, t.shape[1], nil
}

// numbers decodes any floating-point tensor.
func (t tensor) numbers() ([]float32, error) {
	le := binary.LittleEndian
	var at func(i int) float64
	switch t.dtype {
	case "F32":
		at = func(i int) float64 { return float64(math.Float32frombits(le.Uint32(t.data[4*i:]))) }
	case "F64":
		at = func(i int) float64 { return math.Float64frombits(le.Uint64(t.data[8*i:])) }
	case "BF16":
		at = func(i int) float64 { return float64(math.Float32frombits(uint32(le.Uint16(t.data[2*i:])) << 16)) }
	case "F16":
		at = func(i int) float64 { return half(le.Uint16(t.data[2*i:])) }
	default:
		return nil, fmt.Errorf("tensor %q is of type %s: need F32, F16, BF16 or F64", t.name, t.dtype)
	}
	values := make([]float32, len(t.data)/dtypeSize[t.dtype])
	for i := range values {
		values[i] = float32(at(i))
		if v := values[i]; v-v != 0 {
			return nil, fmt.Errorf("tensor %q: element %d is %v", t.name, i, at(i))
		}
	}
	return values, nil
}

// half is the value of an IEEE 754 number of 16 bits.
func half(bits uint16) float64 {
	sign, exponent, fraction := 1.0, int(bits>>10&31), float64(bits&1023)
	if bits>>15 == 1 {
		sign = -1
	}
	switch {
	case exponent == 0:
		return sign * math.Ldexp(fraction, -24)
	case exponent == 31 && fraction == 0:
		return sign * math.Inf(1)
	case exponent == 31:
		return math.NaN()
	}
	return sign * math.Ldexp(1024+fraction, exponent-25)
}

// Decode builds the model that meta describes from the bytes of a tensor file that another program wrote
// under the names of MODEL.md: for importing a whole model. It is as strict as Load, but for checksums.
// ids replace the file's own where they are not nil.
func Decode(meta Meta, file []byte, ids []string) (Model, error) {
	set, err := readTensors(file)
	if err != nil {
		return nil, fmt.Errorf("read safetensors: %w", err)
	}
	if ids != nil {
		for _, t := range textTensors(idTensor, ids) {
			set[t.name] = t
		}
	}
	m, err := decodeSet(meta, set)
	if err != nil {
		return nil, fmt.Errorf("read safetensors: %w", err)
	}
	return m, nil
}
