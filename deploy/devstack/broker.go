package devstack

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/sartorhq/sartor/streams"
)

// broker is the embedded Kafka-protocol broker with its log on disk.
type broker struct {
	cluster *kfake.Cluster
	addr    string
}

// startBroker opens the log in dir. The port is chosen once and remembered in portFile, because
// clients outside this process keep the old address.
func startBroker(dir, portFile string, opts Options) (*broker, error) {
	port, err := rememberedPort(portFile)
	if err != nil {
		return nil, err
	}
	cluster, err := kfake.NewCluster(
		kfake.NumBrokers(1),
		kfake.Ports(port),
		kfake.DataDir(dir),
		kfake.ClusterID("sartor-dev"),
		// Retention is looked at once an hour by default, long after a laptop's disk is full.
		kfake.BrokerConfigs(map[string]string{"log.cleaner.backoff.ms": "30000"}))
	if err != nil {
		if holder, dialErr := net.Dial("tcp", loopback(port)); dialErr == nil {
			return nil, errors.Join(fmt.Errorf("port %d is taken by another program: stop it, or delete %s to get another port", port, portFile), holder.Close())
		}
		return nil, err
	}
	b := &broker{cluster: cluster, addr: loopback(port)}
	if err := b.createTopics(opts); err != nil {
		cluster.Close()
		return nil, err
	}
	return b, nil
}

func (b *broker) createTopics(opts Options) error {
	for _, stream := range streams.Streams() {
		name := opts.Topics[stream]
		if name == "" {
			name = string(stream)
		}
		if b.cluster.TopicInfo(name) != nil {
			continue
		}
		configs := map[string]string{"segment.bytes": "16777216"}
		if stream.Compacted() {
			configs["cleanup.policy"] = "compact"
		} else {
			configs["retention.bytes"] = strconv.FormatInt(opts.RetentionBytes, 10)
		}
		if err := b.cluster.CreateTopic(name, int32(opts.Partitions), configs); err != nil {
			return fmt.Errorf("create topic %s: %w", name, err)
		}
	}
	return nil
}

func (b *broker) close() { b.cluster.Close() }

// rememberedPort reads the port of an earlier start, or chooses a free one and writes it down.
func rememberedPort(path string) (int, error) {
	data, err := os.ReadFile(path)
	if err == nil {
		port, err := strconv.Atoi(strings.TrimSpace(string(data)))
		if err != nil || port < 1 || port > 65535 {
			return 0, fmt.Errorf("%s does not hold a port number: delete it", path)
		}
		return port, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return 0, err
	}
	port, err := choosePort()
	if err != nil {
		return 0, fmt.Errorf("choose a port: %w", err)
	}
	return port, os.WriteFile(path, []byte(strconv.Itoa(port)+"\n"), 0o644)
}

// choosePort returns a free port, of those below the ones that systems give to whoever asks for any: the port
// is free again at the next start unless somebody wants just this one.
func choosePort() (int, error) {
	const first, last, tries = 20_000, 32_000, 100
	for range tries {
		port := first + rand.IntN(last-first)
		if ln, err := net.Listen("tcp", loopback(port)); err == nil {
			return port, ln.Close()
		}
	}
	ln, err := net.Listen("tcp", loopback(0))
	if err != nil {
		return 0, err
	}
	return ln.Addr().(*net.TCPAddr).Port, ln.Close()
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
