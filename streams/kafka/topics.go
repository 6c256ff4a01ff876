package kafka

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	kafkago "github.com/segmentio/kafka-go"

	"github.com/sartorhq/sartor/streams"
)

// TopicSpec says how topics that do not exist are made.
type TopicSpec struct {
	// Streams whose topics are needed; all when nil.
	Streams []streams.Stream
	// Partitions and Replication of topics that are made; 1 when zero. Topics that exist keep theirs:
	// adding partitions to a topic moves keys, which breaks their order.
	Partitions, Replication int
	// Retention of the topics that are not compacted; the broker's default when zero.
	Retention time.Duration
	// Config holds further settings for topics that are made.
	Config map[string]string
	// Wait bounds how long an unreachable cluster is waited for; 30 s when zero.
	Wait time.Duration
}

// EnsureTopics makes the topics that are missing and checks those that exist: a compacted stream
// must not lose items by age, and another stream must not lose events by key. All that is wrong is in
// one error. It waits for the cluster to come up, and for the new topics to be usable.
func EnsureTopics(ctx context.Context, options Options, spec TopicSpec) error {
	if err := options.Validate(); err != nil {
		return err
	}
	a := &admin{options: options, wait: cmp.Or(spec.Wait, 30*time.Second)}
	defer a.close()
	needed := spec.Streams
	if needed == nil {
		needed = streams.Streams()
	}
	names := make([]string, len(needed))
	for i, s := range needed {
		names[i] = options.Topic(s)
	}
	there, err := a.partitions(ctx, names)
	if err != nil {
		return err
	}
	var missing []kafkago.TopicConfig
	var existing []streams.Stream
	for i, s := range needed {
		if n, ok := there[names[i]]; !ok {
			missing = append(missing, topicConfig(names[i], s, spec))
		} else {
			existing = append(existing, s)
			if spec.Partitions > 0 && n != spec.Partitions {
				options.logger().Warn("a topic keeps the partitions it has", "topic", names[i], "partitions", n, "configured", spec.Partitions)
			}
		}
	}
	if err := a.create(ctx, missing); err != nil {
		return err
	}
	return a.checkPolicies(ctx, existing)
}

// topicConfig returns the settings of a stream's new topic.
func topicConfig(name string, s streams.Stream, spec TopicSpec) kafkago.TopicConfig {
	settings := map[string]string{"cleanup.policy": "delete"}
	if s.Compacted() {
		settings["cleanup.policy"] = "compact"
	} else if spec.Retention > 0 {
		settings["retention.ms"] = strconv.FormatInt(spec.Retention.Milliseconds(), 10)
	}
	maps.Copy(settings, spec.Config)
	c := kafkago.TopicConfig{Topic: name, NumPartitions: max(spec.Partitions, 1), ReplicationFactor: max(spec.Replication, 1)}
	for _, k := range slices.Sorted(maps.Keys(settings)) {
		c.ConfigEntries = append(c.ConfigEntries, kafkago.ConfigEntry{ConfigName: k, ConfigValue: settings[k]})
	}
	return c
}

// admin asks a cluster about itself. Every question goes over new connections, because a pool answers
// questions about topics from its memory.
type admin struct {
	options Options
	wait    time.Duration
	pools   []*kafkago.Transport
}

// client returns a client with connections of its own.
func (a *admin) client() (*kafkago.Client, error) {
	t, err := a.options.transport()
	if err != nil {
		return nil, err
	}
	a.pools = append(a.pools, t)
	return &kafkago.Client{Addr: kafkago.TCP(a.options.Brokers...), Transport: t, Timeout: requestTimeout}, nil
}

// close closes all connections.
func (a *admin) close() {
	for _, t := range a.pools {
		t.CloseIdleConnections()
	}
	a.pools = nil
}

