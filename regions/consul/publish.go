package consul

import (
	"context"
	"fmt"

	"github.com/hashicorp/consul/api"

	"github.com/domicile-sso/domicile/regions"
)

// Publish puts a signed record where front doors read it, and reports whether it
// was new. It never replaces a record by a lower version or by another of the
// same version, not even when somebody else publishes at the same moment. What
// lies there without a signature of the root keys counts as nothing.
func (c *Client) Publish(ctx context.Context, record string) (changed bool, err error) {
	r, err := regions.Inspect(record, c.o.Roots)
	if err != nil {
		return false, fmt.Errorf("publish to Consul: %w", err)
	}
	key := c.records() + r.Region
	for range 5 {
		q := (&api.QueryOptions{RequireConsistent: true}).WithContext(ctx)
		there, _, err := c.api.KV().Get(key, q)
		if err != nil {
			return false, fmt.Errorf("publish %s to Consul: %w", r.Region, c.problem(err))
		}
		put := &api.KVPair{Key: key, Value: []byte(record)}
		if there != nil {
			put.ModifyIndex = there.ModifyIndex
			if string(there.Value) == record {
				return false, nil
			}
			if err := c.outdates(r, string(there.Value)); err != nil {
				return false, fmt.Errorf("publish %s to Consul: %w", r.Region, err)
			}
		}
		won, _, err := c.api.KV().CAS(put, (&api.WriteOptions{}).WithContext(ctx))
		if err != nil {
			return false, fmt.Errorf("publish %s to Consul: %w", r.Region, c.problem(err))
		}
		if won {
			return true, nil
		}
	}
	return false, fmt.Errorf("publish %s to Consul: somebody else keeps writing it", r.Region)
}

// outdates reports why r may not take the place of what lies in Consul, by the
// rules of a catalogue that holds just that.
func (c *Client) outdates(r regions.Record, there string) error {
	old, err := regions.Inspect(there, c.o.Roots)
	switch {
	case err != nil || old.Region != r.Region:
		return nil
	case r.Version < old.Version:
		return &regions.Refusal{Region: r.Region, Code: regions.RolledBack, Detail: fmt.Sprintf("version %d, and %d is published", r.Version, old.Version)}
	case r.Version == old.Version:
		return &regions.Refusal{Region: r.Region, Code: regions.Equivocation, Detail: fmt.Sprintf("version %d is published with other content: sign it as a higher one", r.Version)}
	case r.Jurisdiction != old.Jurisdiction:
		return &regions.Refusal{Region: r.Region, Code: regions.Jurisdiction, Detail: fmt.Sprintf("%s is published in %s: give the region in %s another name", r.Region, old.Jurisdiction, r.Jurisdiction)}
	}
	return nil
}
