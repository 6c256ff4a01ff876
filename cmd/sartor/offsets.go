package main

import "sync"

// offsets is how far each partition has been applied, for whoever waits for it.
type offsets struct {
	mu   sync.Mutex
	next map[string]map[int]int64
}

func newOffsets() *offsets { return &offsets{next: map[string]map[int]int64{}} }

// note records the offset up to which a partition is applied.
func (o *offsets) note(topic string, partition int, next int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.next[topic] == nil {
		o.next[topic] = map[int]int64{}
	}
	o.next[topic][partition] = next
}

// sum adds up how many of the offsets below ends are applied.
func (o *offsets) sum(ends map[string][]int64) int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	var total int64
	for topic, partitions := range ends {
		for p, end := range partitions {
			total += min(o.next[topic][p], end)
		}
	}
	return total
}

// known returns how many partitions have been heard of.
func (o *offsets) known() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := 0
	for _, partitions := range o.next {
		n += len(partitions)
	}
	return n
}
