// Package app puts the parts together: the only package that knows all others.
//
// [NewDiscovery] and [NewPortal] wire a role and bind its listeners, Start
// serves, Stop undoes everything in reverse. The same New runs under the serve
// commands, in the demo and in the browser tests, so what a test holds in its
// hand is what an operator runs. Signals, flags and files stay in cmd/domicile.
//
// [DiscoverySettings] and [PortalSettings] make options of a configuration
// (settings.go). Either role is a process of listeners and jobs (process.go) that
// says whether it can serve and what it does without (readiness.go).
//
// A front door starts with whatever is there: the database, its replica, or the
// snapshot of an earlier run (start.go). What it believes about regions comes from
// a file and Consul and is kept for the next start (records.go). A portal process
// insists on its database.
package app

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"log/slog"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"go.opentelemetry.io/otel/trace"

	"github.com/domicile-sso/domicile/cmd/internal/serve"
	"github.com/domicile-sso/domicile/config/sqldb"
	"github.com/domicile-sso/domicile/discovery/span"
)

// Common is what both roles need to run.
type Common struct {
	Listen  string // public listener; empty: none, somebody else serves Handler
	Private string // listener with metrics, profiles and reasons; empty: none

	Certificate    *serve.Certificate // of the public listener; nil: plain HTTP
	TrustedProxies []netip.Prefix

	Database string // sqlite:… or postgres://…
	Migrate  bool   // bring the database forward instead of refusing one that is behind

	Connections int // to a database, at most; 0: 16

	Product string // what pages call the whole; empty: Domicile

	Log      *slog.Logger
	Registry *prometheus.Registry // nil: one of its own
	Tracing  Tracing              // zero: no traces
	Now      func() time.Time     // nil: time.Now

	// Drain is how long a stopping role says "not ready" before it takes no
	// more requests, for load balancers to notice.
	Drain time.Duration
}

// A process is what runs in a role: listeners, jobs, and how to undo both.
type process struct {
	Common
	handler http.Handler
	tracer  trace.Tracer // nil: no traces

	servers []*serve.Server
	addrs   map[string]string // of listeners, by name
	jobs    []func(context.Context)
	undo    []func() error // in the order things were done
	notes   []func() string

	mu       sync.Mutex
	cancel   context.CancelFunc
	running  sync.WaitGroup
	stopping atomic.Bool
}

func newProcess(c Common) *process {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Registry == nil {
		c.Registry = prometheus.NewRegistry()
		c.Registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	}
	c.Registry.MustRegister(build())
	return &process{Common: c}
}

// open opens the role's database, which must be exactly as this binary knows it.
func (p *process) open(ctx context.Context, migrations fs.FS) (*sql.DB, error) {
	db, err := sqldb.Options{Connections: p.Connections}.Open(ctx, p.Database)
	if err != nil {
		return nil, err
	}
	p.undo = append(p.undo, db.Close)
	if p.Migrate {
		err = sqldb.Migrate(ctx, db, migrations)
	} else {
		err = sqldb.Check(ctx, db, migrations)
	}
	if err != nil {
		return nil, err
	}
	p.Registry.MustRegister(collectors.NewDBStatsCollector(db, "domicile"))
	return db, nil
}

// listen binds a listener, so that a port in use is known before anything runs.
func (p *process) listen(name, addr string, cert *serve.Certificate, h http.Handler) error {
	if addr == "" {
		return nil
	}
	s, err := serve.Listen(name, addr, cert, h, p.Log)
	if err != nil {
		return err
	}
	p.servers = append(p.servers, s)
	if p.addrs == nil {
		p.addrs = map[string]string{}
	}
	p.addrs[name] = s.Addr().String()
	p.watchCertificate(name, cert)
	return nil
}

// Addr is where a listener is to be found: "public", "private", and "claims" of
// a front door. Empty: there is no such listener. Port 0 is a real one by now.
func (p *process) Addr(listener string) string { return p.addrs[listener] }

// job adds something that runs from Start until its context ends.
func (p *process) job(run func(context.Context)) { p.jobs = append(p.jobs, run) }

// every adds a job that does something now and then. A failure is logged when it
// begins and when it ends, not each time.
func (p *process) every(interval time.Duration, what string, do func(context.Context) error) {
	p.job(func(ctx context.Context) {
		tick := time.NewTicker(interval)
		defer tick.Stop()
		failing := false
		for {
			err := do(ctx)
			switch {
			case ctx.Err() != nil:
				return
			case err != nil && !failing:
				p.Log.Error(what+" failed", "err", err)
			case err == nil && failing:
				p.Log.Info(what + " works again")
			}
			failing = err != nil
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	})
}

// Handler is the public site with everything around it.
func (p *process) Handler() http.Handler { return p.handler }

// Start runs the jobs and serves. It returns at once.
func (p *process) Start() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cancel != nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	ctx = span.With(ctx, p.tracer)
	for _, run := range p.jobs {
		p.running.Go(func() { run(ctx) })
	}
	for _, s := range p.servers {
		s.Start()
	}
}

// Wait returns when ctx ends, or the error of a listener that gave up.
func (p *process) Wait(ctx context.Context) error {
	failed := make(chan error, len(p.servers))
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for _, s := range p.servers {
		go func() {
			select {
			case err := <-s.Failed():
				failed <- err
			case <-ctx.Done():
			}
		}()
	}
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		return nil
	}
}

// Stop lets requests under way finish, ends the jobs and closes what New opened.
// It is safe on a role that was never started or is half built, and twice. When
// ctx ends, what is still under way is cut off.
func (p *process) Stop(ctx context.Context) error {
	if p == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	started := p.cancel != nil
	if !p.stopping.Swap(true) && started && p.Drain > 0 {
		select {
		case <-time.After(p.Drain):
		case <-ctx.Done():
		}
	}
	var errs []error
	// The private listener was bound last and goes last: metrics are wanted most
	// while things end.
	for _, s := range p.servers {
		errs = append(errs, s.Stop(ctx))
	}
	p.servers = nil
	if started {
		p.cancel()
		p.running.Wait()
	}
	for i := len(p.undo) - 1; i >= 0; i-- {
		errs = append(errs, p.undo[i]())
	}
	p.undo = nil
	return errors.Join(errs...)
}
