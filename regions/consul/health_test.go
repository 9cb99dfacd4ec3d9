package consul

import (
	"context"
	"crypto/ed25519"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/consul/api"

	"github.com/domicile-sso/domicile/regions"
	"github.com/domicile-sso/domicile/regions/ticket"
)

// Processes report, fall silent, leave, and are forgotten by Consul.
func TestHealth(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if errs := w.catalogue.Apply([]string{w.sign("eu-central", nil)}); len(errs) > 0 {
		t.Fatal(errs)
	}
	front := w.client(w.Token(t, frontDoorPolicy), nil)
	portal := w.client(w.Token(t, portalPolicy), nil)
	w.running(front.WatchHealth)
	is := func(want regions.Health) {
		t.Helper()
		w.until("eu-central is "+want.String(), func() bool { return front.Health("eu-central") == want })
	}
	if h := front.Health("eu-central"); h != regions.Unknown {
		t.Errorf("before anybody registered: %v", h)
	}
	var broken atomic.Bool
	ready := func(context.Context) error {
		if broken.Load() {
			return errors.New("no database")
		}
		return nil
	}
	in := Instance{ID: "one", Region: "eu-central", Jurisdiction: "EU", Address: "10.0.0.1", Port: 8443}
	stop := w.running(func(ctx context.Context) { portal.Register(ctx, in, ready) })
	is(regions.Up)
	processes, err := front.Processes(t.Context(), "eu-central")
	if err != nil || len(processes) != 1 || !processes[0].Ready || processes[0].At() != "10.0.0.1:8443" {
		t.Errorf("processes: %+v, %v", processes, err)
	}

	broken.Store(true)
	is(regions.Down)
	broken.Store(false)
	is(regions.Up)

	// Consul forgets all about it, and is told again.
	if err := w.client(w.Management, nil).api.Agent().ServiceDeregister("domicile-portal-eu-central:one"); err != nil {
		t.Fatal(err)
	}
	w.until("registered again", func() bool {
		p, err := front.Processes(t.Context(), "eu-central")
		return err == nil && len(p) == 1 && p[0].Ready
	})

	// Another process keeps the region up while one is broken.
	second := in
	second.ID = "two"
	stopSecond := w.running(func(ctx context.Context) { portal.Register(ctx, second, func(context.Context) error { return nil }) })
	broken.Store(true)
	w.until("one of two ready", func() bool {
		p, err := front.Processes(t.Context(), "eu-central")
		return err == nil && len(p) == 2 && !p[0].Ready && p[1].Ready
	})
	if h := front.Health("eu-central"); h != regions.Up {
		t.Errorf("with one of two ready: %v", h)
	}
	stopSecond()
	is(regions.Down)
	broken.Store(false)
	is(regions.Up)

	// A graceful stop takes it out at once.
	stop()
	if p, err := front.Processes(t.Context(), "eu-central"); err != nil || len(p) != 0 {
		t.Errorf("after the end: %+v, %v", p, err)
	}
}

// Consul is killed and started again, or hangs for longer than a report holds:
// what was known stays, the process comes back, and nothing is ever taken for
// down.
func TestHealthOverAnOutage(t *testing.T) {
	for name, end := range map[string]struct{ begin, over func(*world) }{
		"killed": {func(w *world) { w.Kill() }, func(w *world) { w.Start() }},
		"paused": {func(w *world) { w.Pause() }, func(w *world) { w.Resume() }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			if errs := w.catalogue.Apply([]string{w.sign("eu-central", nil)}); len(errs) > 0 {
				t.Fatal(errs)
			}
			front := w.client(w.Token(t, frontDoorPolicy), nil)
			portal := w.client(w.Token(t, portalPolicy), nil)
			w.running(front.WatchHealth)
			w.running(func(ctx context.Context) {
				portal.Register(ctx, Instance{ID: "one", Region: "eu-central", Jurisdiction: "EU", Address: "10.0.0.1", Port: 1}, func(context.Context) error { return nil })
			})
			w.until("up", func() bool { return front.Health("eu-central") == regions.Up })
			var wrong atomic.Bool
			w.running(func(ctx context.Context) {
				for ctx.Err() == nil {
					if front.Health("eu-central") != regions.Up {
						wrong.Store(true)
					}
					rest(ctx, time.Millisecond)
				}
			})
			end.begin(w)
			<-time.After(lifetime + time.Second) // its report runs out meanwhile
			end.over(w)
			w.until("ready again", func() bool {
				p, err := front.Processes(t.Context(), "eu-central")
				return err == nil && len(p) == 1 && p[0].Ready
			})
			<-time.After(2 * confirm) // what the front door thought of it would show by now
			if wrong.Load() {
				t.Error("the region was taken for down although only Consul was")
			}
		})
	}
}

