package main

import (
	"os"
	"path/filepath"
	"testing"
)

func TestUsableMemory(t *testing.T) {
	const meminfo = "MemTotal:       24683624 kB\nMemFree:        1 kB\n"
	for name, tc := range map[string]struct {
		files map[string]string
		want  uint64
	}{
		"nothing is known": {},
		"no limit":         {map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "0::/\n"}, 24683624 << 10},
		"rubbish":          {map[string]string{"proc/meminfo": "MemTotal: much", "proc/self/cgroup": "what\n\n::\n"}, 0},
		"a container": {map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "0::/\n",
			"sys/fs/cgroup/memory.max": "536870912\n"}, 512 << 20},
		"a service in a slice": {map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "0::/shop.slice/sartor.service\n",
			"sys/fs/cgroup/shop.slice/memory.max": "1073741824\n", "sys/fs/cgroup/shop.slice/sartor.service/memory.max": "max\n"}, 1 << 30},
		"a container of version 1": {map[string]string{"proc/meminfo": meminfo,
			"proc/self/cgroup":                             "5:cpu,cpuacct:/docker/x\n4:memory:/docker/x\n",
			"sys/fs/cgroup/cpu/memory.limit_in_bytes":      "1\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes":   "268435456\n",
			"sys/fs/cgroup/memory/x/memory.limit_in_bytes": "1\n"}, 256 << 20},
		"no limit of version 1": {map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "4:memory:/\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n"}, 24683624 << 10},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			for file, text := range tc.files {
				file = filepath.Join(root, filepath.FromSlash(file))
				if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if got := usableMemoryIn(root); got != tc.want {
				t.Errorf("%d bytes, want %d", got, tc.want)
			}
		})
	}
	if usableMemory() == 0 {
		t.Error("the memory of this machine is not known")
	}
}
