package consul

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/consul/api"
)

// How a process reports. Four reports are due before it is taken for dead, and
// the slowest attempt fits between two of them: a region that is lost is one that
// people are still led to.
const (
	lifetime  = 1500 * time.Millisecond // of a report
	heartbeat = 300 * time.Millisecond
	patience  = time.Second // for readiness, and for Consul's answer
	forget    = time.Minute // after the last report; Consul allows no less
)

// An Instance is one process of a region.
type Instance struct {
	ID           string // its own among all of the region; the same after a restart
	Region       string
	Jurisdiction string // of the region: it counts only where the signed record says the same
	StandsInFor  string // home region whose database it works on; empty: its own

	Address string // where operators find it
	Port    int
}

// What a process says of itself, as tags of its service.
const (
	inJurisdiction = "jurisdiction="
	standsIn       = "stands-in-for="
)

func tag(tags []string, name string) string {
	for _, t := range tags {
		if v, ok := strings.CutPrefix(t, name); ok {
			return v
		}
	}
	return ""
}

// At is the address as operators write it.
func (in Instance) At() string { return net.JoinHostPort(in.Address, strconv.Itoa(in.Port)) }

// Register keeps a process registered until ctx ends, and then takes it out. It
// reports three times a second what ready says, and registers again when Consul has
// forgotten. Consul being away is no concern of the process.
func (c *Client) Register(ctx context.Context, in Instance, ready func(context.Context) error) {
	r := registration{c: c, in: in, ready: ready}
	for failed := 0; ctx.Err() == nil; {
		delay := heartbeat
		switch err := r.report(ctx); {
		case ctx.Err() != nil:
		case err != nil:
			if failed == 0 {
				c.o.Log.Warn("this process cannot be reported to Consul", "err", c.problem(err))
			}
			failed++
			var answer api.StatusError
			if errors.As(err, &answer) { // it has better things to do than to refuse us
				delay = max(heartbeat, backoff(failed))
			}
			c.metrics.failures.WithLabelValues("registration").Inc()
		default:
			if failed > 0 {
				c.o.Log.Info("this process is reported to Consul again")
			}
			failed = 0
			c.heard("registration")
		}
		rest(ctx, delay)
	}
	r.leave(ctx)
}

type registration struct {
	c     *Client
	in    Instance
	ready func(context.Context) error
	known bool // to Consul, as far as we know
}

// report says how the process is. The words are always the same ones: a reason
// might name somebody, and would be a new fact for all servers to agree on.
func (r *registration) report(ctx context.Context) error {
	asking, cancel := context.WithTimeout(ctx, patience)
	err := r.ready(asking)
	cancel()
	status, words := api.HealthPassing, "ready"
	if err != nil {
		status, words = api.HealthCritical, "not ready"
	}
	ctx, cancel = context.WithTimeout(ctx, patience)
	defer cancel()
	if r.known {
		err := r.c.api.Agent().UpdateTTLOpts(r.check(), words, status, (&api.QueryOptions{}).WithContext(ctx))
		var answer api.StatusError
		if !errors.As(err, &answer) {
			return err
		}
		// It answered, and not that all is well: it knows no such process.
		r.known = false
	}
	if err := r.enter(ctx, status); err != nil {
		return fmt.Errorf("register: %w", err)
	}
	r.known = true
	return nil
}

func (r *registration) check() string { return "ready:" + r.id() }

func (r *registration) id() string { return r.c.service(r.in.Region) + ":" + r.in.ID }

func (r *registration) enter(ctx context.Context, status string) error {
	tags := []string{inJurisdiction + r.in.Jurisdiction}
	if r.in.StandsInFor != "" {
		tags = append(tags, standsIn+r.in.StandsInFor)
	}
	return r.c.api.Agent().ServiceRegisterOpts(&api.AgentServiceRegistration{
		ID: r.id(), Name: r.c.service(r.in.Region), Tags: tags, Address: r.in.Address, Port: r.in.Port,
		Check: &api.AgentServiceCheck{
			CheckID: r.check(), Name: "ready", TTL: lifetime.String(), Status: status,
			DeregisterCriticalServiceAfter: forget.String(),
		},
	}, api.ServiceRegisterOpts{ReplaceExistingChecks: true}.WithContext(ctx))
}

// leave deregisters, for which the end of the process leaves a moment.
func (r *registration) leave(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	if err := r.c.api.Agent().ServiceDeregisterOpts(r.id(), (&api.QueryOptions{}).WithContext(ctx)); err != nil {
		r.c.o.Log.Warn("this process could not be taken out of Consul, which will notice by itself", "err", r.c.problem(err))
	}
}
