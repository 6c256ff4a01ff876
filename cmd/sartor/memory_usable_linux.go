package main

import (
	"bytes"
	"os"
	"path"
	"path/filepath"
	"strconv"
)

// usableMemory is what the machine has, or what this process is limited to if that is less; 0 where the
// system does not say.
func usableMemory() uint64 { return usableMemoryIn("/") }

// usableMemoryIn is usableMemory of the system whose files are in a folder. A group of processes is limited by
// the groups around it too; in a container of the first version of groups the names are the host's, and the
// limit is where it says that the outermost group is.
func usableMemoryIn(root string) uint64 {
	read := func(name ...string) []byte {
		text, _ := os.ReadFile(filepath.Join(append([]string{root}, name...)...)) // what is not there says nothing
		return text
	}
	out := uint64(0)
	narrow := func(limit uint64) {
		if limit > 0 && (out == 0 || limit < out) {
			out = limit
		}
	}
	_, total, _ := bytes.Cut(read("proc/meminfo"), []byte("MemTotal:"))
	total, _, _ = bytes.Cut(total, []byte("kB"))
	narrow(figureIn(total) << 10)
	for line := range bytes.Lines(read("proc/self/cgroup")) { // number:controllers:name
		parts := bytes.SplitN(bytes.TrimSpace(line), []byte(":"), 3)
		if len(parts) < 3 {
			continue
		}
		mount, file := "sys/fs/cgroup", "memory.max"
		if len(parts[1]) > 0 {
			mount, file = "sys/fs/cgroup/memory", "memory.limit_in_bytes"
			if !bytes.Contains(append(append([]byte(","), parts[1]...), ','), []byte(",memory,")) {
				continue
			}
		}
		for group := path.Clean("/" + string(parts[2])); ; group = path.Dir(group) {
			narrow(figureIn(read(mount, group, file)))
			if group == "/" {
				break
			}
		}
	}
	return out
}

// figureIn reads a number, 0 for anything else, such as "max".
func figureIn(text []byte) uint64 {
	n, err := strconv.ParseUint(string(bytes.TrimSpace(text)), 10, 64)
	if err != nil {
		return 0
	}
	return n
}
