package rulestore

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Entry is one line of the audit log: who did what to which revision. Hash covers the line itself and,
// through Prev, all lines before it.
type Entry struct {
	Seq      int       `json:"seq"`
	Time     time.Time `json:"time"`
	Action   string    `json:"action"`
	Revision string    `json:"revision"`
	SHA256   string    `json:"sha256"` // of what replicas serve
	Tree     string    `json:"tree"`   // of all files, tests included
	Author   string    `json:"author,omitempty"`
	Message  string    `json:"message,omitempty"`
	// Approvals is what a policy entry asks for from then on.
	Approvals *int   `json:"approvals,omitempty"`
	Prev      string `json:"prev"`
	Hash      string `json:"hash"`
}

// The actions of the audit log.
const (
	ActionDraft   = "draft"
	ActionChecked = "checked"
	ActionRefused = "refused"
	ActionPublish = "published"
	ActionApprove = "approved"
	ActionPolicy  = "policy"
)

func (e Entry) seal() Entry {
	e.Hash = ""
	data, err := json.Marshal(e)
	if err != nil {
		panic(err) // an Entry holds nothing that cannot be marshalled
	}
	sum := sha256.Sum256(data)
	e.Hash = hex.EncodeToString(sum[:])
	return e
}

// AuditError says where and how an audit log is broken.
type AuditError struct {
	Line int // 1-based; one past the last line when lines are missing at the end
	Why  string
}

// Error names the line.
func (e *AuditError) Error() string {
	return fmt.Sprintf("line %d of the audit log: %s", e.Line, e.Why)
}

// readAudit reads an audit log up to its first broken line, which the error names.
func readAudit(data []byte) ([]Entry, error) {
	var entries []Entry
	for n := 1; len(data) > 0; n++ {
		raw, rest, whole := bytes.Cut(data, []byte("\n"))
		data = rest
		if !whole {
			return entries, &AuditError{n, "it is cut off"}
		}
		var e Entry
		if err := json.Unmarshal(raw, &e); err != nil {
			return entries, &AuditError{n, "it cannot be read"}
		}
		again, err := json.Marshal(e.seal())
		if err != nil || !bytes.Equal(again, raw) {
			return entries, &AuditError{n, "it was changed: its hash does not fit"}
		}
		prev := ""
		if len(entries) > 0 {
			prev = entries[len(entries)-1].Hash
		}
		if e.Prev != prev || e.Seq != n {
			return entries, &AuditError{n, fmt.Sprintf("it does not follow line %d: a line was changed, added or taken away", n-1)}
		}
		entries = append(entries, e)
	}
	return entries, nil
}

// audit is the log on disk. The head file beside it holds the hash of the last line, so that lines
// missing at the end are noticed.
type audit struct{ path, head string }

func (a *Archive) audit() audit {
	return audit{path: filepath.Join(a.dir, "audit.ndjson"), head: filepath.Join(a.dir, "audit.head")}
}

// read returns the entries and checks that none is missing at the end.
func (l audit) read() ([]Entry, error) {
	data, err := os.ReadFile(l.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	entries, err := readAudit(data)
	if err != nil {
		return entries, err
	}
	head, err := os.ReadFile(l.head)
	if (errors.Is(err, fs.ErrNotExist) || err == nil && len(bytes.TrimSpace(head)) == 0) && len(entries) <= 1 {
		return entries, nil
	}
	if err != nil {
		return entries, fmt.Errorf("read the head of the audit log: %w", err)
	}
	// The head is written after the line: a crash in between leaves it one line behind.
	for i := len(entries) - 1; i >= 0 && i >= len(entries)-2; i-- {
		if entries[i].Hash == string(bytes.TrimSpace(head)) {
			return entries, nil
		}
	}
	return entries, &AuditError{len(entries) + 1, "it is missing: the log ends before its head"}
}

// append adds a line and makes it durable. A log that is broken is not continued.
func (l audit) append(e Entry) error {
	entries, err := l.read()
	if err != nil {
		return err
	}
	e.Seq, e.Prev = len(entries)+1, ""
	if len(entries) > 0 {
		e.Prev = entries[len(entries)-1].Hash
	}
	e = e.seal()
	line, err := json.Marshal(e)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(l.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(append(line, '\n'))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return writeAtomic(l.head, []byte(e.Hash+"\n"))
}

// replace writes a log that was checked. The head goes first: a crash in between leaves a log that ends
// before its head, which is noticed, and read from the remote again.
func (l audit) replace(all []Entry) error {
	var b bytes.Buffer
	head := ""
	for _, e := range all {
		line, err := json.Marshal(e)
		if err != nil {
			return err
		}
		b.Write(append(line, '\n'))
		head = e.Hash
	}
	if err := writeAtomic(l.head, []byte(head+"\n")); err != nil {
		return err
	}
	return writeAtomic(l.path, b.Bytes())
}

// writeAtomic puts data in a file's place as one step.
func writeAtomic(path string, data []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name()) // gone already when all went well
	_, err = tmp.Write(data)
	if err = errors.Join(err, tmp.Chmod(0o644), tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}
