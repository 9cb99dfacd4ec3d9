// Package publish tells the directory what may be found in this region, for
// ever. Whatever changes that writes a row into the outbox of the store in its
// own transaction; [Publisher] sends the rows as claims, in order, and removes
// them once the front door has confirmed them.
//
// Claims are states with rising sequence numbers, so sending one again or after
// a crash changes nothing. Where the directory knows less than it confirmed
// earlier (it is new, or was restored from a backup), everything is published
// again; where it knows more than we ever sent (our own database was restored),
// we continue after what it knows and publish everything as well.
package publish

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/domicile-sso/domicile/discovery"
)

// Directory is the front door; discovery/client reaches it. An error means that
// it is not known whether the batch was applied: the same claims are sent again.
type Directory interface {
	Publish(ctx context.Context, b discovery.Batch) (discovery.Receipt, error)
}

// Outbox is what has not been confirmed yet; portal/store is one.
type Outbox interface {
	// PendingClaims are the next claims in order of sequence, and the last
	// sequence the front door has confirmed.
	PendingClaims(ctx context.Context, region string, keys discovery.BlindKeys, limit int) (claims []discovery.Claim, after int64, err error)
	Ack(ctx context.Context, last int64) error
	// Rebuild notes that last is what the front door has applied and queues
	// everything again behind it; CatchUp does so only if last is beyond every
	// sequence handed out so far.
	Rebuild(ctx context.Context, last int64) error
	CatchUp(ctx context.Context, last int64) (ahead bool, err error)
	OutboxAge(ctx context.Context) (time.Duration, error)
	Changed() <-chan struct{}
}

// Options of a Publisher.
type Options struct {
	Region    string
	Keys      discovery.BlindKeys
	Outbox    Outbox
	Directory Directory
	Log       *slog.Logger
	Now       func() time.Time
	Every     time.Duration         // how often to look without being woken, and to ask after the directory; 0: 15 s
	Metrics   prometheus.Registerer // nil: none
}

// batchSize is the most claims one batch carries.
const batchSize = 500

// A Publisher empties the outbox into the directory.
type Publisher struct {
	Options
	met      bool // the directory has answered since we started
	failures int

	lag  prometheus.Gauge
	last prometheus.Gauge
	sent *prometheus.CounterVec

	refused prometheus.Counter
}

// New prepares a publisher; Run starts it.
func New(o Options) *Publisher {
	if o.Every <= 0 {
		o.Every = 15 * time.Second
	}
	p := &Publisher{
		Options: o,
		lag: prometheus.NewGauge(prometheus.GaugeOpts{Name: "domicile_publish_lag_seconds",
			Help: "Age of the oldest change the directory has not confirmed."}),
		last: prometheus.NewGauge(prometheus.GaugeOpts{Name: "domicile_publish_last_success_timestamp_seconds",
			Help: "When the directory last answered."}),
		sent: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "domicile_publish_batches_total",
			Help: "Batches by outcome: confirmed, rebuild, failed."}, []string{"outcome"}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{Name: "domicile_publish_claims_refused_total",
			Help: "Claims that the directory would not take; the log says which and why."}),
	}
	if o.Metrics != nil {
		o.Metrics.MustRegister(p.lag, p.last, p.sent, p.refused)
	}
	return p
}

// Run publishes until ctx ends. It wakes at once after a change; after a
// failure it waits, longer each time, whatever changes meanwhile.
func (p *Publisher) Run(ctx context.Context) {
	tick := time.NewTicker(p.Every)
	defer tick.Stop()
	for {
		err := p.drain(ctx)
		p.observe(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			p.failures++
			pause := backoff(p.failures)
			p.sent.WithLabelValues("failed").Inc()
			p.Log.Warn("directory not told", "err", err, "failures", p.failures, "again_in", pause.Round(time.Millisecond).String())
			if !sleep(ctx, pause) {
				return
			}
			continue
		}
		p.failures = 0
		select {
		case <-ctx.Done():
			return
		case <-p.Outbox.Changed():
		case <-tick.C:
		}
	}
}

// backoff doubles from 100 ms to 15 s, each time between half and all of it, so
// that regions do not come back to a restarted front door in step.
func backoff(n int) time.Duration {
	full := min(100*time.Millisecond<<min(n-1, 10), 15*time.Second)
	return full/2 + rand.N(full/2)
}

