package app

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"golang.org/x/sync/singleflight"
)

// Ready means: somebody who is sent here can be served. What a role does worse
// without, but can do without, is a note beside it, for operators.

var errStopping = errors.New("stopping")

type check struct {
	name string
	ask  func(context.Context) error
}

// ready joins the reasons why the role cannot serve.
func (p *process) ready(checks ...check) func(context.Context) error {
	return func(ctx context.Context) error {
		if p.stopping.Load() {
			return errStopping
		}
		var errs []error
		for _, c := range checks {
			if err := c.ask(ctx); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", c.name, err))
			}
		}
		return errors.Join(errs...)
	}
}

// note adds a dependency that the role can do without: say tells what is wrong
// with it from what is known, asking nobody, or "".
func (p *process) note(dependency string, say func() string) {
	promauto.With(p.Registry).NewGaugeFunc(prometheus.GaugeOpts{
		Name:        "domicile_dependency_up",
		Help:        "1 while something outside answers as it should, by dependency; 0 while the process does without it.",
		ConstLabels: prometheus.Labels{"dependency": dependency},
	}, func() float64 {
		if say() == "" {
			return 1
		}
		return 0
	})
	p.notes = append(p.notes, func() string {
		if what := say(); what != "" {
			return dependency + ": " + what
		}
		return ""
	})
}

// degraded is what the role does without just now.
func (p *process) degraded() []string {
	var all []string
	for _, say := range p.notes {
		if note := say(); note != "" {
			all = append(all, note)
		}
	}
	return all
}

// A dependency is something outside whose state somebody tells.
type dependency struct {
	now func() time.Time

	mu   sync.Mutex
	away time.Time
	err  error
}

// depend adds a dependency that is well until somebody tells otherwise.
func (p *process) depend(name string) *dependency {
	d := &dependency{now: p.Now}
	p.note(name, d.say)
	return d
}

// tell notes how it went; nil is well.
func (d *dependency) tell(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case err == nil:
		d.away = time.Time{}
	case d.away.IsZero():
		d.away = d.now()
	}
	d.err = err
}

func (d *dependency) say() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err == nil {
		return ""
	}
	return fmt.Sprintf("away since %s: %v", d.away.UTC().Format(time.RFC3339), d.err)
}

// A probe asks something outside in the name of everybody who wants to know at
// the same time, so that probes of something that hangs do not pile up on it.
type probe struct {
	ask   func(context.Context) error
	group singleflight.Group
}

// probeTime is less than the two seconds that a readiness probe has, so that the
// reason is the answer's and not the prober's.
const probeTime = 1500 * time.Millisecond

func (p *probe) ready(ctx context.Context) error {
	answer := p.group.DoChan("", func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), probeTime)
		defer cancel()
		return nil, p.ask(ctx)
	})
	select {
	case a := <-answer:
		return a.Err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
