package consul

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/consul/api"
)

// How Consul is followed. A short wait costs little, and a Consul that hangs is
// noticed soon.
const (
	wait     = 10 * time.Second       // of a blocking query
	grace    = 4 * time.Second        // what an answer may take beyond that
	pause    = 50 * time.Millisecond  // between two questions, whatever the answer
	minDelay = 100 * time.Millisecond // after a first failure
	maxDelay = 2 * time.Second        // after many
)

// errHidden: Consul leaves out what a token may not see, and that looks just
// like there being nothing.
var errHidden = errors.New("the token may not read all region records")

// Watch follows the region records until ctx ends. It calls apply when they are
// new, or when they cannot be read any more. Records are what their signatures
// are worth: apply verifies them.
func (c *Client) Watch(ctx context.Context, apply func(records []string, err error)) {
	var last []string
	fresh, failing := true, false
	c.follow(ctx, "regions", func(asking context.Context, index uint64) (uint64, error) {
		records, next, err := c.list(asking, index)
		switch {
		case ctx.Err() != nil:
		case err != nil:
			if !failing {
				apply(nil, fmt.Errorf("watch Consul: %w", c.problem(err)))
			}
			failing = true
		case fresh || failing || !slices.Equal(records, last):
			fresh, failing, last = false, false, records
			apply(records, nil)
		}
		return next, err
	})
}

// Records reads the region records once.
func (c *Client) Records(ctx context.Context) ([]string, error) {
	records, _, err := c.list(ctx, 0)
	if err != nil {
		return nil, fmt.Errorf("read region records from Consul: %w", c.problem(err))
	}
	return records, nil
}

// list returns the records and the index to wait beyond.
func (c *Client) list(ctx context.Context, index uint64) ([]string, uint64, error) {
	pairs, meta, err := c.api.KV().List(c.records(), c.query(ctx, index, wait))
	switch {
	case err != nil:
		return nil, 0, err
	case meta.ResultsFilteredByACLs:
		return nil, 0, errHidden
	case len(pairs) > maxRecords:
		return nil, 0, fmt.Errorf("%d keys below %s, and %d are the most", len(pairs), c.records(), maxRecords)
	}
	if len(pairs) == 0 { // for strangers Consul leaves out everything and does not say so
		if _, _, err := c.api.KV().Get(c.probe(), c.query(ctx, 0, 0)); denied(err) {
			return nil, 0, errHidden
		}
	}
	records := []string{}
	for _, p := range pairs { // one may be nil: the library takes null for a pair
		if p != nil && p.Key != c.records() { // some tools make a key for the folder itself
			records = append(records, strings.TrimSpace(string(p.Value)))
		}
	}
	return records, meta.LastIndex, nil
}

// query asks any server, also one without a leader: whatever is out of date is
// refused by its version or replaced a moment later.
func (c *Client) query(ctx context.Context, index uint64, wait time.Duration) *api.QueryOptions {
	return (&api.QueryOptions{AllowStale: true, WaitIndex: index, WaitTime: wait}).WithContext(ctx)
}

// follow asks again and again until ctx ends. ask is given the index that the
// last answer had and returns the new one.
func (c *Client) follow(ctx context.Context, watch string, ask func(context.Context, uint64) (uint64, error)) {
	var index uint64
	for failed := 0; ctx.Err() == nil; {
		asking, cancel := context.WithTimeout(ctx, wait+wait/16+grace) // Consul spreads waits by a sixteenth
		next, err := ask(asking, index)
		cancel()
		if ctx.Err() != nil {
			return
		}
		delay := pause
		if err != nil {
			failed++
			c.metrics.failures.WithLabelValues(watch).Inc()
			index, delay = 0, backoff(failed)
		} else {
			failed = 0
			c.heard(watch)
			if next < index {
				next = 0 // Consul was restored from a backup: everything anew
			}
			index = next
		}
		rest(ctx, delay)
	}
}

func (c *Client) heard(watch string) {
	c.metrics.answered.WithLabelValues(watch).Set(float64(c.o.Now().UnixMilli()) / 1000)
}

// backoff doubles from minDelay to maxDelay and takes a random part of it, at
// least half, so that front doors do not all come back at once.
func backoff(failed int) time.Duration {
	d := min(maxDelay, minDelay<<min(failed-1, 10))
	return d/2 + rand.N(d/2)
}

// rest waits, or less when ctx ends.
func rest(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