// REG-07: what counts as a region's process is decided by signed records, not by
// who registers.
func TestJudge(t *testing.T) {
	public := root.Public().(ed25519.PublicKey)
	w := &world{t: t, catalogue: regions.NewCatalogue([]ed25519.PublicKey{public}, time.Now)}
	key := newKey(t)
	w.key = key
	for _, r := range []string{
		w.sign("eu-central", func(r *regions.Record) { r.Standbys = []string{"eu-west"} }),
		w.sign("eu-west", func(r *regions.Record) { r.Hosts = []string{"*.west.example.com"} }),
		w.sign("us-east", func(r *regions.Record) { r.Jurisdiction = "US" }),
	} {
		if errs := w.catalogue.Apply([]string{r}); len(errs) > 0 {
			t.Fatal(errs)
		}
	}
	c, err := New(Options{Address: "http://127.0.0.1:1", Regions: w.catalogue, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	check := func(node, id, region, status string, tags ...string) *api.HealthCheck {
		return &api.HealthCheck{Node: node, ServiceID: id, ServiceName: "domicile-portal-" + region, Status: status, ServiceTags: tags}
	}
	const eu, us = "jurisdiction=EU", "jurisdiction=US"
	for name, x := range map[string]struct {
		checks    api.HealthChecks
		seen      map[string]bool
		unmatched int
	}{
		"nothing":                {nil, map[string]bool{}, 0},
		"ready":                  {api.HealthChecks{check("n", "1", "eu-central", "passing", eu)}, map[string]bool{"eu-central": true}, 0},
		"not ready":              {api.HealthChecks{check("n", "1", "eu-central", "critical", eu)}, map[string]bool{"eu-central": false}, 0},
		"one check of two fails": {api.HealthChecks{check("n", "1", "eu-central", "passing", eu), check("n", "1", "eu-central", "critical", eu)}, map[string]bool{"eu-central": false}, 0},
		"one process of two":     {api.HealthChecks{check("n", "1", "eu-central", "passing", eu), check("n", "2", "eu-central", "critical", eu)}, map[string]bool{"eu-central": true}, 0},
		"its machine is lost":    {api.HealthChecks{check("n", "1", "eu-central", "passing", eu), {Node: "n", CheckID: "serfHealth", Status: "critical"}}, map[string]bool{"eu-central": false}, 0},
		"another is lost":        {api.HealthChecks{check("n", "1", "eu-central", "passing", eu), {Node: "m", CheckID: "serfHealth", Status: "critical"}}, map[string]bool{"eu-central": true}, 0},
		"another jurisdiction":   {api.HealthChecks{check("n", "1", "eu-central", "passing", us)}, map[string]bool{}, 1},
		"no jurisdiction":        {api.HealthChecks{check("n", "1", "eu-central", "passing")}, map[string]bool{}, 1},
		"an unknown region":      {api.HealthChecks{check("n", "1", "evil", "passing", eu)}, map[string]bool{}, 1},
		"standing in":            {api.HealthChecks{check("n", "1", "eu-west", "passing", eu, "stands-in-for=eu-central")}, map[string]bool{"eu-west/eu-central": true}, 0},
		"standing in unasked":    {api.HealthChecks{check("n", "1", "eu-central", "passing", eu, "stands-in-for=eu-west")}, map[string]bool{}, 1},
		"standing in abroad":     {api.HealthChecks{check("n", "1", "us-east", "passing", us, "stands-in-for=eu-central")}, map[string]bool{}, 1},
		"another service":        {api.HealthChecks{{Node: "n", ServiceID: "1", ServiceName: "web", Status: "passing"}}, map[string]bool{}, 0},
	} {
		seen, unmatched := c.judge(x.checks)
		if diff := cmp.Diff(x.seen, seen); diff != "" || unmatched != x.unmatched {
			t.Errorf("%s: %d unmatched, %s", name, unmatched, diff)
		}
	}
}

// Down takes a while and Up does not; absence takes longer; nothing is concluded
// just after Consul was away.
func TestConclude(t *testing.T) {
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	ready, not, none := map[string]bool{"eu": true}, map[string]bool{"eu": false}, map[string]bool{}
	covered, uncovered := map[string]bool{"eu-west/eu": true}, map[string]bool{"eu-west/eu": false}
	type answer struct {
		at   time.Duration
		seen map[string]bool
		want regions.Health
	}
	for name, x := range map[string]struct {
		back    time.Duration
		answers []answer
	}{
		"never seen":      {-time.Hour, []answer{{0, none, regions.Unknown}, {time.Hour, none, regions.Unknown}}},
		"not ready":       {-time.Hour, []answer{{0, not, regions.Unknown}, {confirm - 1, not, regions.Unknown}, {confirm, not, regions.Down}, {confirm + 1, ready, regions.Up}}},
		"a hiccup":        {-time.Hour, []answer{{0, ready, regions.Up}, {1, not, regions.Up}, {confirm, ready, regions.Up}, {confirm + 1, not, regions.Up}}},
		"leaves":          {-time.Hour, []answer{{0, ready, regions.Up}, {1, none, regions.Up}, {absence, none, regions.Up}, {absence + 1, none, regions.Down}, {2 * absence, none, regions.Down}}},
		"comes back":      {-time.Hour, []answer{{0, ready, regions.Up}, {1, none, regions.Up}, {absence - 1, ready, regions.Up}, {absence + 1, none, regions.Up}}},
		"after an outage": {0, []answer{{0, not, regions.Unknown}, {confirm, not, regions.Unknown}, {settling - 1, not, regions.Unknown}, {settling, not, regions.Down}}},
		"gone before we came": {-time.Hour, []answer{{0, covered, regions.Unknown}, {absence - 1, covered, regions.Unknown},
			{absence, covered, regions.Down}, {time.Hour, covered, regions.Down}, {time.Hour + 1, ready, regions.Up}}},
		"never there, nor its standby any more": {-time.Hour, []answer{{0, covered, regions.Unknown}, {absence, covered, regions.Down},
			{absence + 1, uncovered, regions.Unknown}, {absence + 2, covered, regions.Unknown}, {2*absence + 2, covered, regions.Down}, {3 * absence, none, regions.Unknown}}},
		"never there, and its standby not ready": {-time.Hour, []answer{{0, uncovered, regions.Unknown}, {time.Hour, uncovered, regions.Unknown}}},
		"gone, and its standby too":              {-time.Hour, []answer{{0, ready, regions.Up}, {1, none, regions.Up}, {absence + 1, none, regions.Down}, {time.Hour, none, regions.Down}}},
		"covered, then there, then not ready":    {-time.Hour, []answer{{0, covered, regions.Unknown}, {1, not, regions.Unknown}, {1 + confirm, not, regions.Down}, {time.Hour, none, regions.Down}}},
	} {
		c, err := New(Options{Address: "http://127.0.0.1:1", Now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		for i, a := range x.answers {
			c.conclude(a.seen, start.Add(a.at), start.Add(x.back))
			if got := c.Health("eu"); got != a.want {
				t.Errorf("%s: answer %d: %v, want %v", name, i, got, a.want)
			}
		}
	}
}

func newKey(t *testing.T) ticket.Key {
	t.Helper()
	key, err := ticket.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	return key
}
