package consul

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/domicile-sso/domicile/regions"
)

// When a region is taken for down.
const (
	// confirm is how long no process must have been ready: an agent that is
	// started again says so of its processes until their next report.
	confirm = 400 * time.Millisecond
	// absence is how long none must have been registered, once some were.
	absence = 10 * time.Second
	// settling is how long nothing is concluded after Consul was away: what it
	// knew of processes may have run out with it.
	settling = 5 * time.Second
	// glance is how long to wait for news while in doubt.
	glance = 100 * time.Millisecond
)

// A condition is what is known of a region's processes, or of those that stand
// in for one.
type condition struct {
	health regions.Health
	since  time.Time // in doubt since; zero: not in doubt
	never  bool      // that none is ready is known from a stand-in alone
}

// Health returns what is known of the processes of a region, or of those that
// stand in for one ([regions.StandIn]). It waits for nothing.
func (c *Client) Health(name string) regions.Health { return (*c.health.Load())[name].health }

// WatchHealth follows the processes' reports until ctx ends.
func (c *Client) WatchHealth(ctx context.Context) {
	away, back, unmatched := false, time.Time{}, 0
	c.follow(ctx, "health", func(ctx context.Context, index uint64) (uint64, error) {
		patience := wait
		switch {
		case c.inDoubt():
			patience = glance
		case unmatched > 0: // their region's record may be on its way
			patience = time.Second
		}
		asked := c.o.Now()
		checks, next, err := c.checks(ctx, index, patience)
		if err != nil {
			away = true
			return 0, err
		}
		now := c.o.Now()
		if away || now.Sub(asked) > patience+patience/16+time.Second { // it answered, but later than it should
			away, back = false, now
		}
		var seen map[string]bool
		seen, unmatched = c.judge(checks)
		c.metrics.unmatched.Set(float64(unmatched))
		c.conclude(seen, now, back)
		return next, nil
	})
}

var errUnseen = errors.New("the token may not read the health of all portal processes and their machines")

var errLeaderless = errors.New("the Consul server has no leader, and hears no news of processes")

// checks are those of portal processes, and the failing ones of the machines
// they are on: when a machine is lost nobody tells of its processes any more.
func (c *Client) checks(ctx context.Context, index uint64, patience time.Duration) (api.HealthChecks, uint64, error) {
	q := c.query(ctx, index, patience)
	q.Filter = fmt.Sprintf(`ServiceName matches "^%s" or (ServiceName == "" and Status == "critical")`, c.service(""))
	checks, meta, err := c.api.Health().State(api.HealthAny, q)
	switch {
	case err != nil:
		return nil, 0, err
	case meta.ResultsFilteredByACLs: // who is left out is not gone
		return nil, 0, errUnseen
	case !meta.KnownLeader || meta.LastContact >= settling: // it tells what was so when it lost touch
		return nil, 0, errLeaderless
	}
	// The library takes null for a check, which would end the process that looks at it.
	return slices.DeleteFunc(checks, func(k *api.HealthCheck) bool { return k == nil }), meta.LastIndex, nil
}

// judge says of each name whether any of its processes is ready, and how many
// processes were left out because no signed record covers what they claim.
func (c *Client) judge(checks api.HealthChecks) (seen map[string]bool, unmatched int) {
	type process struct{ node, id string }
	name := map[process]string{}
	failing := map[process]bool{}
	lost := map[string]bool{}
	for _, k := range checks {
		p := process{k.Node, k.ServiceID}
		region, ours := strings.CutPrefix(k.ServiceName, c.service(""))
		switch {
		case k.ServiceName == "":
			lost[k.Node] = lost[k.Node] || k.Status == api.HealthCritical
		case ours:
			name[p] = c.known(region, k.ServiceTags)
			failing[p] = failing[p] || k.Status != api.HealthPassing
		}
	}
	seen = map[string]bool{}
	for p, n := range name {
		if n == "" {
			unmatched++
			continue
		}
		seen[n] = seen[n] || !failing[p] && !lost[p.node]
	}
	return seen, unmatched
}

// known is what a process counts for, or "" when the records that the root key
// signed do not say the same of its region as it does.
func (c *Client) known(region string, tags []string) string {
	record, ok := c.o.Regions.Region(region)
	if !ok || !slices.Contains(tags, inJurisdiction+record.Jurisdiction) {
		return ""
	}
	home := tag(tags, standsIn)
	if home == "" {
		return region
	}
	if r, ok := c.o.Regions.Region(home); !ok || !record.StandsInFor(r) {
		return ""
	}
	return regions.StandIn(region, home)
}

// conclude replaces what is known by what was seen at now. Down takes time, Up
// does not. A region none of whose processes was ever seen is down only while some
// that stand in for it are ready: a front door that starts after the region has
// gone must not lead people there.
func (c *Client) conclude(seen map[string]bool, now, back time.Time) {
	last := *c.health.Load()
	next := maps.Clone(last)
	covered := map[string]bool{}
	for name, ready := range seen {
		if _, home, standIn := regions.CutStandIn(name); standIn && ready {
			covered[home] = true
		}
	}
	names := slices.Concat(slices.Collect(maps.Keys(last)), slices.Collect(maps.Keys(seen)), slices.Collect(maps.Keys(covered)))
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		k := last[name]
		ready, registered := seen[name]
		need := confirm
		if !registered {
			need = absence
		}
		_, known := last[name]
		k.never = !registered && (k.never || !known)
		switch {
		case ready:
			k = condition{health: regions.Up}
		case k.never && !covered[name]:
			k = condition{never: true}
		case k.health == regions.Down:
		case k.since.IsZero():
			k.since = now
		case now.Sub(k.since) >= need && now.Sub(back) >= settling:
			k.health, k.since = regions.Down, time.Time{}
		}
		if was := last[name].health; was != k.health {
			c.o.Log.Info("processes of a region", "region", name, "were", was.String(), "are", k.health.String())
		}
		next[name] = k
		if k.health == regions.Unknown {
			c.metrics.up.DeleteLabelValues(name)
		} else {
			c.metrics.up.WithLabelValues(name).Set(map[bool]float64{true: 1}[k.health == regions.Up])
		}
	}
	c.health.Store(&next)
}

func (c *Client) inDoubt() bool {
	for _, k := range *c.health.Load() {
		if !k.since.IsZero() {
			return true
		}
	}
	return false
}

// A Process is a registered one, for operators to look at. Its address is what
// somebody registered, and is nowhere to send people to.
type Process struct {
	Instance
	Ready bool
}

// Processes returns the registered processes of a region.
func (c *Client) Processes(ctx context.Context, region string) ([]Process, error) {
	entries, _, err := c.api.Health().Service(c.service(region), "", false, c.query(ctx, 0, 0))
	if err != nil {
		return nil, fmt.Errorf("read processes of %s from Consul: %w", region, c.problem(err))
	}
	var out []Process
	for _, e := range entries {
		if e == nil || e.Service == nil || slices.Contains(e.Checks, nil) {
			continue // the library takes null for one
		}
		tags := e.Service.Tags
		out = append(out, Process{
			Instance{ID: e.Service.ID, Region: region, Jurisdiction: tag(tags, inJurisdiction), StandsInFor: tag(tags, standsIn),
				Address: e.Service.Address, Port: e.Service.Port},
			e.Checks.AggregatedStatus() == api.HealthPassing,
		})
	}
	slices.SortFunc(out, func(a, b Process) int { return strings.Compare(a.ID, b.ID) })
	return out, nil
}
