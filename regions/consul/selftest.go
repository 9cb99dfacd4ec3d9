package consul

import (
	"context"
	"errors"
	"fmt"

	"github.com/hashicorp/consul/api"
)

// ErrOpen is when Consul lets somebody do what nobody needs to.
var ErrOpen = errors.New("the access control of Consul is open")

// SelfTest returns an ErrOpen, wrapped, when Consul lets strangers read the
// region records or lets this client write them: Consul's own defaults do both.
// Any other error means that it could not be found out.
func (c *Client) SelfTest(ctx context.Context) error {
	if c.o.DangerouslyAllowOpen {
		return nil
	}
	_, _, err := c.anonymous.KV().Get(c.probe(), c.query(ctx, 0, 0))
	switch {
	case err == nil:
		return fmt.Errorf("%w: anybody may read %s without a token; set acl.default_policy to deny, and give the anonymous token nothing", ErrOpen, c.records())
	case !denied(err):
		return fmt.Errorf("test Consul's access control: %w", c.problem(err))
	}
	// Consul may give each key its own policy.
	keys := []string{c.probe()}
	pairs, _, err := c.api.KV().Keys(c.records(), "", c.query(ctx, 0, 0))
	if err != nil && !denied(err) {
		return fmt.Errorf("test Consul's access control: %w", c.problem(err))
	}
	for _, key := range append(keys, pairs[:min(len(pairs), 50)]...) {
		if err := c.mayNotWrite(ctx, key); err != nil {
			return err
		}
	}
	return nil
}

// probe is a key to find out what is permitted with. Nothing is ever written to
// it, so that a region might have the name.
func (c *Client) probe() string { return c.records() + "self-test" }

// never is an index that no key has, so that a write that depends on it is
// permitted or not, and writes nothing.
const never = 1 << 62

func (c *Client) mayNotWrite(ctx context.Context, key string) error {
	_, _, err := c.api.KV().CAS(&api.KVPair{Key: key, ModifyIndex: never}, (&api.WriteOptions{}).WithContext(ctx))
	switch {
	case err == nil:
		return fmt.Errorf("%w: the token may write %s, and only whoever signs records needs that; give it a policy that reads", ErrOpen, key)
	case !denied(err):
		return fmt.Errorf("test Consul's access control: %w", c.problem(err))
	}
	return nil
}
