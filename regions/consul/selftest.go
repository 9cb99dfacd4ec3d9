package consul

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/hashicorp/consul/api"
)

// ErrOpen is when Consul lets somebody do what nobody needs to.
var ErrOpen = errors.New("the access control of Consul is open")

// SelfTest returns an ErrOpen, wrapped, when Consul lets strangers read the
// region records or report processes, or lets this client do what its role has no
// need of: write the records, report processes of a region that is none, or give
// itself more rights. Consul's own defaults do all of it. Any other error means that
// it could not be found out.
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
	return c.mayNoMore(ctx)
}

// probe is a key to find out what is permitted with. Nothing is ever written to
// it, so that a region might have the name.
func (c *Client) probe() string { return c.records() + nobody }

// nobody is the name of a region that is none: a token that may speak for it may
// speak for all.
const nobody = "self-test"

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

// A right is what a token may or may not have.
type right struct {
	Resource, Access string
	Segment          string `json:",omitempty"` // which one
}

func (r right) String() string {
	if r.Segment == "" {
		return r.Resource + ":" + r.Access
	}
	return r.Resource + ":" + r.Access + " of " + r.Segment
}

// mayNoMore asks Consul which rights there are. A service that somebody can
// register makes a region look up or down.
func (c *Client) mayNoMore(ctx context.Context) error {
	rights := []right{
		{"key", "write", c.probe()}, {"service", "write", c.service(nobody)}, {"node", "write", nobody},
		{Resource: "acl", Access: "write"}, {Resource: "operator", Access: "write"},
	}
	for _, who := range []struct {
		name string
		by   *http.Client
	}{{"anybody without a token", c.stranger}, {"the token", c.asking}} {
		has, err := c.has(ctx, who.by, rights)
		if err != nil {
			return fmt.Errorf("test Consul's access control: %w", c.problem(err))
		}
		if len(has) > 0 {
			return fmt.Errorf("%w: %s has %v, which no role needs; see the policies in the operating guide", ErrOpen, who.name, has)
		}
	}
	return nil
}

// has returns which of the rights whoever asks has: none, as far as a Consul can
// say that does not know the question.
func (c *Client) has(ctx context.Context, by *http.Client, rights []right) ([]right, error) {
	question, err := json.Marshal(rights)
	if err != nil {
		return nil, err
	}
	at := url.URL{Scheme: c.at.Scheme, Host: c.at.Host, Path: "/v1/internal/acl/authorize"}
	if c.o.Datacenter != "" {
		at.RawQuery = url.Values{"dc": {c.o.Datacenter}}.Encode()
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, at.String(), bytes.NewReader(question))
	if err != nil {
		return nil, err
	}
	res, err := by.Do(r)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	switch res.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound, http.StatusMethodNotAllowed:
		return nil, nil
	default:
		return nil, fmt.Errorf("it answers %s", res.Status)
	}
	var answers []struct {
		right
		Allow bool
	}
	if err := json.NewDecoder(res.Body).Decode(&answers); err != nil || len(answers) != len(rights) {
		return nil, errors.Join(errors.New("it does not say which rights there are"), err)
	}
	var has []right
	for i, a := range answers {
		if a.Allow {
			has = append(has, rights[i])
		}
	}
	return has, nil
}
