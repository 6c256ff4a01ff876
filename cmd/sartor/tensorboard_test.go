package main

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

// curve is one number of an event file.
type curve struct {
	tag   string
	step  int64
	value float32
}

// fields decodes a protocol buffer whose fields stand once, but for those that are repeated.
func fields(t *testing.T, b []byte) map[protowire.Number][][]byte {
	t.Helper()
	out := map[protowire.Number][][]byte{}
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			t.Fatal(protowire.ParseError(n))
		}
		b = b[n:]
		m := protowire.ConsumeFieldValue(number, kind, b)
		if m < 0 {
			t.Fatal(protowire.ParseError(m))
		}
		value := b[:m]
		if kind == protowire.BytesType {
			value, _ = protowire.ConsumeBytes(value)
		}
		out[number] = append(out[number], value)
		b = b[m:]
	}
	return out
}

// curves reads an event file as TensorBoard would, checksums included.
func curves(t *testing.T, path string) (list []curve) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	sum := func(b []byte) uint32 {
		c := crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli))
		return (c>>15 | c<<17) + 0xa282ead8
	}
	for first := true; len(data) > 0; first = false {
		n := binary.LittleEndian.Uint64(data)
		body := data[12 : 12+n]
		if sum(data[:8]) != binary.LittleEndian.Uint32(data[8:]) || sum(body) != binary.LittleEndian.Uint32(data[12+n:]) {
			t.Fatal("wrong checksum")
		}
		data = data[16+n:]
		e := fields(t, body)
		if at := math.Float64frombits(binary.LittleEndian.Uint64(e[1][0])); at < 1.7e9 || at > 1e11 {
			t.Fatalf("time %v", at)
		}
		if first {
			if string(e[3][0]) != "brain.Event:2" {
				t.Fatalf("version %q", e[3])
			}
			continue
		}
		step, _ := protowire.ConsumeVarint(e[2][0])
		for _, v := range fields(t, e[5][0])[1] {
			one := fields(t, v)
			list = append(list, curve{string(one[1][0]), int64(step), math.Float32frombits(binary.LittleEndian.Uint32(one[2][0]))})
		}
	}
	return list
}

func TestTensorboardHoldsTheHistory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "board", "run")
	h, err := openHistory("", dir)
	if err != nil {
		t.Fatal(err)
	}
	h.add(line{What: "train", Step: 3, Epoch: 1, Loss: 2.5, Rate: 0.5})
	h.add(line{What: "train", Epoch: 2, Loss: 1.5})
	h.add(line{What: "figures", Model: "Encoder", Metrics: map[string]float64{"ndcg@10": 0.25, "recall@10": 0}})
	h.add(line{What: "train"})
	if err := h.close(); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "events.out.tfevents.*"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	want := []curve{{"train/step/loss", 3, 2.5}, {"train/step/rate", 3, 0.5}, {"train/epoch/loss", 2, 1.5},
		{"figures/Encoder/ndcg@10", 0, 0.25}, {"figures/Encoder/recall@10", 0, 0}}
	got := curves(t, files[0])
	if len(got) != len(want) {
		t.Fatalf("curves %v, want %v", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("curve %v, want %v", got[i], want[i])
		}
	}
	if _, err := openHistory("", files[0]); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file in place of the folder: %v", err)
	}
	if _, err := openHistory(filepath.Join(dir, "no", "h"), dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that cannot be made: %v", err)
	}
}

// The checksum of TFRecord as TensorFlow documents it: that of the eight bytes of the length 24 is known
// from its own files.
func TestMaskedChecksum(t *testing.T) {
	if got := masked([]byte{24, 0, 0, 0, 0, 0, 0, 0}); got != 0x224b7fa3 {
		t.Errorf("%#x", got)
	}
}

func TestTrainEncoderPublishesWithCurves(t *testing.T) {
	dir := t.TempDir()
	args := []string{"train", "--model", "encoder", "--from-file", "ndjson:" + writeEvents(t, twoTastes(60, 40, 30)), "--models", filepath.Join(dir, "models"),
		"--dim", "16", "--hidden", "16", "--inner", "32", "--epochs", "6", "--judge-every", "2", "--rate", "0.01", "--tensorboard", filepath.Join(dir, "board"),
		"--history", filepath.Join(dir, "history.jsonl"), "--checkpoint", filepath.Join(dir, "state")}
	code, out, errs := runHere(t, args...)
	if code != exitOK || !strings.Contains(out, "Encoder     ") || !strings.Contains(out, "Published encoder-") || !strings.Contains(out, "did best on the newest part") {
		t.Fatalf("exit code %d\n%s%s", code, out, errs)
	}
	m, err := current(filepath.Join(dir, "models"))
	if err != nil {
		t.Fatal(err)
	}
	if got := m.Meta().Metrics; got["recall@20"] < got["popularity.recall@20"]+0.15 {
		t.Errorf("metrics %v", got)
	}
	files, err := filepath.Glob(filepath.Join(dir, "board", "*"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	seen := map[string]int{}
	for _, c := range curves(t, files[0]) {
		seen[c.tag]++
	}
	for _, tag := range []string{"evaluate/step/loss", "train/step/rate", "train/step/gradient_norm", "train/epoch/loss", "look/encoder/ndcg@20", "figures/Encoder/ndcg@20", "cost/train/processor_seconds"} {
		if seen[tag] == 0 {
			t.Errorf("no curve %s in %v", tag, seen)
		}
	}
	text, err := os.ReadFile(filepath.Join(dir, "history.jsonl"))
	if err != nil || !strings.Contains(string(text), `"gradient_norm":`) {
		t.Errorf("history: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "state")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the checkpoint was left behind: %v", err)
	}
}
