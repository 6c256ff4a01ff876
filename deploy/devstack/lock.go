package devstack

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// InUseError says that another process holds the data folder.
type InUseError struct {
	Dir string
	PID string // "" when the holder has not written it yet
}

// Error names the holder and says what to do.
func (e *InUseError) Error() string {
	holder := "another sartor"
	if e.PID != "" {
		holder += " (process " + e.PID + ")"
	}
	return fmt.Sprintf("data folder %s is in use by %s: stop it, or choose another folder with --data", e.Dir, holder)
}

// errLocked is what the platform's try-lock returns when somebody else has the lock.
var errLocked = errors.New("locked by another process")

// folderLock keeps a second process out of a data folder. The operating system drops it when the
// process ends, however it ends; kfake itself would let a second writer in.
type folderLock struct{ file *os.File }

func lockFolder(dir string) (*folderLock, error) {
	path := filepath.Join(dir, "lock")
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open the lock of the data folder: %w", err)
	}
	if err := tryLock(file); err != nil {
		pid, _ := io.ReadAll(io.LimitReader(file, 20)) // only a nicety of the message
		closeErr := file.Close()
		if errors.Is(err, errLocked) {
			return nil, &InUseError{Dir: dir, PID: strings.TrimSpace(string(pid))}
		}
		return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), closeErr)
	}
	err = file.Truncate(0)
	if err == nil {
		_, err = fmt.Fprintf(file, "%d\n", os.Getpid())
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("write %s: %w", path, err), file.Close())
	}
	return &folderLock{file}, nil
}

// release drops the lock. The file stays: removing it would let two processes lock two files of the
// same name.
func (l *folderLock) release() error { return l.file.Close() }