func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// drain sends batches until the outbox is empty. It sends at least one, empty
// if need be: its receipt tells whether the directory still knows what it knew.
func (p *Publisher) drain(ctx context.Context) error {
	for {
		more, err := p.step(ctx)
		if err != nil || !more {
			return err
		}
	}
}

var errNotApplied = errors.New("the directory did not apply the batch")

func (p *Publisher) step(ctx context.Context) (more bool, err error) {
	limit := batchSize
	if !p.met {
		limit = 0 // first compare notes, then send
	}
	claims, after, err := p.Outbox.PendingClaims(ctx, p.Region, p.Keys, limit)
	if err != nil {
		return false, fmt.Errorf("read outbox: %w", err)
	}
	sent := after
	if len(claims) > 0 {
		sent = claims[len(claims)-1].Seq
	}
	r, err := p.Directory.Publish(ctx, discovery.Batch{Region: p.Region, After: after, Claims: claims, Issued: p.Now().Unix()})
	if err != nil {
		return false, fmt.Errorf("publish: %w", err)
	}
	p.last.Set(float64(p.Now().Unix()))
	p.complain(claims, r.Refused)
	first := !p.met
	p.met = true
	switch {
	case r.Last < after:
		return true, p.rebuild(ctx, r.Last, "the directory has lost claims")
	case first && r.Last != after:
		// An answer of ours was lost in a crash, or our database was restored.
		// The two look alike, so the safe one.
		return true, p.rebuild(ctx, r.Last, "the directory is ahead of this region")
	case r.Last > sent:
		ahead, err := p.Outbox.CatchUp(ctx, r.Last)
		if err != nil {
			return false, fmt.Errorf("catch up: %w", err)
		}
		if ahead {
			p.rebuilding(r.Last, "the directory is ahead of this region")
			return true, nil
		}
	case r.Last == after && len(claims) > 0:
		return false, errNotApplied
	}
	if err := p.Outbox.Ack(ctx, r.Last); err != nil {
		return false, fmt.Errorf("confirm: %w", err)
	}
	if len(claims) > 0 {
		p.sent.WithLabelValues("confirmed").Inc()
	}
	return first || len(claims) > 0, nil
}

// complain says which claims the directory refused. What the receipt says is
// somebody else's: only what was sent in this batch is looked at.
func (p *Publisher) complain(claims []discovery.Claim, refused []discovery.Refused) {
	for _, r := range refused[:min(len(refused), discovery.MaxRefused)] {
		i := slices.IndexFunc(claims, func(c discovery.Claim) bool { return c.Seq == r.Seq })
		if i < 0 {
			continue
		}
		p.refused.Inc()
		topic, portal := about(claims[i])
		p.Log.Warn("claim refused: "+why(r.Code), "code", clip(r.Code), "topic", topic, "portal", portal, "seq", r.Seq)
	}
}

// about names what a claim is about, and nobody.
func about(c discovery.Claim) (topic, portal string) {
	switch {
	case c.Portal != nil:
		return "portal", c.Portal.ID
	case c.Route != nil:
		return "route", c.Route.Portal
	case c.Entry != nil:
		return "entry", c.Entry.Portal
	}
	return "sweep", ""
}

func why(code string) string {
	switch code {
	case discovery.CodeHost:
		return "portal outside its signed hosts"
	case discovery.CodeForeign:
		return "the portal belongs to another region"
	case discovery.CodeURL:
		return "another portal has the URL"
	case discovery.CodeNotRoutable:
		return "the domain cannot lead to one portal"
	case discovery.CodeManyPortals:
		return "too many portals of this region claim the address"
	}
	return "against the directory's rules"
}

func clip(code string) string { return code[:min(len(code), 64)] }

func (p *Publisher) rebuild(ctx context.Context, last int64, why string) error {
	p.rebuilding(last, why)
	if err := p.Outbox.Rebuild(ctx, last); err != nil {
		return fmt.Errorf("publish everything again: %w", err)
	}
	return nil
}

func (p *Publisher) rebuilding(last int64, why string) {
	p.Log.Warn("publishing everything again", "reason", why, "directory_at", last)
	p.sent.WithLabelValues("rebuild").Inc()
}

func (p *Publisher) observe(ctx context.Context) {
	if age, err := p.Outbox.OutboxAge(ctx); err == nil {
		p.lag.Set(age.Seconds())
	}
}
