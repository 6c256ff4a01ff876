package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// tensorboard writes numbers into an event file of TensorBoard: records of TFRecord, each a protocol
// buffer tensorflow.Event. A nil one writes nothing.
type tensorboard struct {
	file *os.File
	err  error // the first
}

// openTensorboard makes a new event file in the folder, which is made when it is missing; an empty path
// gives nil.
func openTensorboard(dir string, now time.Time) (*tensorboard, error) {
	if dir == "" {
		return nil, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	// TensorBoard reads a folder's files in the order of their names, which begin with the time.
	name := fmt.Sprintf("events.out.tfevents.%010d.%09d.sartor", now.Unix(), now.Nanosecond())
	file, err := os.OpenFile(filepath.Join(dir, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return nil, err
	}
	t := &tensorboard{file: file}
	t.write(protowire.AppendString(protowire.AppendTag(event(now, 0), eventVersion, protowire.BytesType), "brain.Event:2"))
	return t, t.err
}

// The fields of tensorflow.Event, Summary and Summary.Value.
const (
	eventTime, eventStep, eventVersion, eventSummary = 1, 2, 3, 5
	summaryValue                                     = 1
	valueTag, valueNumber                            = 1, 2
)

func event(at time.Time, step int) []byte {
	b := protowire.AppendTag(nil, eventTime, protowire.Fixed64Type)
	b = protowire.AppendFixed64(b, math.Float64bits(float64(at.UnixNano())/1e9))
	b = protowire.AppendTag(b, eventStep, protowire.VarintType)
	return protowire.AppendVarint(b, uint64(step))
}

// scalars writes what a line of the history says, a curve for each number, below the name of the
// training.
func (t *tensorboard) scalars(l line) {
	if t == nil {
		return
	}
	step, group := l.Epoch, l.What+"/epoch/"
	if l.Step > 0 {
		step, group = l.Step, l.What+"/step/"
	}
	values := map[string]float64{"loss": l.Loss, "rate": l.Rate, "users_per_second": l.PerSecond, "events_per_second": l.Events, "gradient_norm": l.Norm,
		"processor_seconds": l.Processor, "peak_memory_bytes": float64(l.Memory)}
	if l.What == "cost" {
		group = l.What + "/" + l.Phase + "/"
	}
	if l.Metrics != nil {
		values, group = l.Metrics, l.What+"/"+l.Model+"/"
	}
	var summary []byte
	for _, name := range slices.Sorted(maps.Keys(values)) {
		v := values[name]
		if v == 0 && l.Metrics == nil {
			continue // what the line does not tell
		}
		one := protowire.AppendString(protowire.AppendTag(nil, valueTag, protowire.BytesType), group+name)
		one = protowire.AppendFixed32(protowire.AppendTag(one, valueNumber, protowire.Fixed32Type), math.Float32bits(float32(v)))
		summary = protowire.AppendBytes(protowire.AppendTag(summary, summaryValue, protowire.BytesType), one)
	}
	if summary != nil {
		t.write(protowire.AppendBytes(protowire.AppendTag(event(l.At, step), eventSummary, protowire.BytesType), summary))
	}
}

// write adds a record: length, checksum of the length, data, checksum of the data.
func (t *tensorboard) write(data []byte) {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(data)))
	b = binary.LittleEndian.AppendUint32(b, masked(b))
	b = append(b, data...)
	b = binary.LittleEndian.AppendUint32(b, masked(data))
	_, err := t.file.Write(b)
	t.err = errors.Join(t.err, err)
}

// masked is the checksum of TFRecord: CRC-32C, turned by 15 bits and moved, so that a checksum of data
// that holds checksums is sound.
func masked(data []byte) uint32 {
	sum := crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli))
	return (sum>>15 | sum<<17) + 0xa282ead8
}

// close reports the first record that could not be written.
func (t *tensorboard) close() error {
	if t == nil {
		return nil
	}
	return errors.Join(t.err, t.file.Close())
}
