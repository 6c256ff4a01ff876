package kafka

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	kafkago "github.com/segmentio/kafka-go"

	"github.com/sartorhq/sartor/streams"
)

// TopicPlan is one topic as it is, against what is wanted.
type TopicPlan struct {
	Stream streams.Stream
	Topic  string
	Exists bool
	// Partitions and Replication as they are; as they will be when the topic does not exist.
	Partitions, Replication int
	// Policy is cleanup.policy, Retention retention.ms; "" and 0 when they cannot be read, negative for
	// ever.
	Policy    string
	Retention time.Duration
	// Problems make the topic unusable and are not mended here: changing what a topic forgets may lose
	// what it holds.
	Problems []error
	// Warnings are differences that are left alone.
	Warnings []string
}

// PlanTopics compares the topics of a cluster with what EnsureTopics would want of them, in the order
// of the streams, and changes nothing.
func PlanTopics(ctx context.Context, options Options, spec TopicSpec) ([]TopicPlan, error) {
	if err := options.Validate(); err != nil {
		return nil, err
	}
	a := &admin{options: options, wait: cmp.Or(spec.Wait, 30*time.Second)}
	defer a.close()
	needed := spec.Streams
	if needed == nil {
		needed = streams.Streams()
	}
	plans := make([]TopicPlan, len(needed))
	byName := map[string]*TopicPlan{}
	for i, s := range needed {
		plans[i] = wanted(options.Topic(s), s, spec)
		byName[plans[i].Topic] = &plans[i]
	}
	if err := a.look(ctx, byName, spec); err != nil {
		return nil, err
	}
	if err := a.settings(ctx, byName, spec); err != nil {
		return nil, err
	}
	return plans, nil
}

// wanted returns the plan of a topic that does not exist.
func wanted(name string, s streams.Stream, spec TopicSpec) TopicPlan {
	p := TopicPlan{Stream: s, Topic: name, Partitions: max(spec.Partitions, 1), Replication: max(spec.Replication, 1), Policy: "delete"}
	if s.Compacted() {
		p.Policy, p.Retention = "compact", -1
	} else {
		p.Retention = spec.Retention
	}
	return p
}

// look finds which topics exist, with how many partitions and replicas.
func (a *admin) look(ctx context.Context, byName map[string]*TopicPlan, spec TopicSpec) error {
	names := make([]string, 0, len(byName))
	for name := range byName {
		names = append(names, name)
	}
	return retry(ctx, a.wait, "ask Kafka for its topics", func(ctx context.Context) error {
		a.close()
		client, err := a.client()
		if err != nil {
			return err
		}
		r, err := client.Metadata(ctx, &kafkago.MetadataRequest{Topics: names})
		if err != nil {
			return err
		}
		for _, t := range r.Topics {
			p := byName[t.Name]
			if p == nil || errors.Is(t.Error, kafkago.UnknownTopicOrPartition) {
				continue
			}
			if t.Error != nil {
				return fmt.Errorf("topic %s: %w", t.Name, t.Error)
			}
			replicas := 0
			for _, part := range t.Partitions {
				replicas = max(replicas, len(part.Replicas))
			}
			p.found(len(t.Partitions), replicas, spec)
		}
		return nil
	})
}

// found notes what a topic is like that exists.
func (p *TopicPlan) found(partitions, replicas int, spec TopicSpec) {
	p.Exists, p.Partitions, p.Replication, p.Policy, p.Retention, p.Warnings = true, partitions, replicas, "", 0, nil
	if spec.Partitions > 0 && partitions != spec.Partitions {
		p.Warnings = append(p.Warnings, fmt.Sprintf("has %d partitions, %d are configured: left alone, because another number moves keys to other partitions and breaks the order of their events",
			partitions, spec.Partitions))
	}
	if spec.Replication > 0 && replicas < spec.Replication {
		p.Warnings = append(p.Warnings, fmt.Sprintf("has %d replicas, %d are configured: add them with Kafka's own reassignment tool", replicas, spec.Replication))
	}
}

// settings reads the policies of the topics that exist.
func (a *admin) settings(ctx context.Context, byName map[string]*TopicPlan, spec TopicSpec) error {
	request := &kafkago.DescribeConfigsRequest{}
	for name, p := range byName {
		if p.Exists {
			request.Resources = append(request.Resources, kafkago.DescribeConfigRequestResource{
				ResourceType: kafkago.ResourceTypeTopic, ResourceName: name, ConfigNames: []string{"cleanup.policy", "retention.ms"}})
		}
	}
	if len(request.Resources) == 0 {
		return nil
	}
	resources, err := a.describe(ctx, request)
	for _, resource := range resources {
		p := byName[resource.ResourceName]
		if p == nil {
			continue
		}
		p.Problems = nil
		for _, entry := range resource.ConfigEntries {
			p.setting(entry.ConfigName, entry.ConfigValue, spec)
		}
		if resource.Error != nil {
			p.Warnings = append(p.Warnings, fmt.Sprintf("its settings cannot be read: %v", resource.Error))
		}
	}
	return err
}

// describe asks for settings until there is an answer.
func (a *admin) describe(ctx context.Context, request *kafkago.DescribeConfigsRequest) (resources []kafkago.DescribeConfigResponseResource, err error) {
	err = retry(ctx, a.wait, "ask Kafka for the settings of its topics", func(ctx context.Context) error {
		client, err := a.client()
		if err != nil {
			return err
		}
		r, err := client.DescribeConfigs(ctx, request)
		if err != nil {
			return err
		}
		resources = r.Resources
		return nil
	})
	return resources, err
}

// setting notes one setting of a topic that exists.
func (p *TopicPlan) setting(name, value string, spec TopicSpec) {
	switch name {
	case "cleanup.policy":
		p.Policy = value
		if err := checkPolicy(p.Topic, p.Stream, value); err != nil {
			p.Problems = append(p.Problems, err)
		}
	case "retention.ms":
		ms, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			return
		}
		if ms < 0 || ms > int64(1<<63-1)/int64(time.Millisecond) {
			p.Retention = -1
			return
		}
		p.Retention = time.Duration(ms) * time.Millisecond
		if spec.Retention > 0 && !p.Stream.Compacted() && p.Retention < spec.Retention {
			p.Warnings = append(p.Warnings, fmt.Sprintf("keeps events for %s, %s are configured", p.Retention, spec.Retention))
		}
	}
}
