package recommender

import (
	"container/list"
	"sync"
)

// lru is a bounded map that forgets what was used least recently. It is safe for concurrent use.
type lru[K comparable, V any] struct {
	mu    sync.Mutex
	max   int
	order *list.List // of *lruEntry[K, V], most recent first
	byKey map[K]*list.Element
}

type lruEntry[K comparable, V any] struct {
	key   K
	value V
}

func newLRU[K comparable, V any](max int) *lru[K, V] {
	return &lru[K, V]{max: max, order: list.New(), byKey: make(map[K]*list.Element)}
}

// get returns the value of key and marks it as used.
func (c *lru[K, V]) get(key K) (V, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.byKey[key]; ok {
		c.order.MoveToFront(e)
		return e.Value.(*lruEntry[K, V]).value, true
	}
	var zero V
	return zero, false
}

// put stores the value; an earlier value of the same key is replaced.
func (c *lru[K, V]) put(key K, value V) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.putLocked(key, value)
}

// getOrPut returns the value of key, storing make() first when there is none. make must be cheap:
// it runs under the lock.
func (c *lru[K, V]) getOrPut(key K, make func() V) V {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.byKey[key]; ok {
		c.order.MoveToFront(e)
		return e.Value.(*lruEntry[K, V]).value
	}
	value := make()
	c.putLocked(key, value)
	return value
}

func (c *lru[K, V]) putLocked(key K, value V) {
	if c.max <= 0 {
		return
	}
	if e, ok := c.byKey[key]; ok {
		e.Value.(*lruEntry[K, V]).value = value
		c.order.MoveToFront(e)
		return
	}
	c.byKey[key] = c.order.PushFront(&lruEntry[K, V]{key: key, value: value})
	for c.order.Len() > c.max {
		last := c.order.Back()
		c.order.Remove(last)
		delete(c.byKey, last.Value.(*lruEntry[K, V]).key)
	}
}

// remove forgets key.
func (c *lru[K, V]) remove(key K) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.byKey[key]; ok {
		c.order.Remove(e)
		delete(c.byKey, key)
	}
}

// all returns the entries, most recently used first.
func (c *lru[K, V]) all() []lruEntry[K, V] {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make([]lruEntry[K, V], 0, c.order.Len())
	for e := c.order.Front(); e != nil; e = e.Next() {
		out = append(out, *e.Value.(*lruEntry[K, V]))
	}
	return out
}
