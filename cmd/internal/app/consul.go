package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/domicile-sso/domicile/cmd/internal/serve"
	"github.com/domicile-sso/domicile/config"
	"github.com/domicile-sso/domicile/regions/consul"
)

// Consul may be away when a process starts and at any time after. What must not
// be is that it lets anybody do anything.

// firstAnswer is how long a start waits for Consul.
const firstAnswer = 3 * time.Second

// consulClient makes a client and tests Consul's access control, later and again
// where Consul is away.
func (p *process) consulClient(ctx context.Context, o consul.Options) (*consul.Client, error) {
	o.Log, o.Metrics, o.Now = p.Log, p.Registry, p.Now
	c, err := consul.New(o)
	if err != nil {
		return nil, err
	}
	access := p.depend("consul_access_control")
	var tested atomic.Bool
	test := func(ctx context.Context) error {
		if tested.Load() {
			return nil
		}
		ctx, cancel := context.WithTimeout(ctx, firstAnswer)
		defer cancel()
		err := c.SelfTest(ctx)
		tested.Store(err == nil)
		access.tell(err)
		return err
	}
	switch err := test(ctx); {
	case errors.Is(err, consul.ErrOpen):
		return nil, fmt.Errorf("%w; or, on a laptop, set consul.dangerously_allow_open_consul: true", err)
	case err != nil:
		p.Log.Warn("Consul does not answer yet: what was last known stays", "err", err)
		p.every(10*time.Second, "testing Consul's access control", test)
	}
	return c, nil
}

// register keeps this process registered while it runs.
func (p *Portal) register(ctx context.Context, o *consul.Options, in consul.Instance, advertise string, ready func(context.Context) error) error {
	if o == nil {
		return nil
	}
	host, port, err := net.SplitHostPort(advertise)
	if err != nil {
		return fmt.Errorf("consul.advertise: %w", err)
	}
	in.ID, in.Address = advertise, host
	if in.Port, err = strconv.Atoi(port); err != nil {
		return fmt.Errorf("consul.advertise: port %q", port)
	}
	c, err := p.consulClient(ctx, *o)
	if err != nil {
		return err
	}
	p.job(func(ctx context.Context) { c.Register(ctx, in, ready) })
	return nil
}

// consulOptions are nil where there is no Consul.
func consulOptions(c *config.Consul) (*consul.Options, error) {
	if c == nil {
		return nil, nil
	}
	o := &consul.Options{
		Address: c.Address.String(), Token: c.Token.Reveal(), Prefix: c.Prefix, Datacenter: c.Datacenter,
		DangerouslyAllowOpen: c.DangerouslyAllowOpen,
	}
	if c.CAFile != "" {
		var err error
		if o.CA, err = serve.Authorities(c.CAFile); err != nil {
			return nil, fmt.Errorf("consul.ca_file: %w", err)
		}
	}
	return o, nil
}