// partitions returns the number of partitions of those topics that exist and have leaders.
func (a *admin) partitions(ctx context.Context, topics []string) (map[string]int, error) {
	var found map[string]int
	err := retry(ctx, a.wait, "ask Kafka for its topics", func(ctx context.Context) error {
		a.close()
		client, err := a.client()
		if err != nil {
			return err
		}
		r, err := client.Metadata(ctx, &kafkago.MetadataRequest{Topics: topics})
		if err != nil {
			return err
		}
		found = map[string]int{}
		for _, t := range r.Topics {
			if errors.Is(t.Error, kafkago.UnknownTopicOrPartition) {
				continue
			}
			if t.Error != nil {
				return fmt.Errorf("topic %s: %w", t.Name, t.Error)
			}
			for _, p := range t.Partitions {
				if p.Error != nil && !errors.Is(p.Error, kafkago.ReplicaNotAvailable) {
					return fmt.Errorf("topic %s partition %d: %w", t.Name, p.ID, p.Error)
				}
			}
			found[t.Name] = len(t.Partitions)
		}
		return nil
	})
	return found, err
}

// create makes topics and waits until they have leaders. Another process may make them first.
func (a *admin) create(ctx context.Context, topics []kafkago.TopicConfig) error {
	if len(topics) == 0 {
		return nil
	}
	names := make([]string, len(topics))
	for i, t := range topics {
		names[i] = t.Topic
	}
	what := "make the topics " + strings.Join(names, ", ")
	err := retry(ctx, a.wait, what, func(ctx context.Context) error {
		client, err := a.client()
		if err != nil {
			return err
		}
		r, err := client.CreateTopics(ctx, &kafkago.CreateTopicsRequest{Topics: topics})
		if err != nil {
			return err
		}
		var errs []error
		for _, name := range names {
			if err := r.Errors[name]; err != nil && !errors.Is(err, kafkago.TopicAlreadyExists) {
				errs = append(errs, fmt.Errorf("%s: %w", name, err))
			}
		}
		return errors.Join(errs...)
	})
	if err != nil {
		return err
	}
	return retry(ctx, a.wait, what, func(ctx context.Context) error {
		there, err := a.partitions(ctx, names)
		if err == nil && len(there) < len(names) {
			err = kafkago.LeaderNotAvailable
		}
		return err
	})
}

// checkPolicies refuses topics that would lose what their stream must keep.
func (a *admin) checkPolicies(ctx context.Context, existing []streams.Stream) error {
	if len(existing) == 0 {
		return nil
	}
	request := &kafkago.DescribeConfigsRequest{}
	byName := map[string]streams.Stream{}
	for _, s := range existing {
		byName[a.options.Topic(s)] = s
		request.Resources = append(request.Resources, kafkago.DescribeConfigRequestResource{
			ResourceType: kafkago.ResourceTypeTopic, ResourceName: a.options.Topic(s), ConfigNames: []string{"cleanup.policy"}})
	}
	resources, err := a.describe(ctx, request)
	problems := []error{err}
	for _, resource := range resources {
		if resource.Error != nil { // not allowed to look: reading and writing may be allowed
			a.options.logger().Warn("the settings of a topic cannot be read", "topic", resource.ResourceName, "error", resource.Error)
		}
		for _, entry := range resource.ConfigEntries {
			if entry.ConfigName == "cleanup.policy" {
				problems = append(problems, checkPolicy(resource.ResourceName, byName[resource.ResourceName], entry.ConfigValue))
			}
		}
	}
	return errors.Join(problems...)
}

// checkPolicy refuses a cleanup policy that loses data of the stream.
func checkPolicy(topic string, s streams.Stream, policy string) error {
	switch {
	case s.Compacted() && policy != "compact":
		return fmt.Errorf("topic %s has cleanup.policy=%s, which forgets items and users by age; set it to compact", topic, policy)
	case !s.Compacted() && strings.Contains(policy, "compact"):
		return fmt.Errorf("topic %s has cleanup.policy=%s, which keeps only the last event of each user; set it to delete", topic, policy)
	}
	return nil
}
