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
//
// Several processes of a region may publish from one outbox: what any of them is
// about to send is noted first. While the blinding keys are being replaced only
// those with the newest list do, and everything is published again under it.
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
	"github.com/domicile-sso/domicile/discovery/span"
)

// Directory is the front door; discovery/client reaches it. An error means that
// it is not known whether the batch was applied: the same claims are sent again.
type Directory interface {
	Publish(ctx context.Context, b discovery.Batch) (discovery.Receipt, error)
}

// Outbox is what has not been confirmed yet; portal/store is one.
type Outbox interface {
	// Hold reports whether this process is the one to publish: not when another
	// one, with other versions of the blinding key, has started since.
	Hold(ctx context.Context, keys discovery.BlindKeys, started bool) (mine bool, err error)
	// PendingClaims are the next claims in order of sequence, and the last
	// sequence the front door has confirmed.
	PendingClaims(ctx context.Context, region string, keys discovery.BlindKeys, limit int) (claims []discovery.Claim, after int64, err error)
	// Sending notes up to which sequence claims are about to be sent, and Sent is
	// the highest noted, by any process of the region.
	Sending(ctx context.Context, upTo int64) error
	Sent(ctx context.Context) (upTo int64, err error)
	Ack(ctx context.Context, last int64) error
	// Rebuild notes that last is what the front door has applied and queues
	// everything again behind it, unless more than after was confirmed meanwhile.
	Rebuild(ctx context.Context, after, last int64) error
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
	held     bool  // we have said once which keys we claim under
	left     bool  // to processes with other keys
	met      bool  // the directory has answered since we started
	noted    int64 // the highest sequence that we have seen noted as sent
	failures int
	rebuilt  []time.Time // when everything was queued again because of what the directory said

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

// backoff doubles from 100 ms to 4 s, each time between half and all of it, so
// that regions do not come back to a restarted front door in step. However long
// it was away, what waits is found again within seconds of its return.
func backoff(n int) time.Duration {
	full := min(100*time.Millisecond<<min(n-1, 10), 4*time.Second)
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

// step compares notes with the directory and sends what is next; more says that
// there may be something left to send.
func (p *Publisher) step(ctx context.Context) (more bool, err error) {
	if mine, err := p.hold(ctx); err != nil || !mine {
		return false, err
	}
	known, err := p.Outbox.Sent(ctx)
	if err != nil {
		return false, fmt.Errorf("read outbox: %w", err)
	}
	// A database that knows less than it knew was restored, or replaced by a copy
	// that was behind. It may hand out sequences that the directory has already.
	setBack := known < p.noted
	p.noted = known
	limit := batchSize
	if !p.met || setBack {
		limit = 0 // first compare notes, then send
	}
	claims, after, err := p.Outbox.PendingClaims(ctx, p.Region, p.Keys, limit)
	if err != nil {
		return false, fmt.Errorf("read outbox: %w", err)
	}
	sent := after
	if len(claims) > 0 {
		sent = claims[len(claims)-1].Seq
		if err := p.Outbox.Sending(ctx, sent); err != nil {
			return false, fmt.Errorf("read outbox: %w", err)
		}
		p.noted = max(known, sent)
	}
	r, err := p.send(ctx, after, claims)
	if err != nil {
		return false, fmt.Errorf("publish: %w", err)
	}
	first := !p.met
	p.met = true
	switch {
	case setBack:
		return true, p.rebuild(ctx, after, r.Last, "the region's database was set back")
	case r.Last < after:
		return true, p.rebuildFor(ctx, after, r.Last, "the directory has lost claims")
	case r.Last > sent:
		// Another process has sent more meanwhile, or has not lived to see the
		// answer: either is noted. What is not was sent by a later state of our
		// database than this one.
		if known, err = p.Outbox.Sent(ctx); err != nil {
			return false, fmt.Errorf("read outbox: %w", err)
		}
		if p.noted = known; r.Last > known {
			return true, p.rebuildFor(ctx, after, r.Last, "the directory is ahead of this region")
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

// send sends one batch and takes down what the receipt says.
func (p *Publisher) send(ctx context.Context, after int64, claims []discovery.Claim) (_ discovery.Receipt, err error) {
	ctx, sp := span.Start(ctx, span.Publish)
	defer func() { sp.End(err) }()
	sp.Text(span.Region, p.Region)
	sp.Number(span.Count, len(claims))
	r, err := p.Directory.Publish(ctx, discovery.Batch{Region: p.Region, After: after, Claims: claims, Issued: p.Now().Unix()})
	if err != nil {
		return r, err
	}
	p.last.Set(float64(p.Now().Unix()))
	p.complain(claims, r.Refused)
	return r, nil
}

// hold keeps us from publishing beside a process that has started later with
// other blinding keys, as happens while they are rotated.
func (p *Publisher) hold(ctx context.Context) (mine bool, err error) {
	mine, err = p.Outbox.Hold(ctx, p.Keys, !p.held)
	if err != nil {
		return false, fmt.Errorf("see who publishes: %w", err)
	}
	p.held = true
	switch {
	case !mine && !p.left:
		p.Log.Info("left to another process, which has other blind keys and started later")
		p.met = false // notes are compared again before we go on
	case mine && p.left:
		p.Log.Info("publishing again: no process with the other blind keys is there any more")
	}
	p.left = !mine
	return mine, nil
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
	case discovery.CodeStandby:
		return "the portal is taken, but the region's signed record does not name one of its standbys"
	case discovery.CodeManyPortals:
		return "too many portals of this region claim the address"
	case discovery.CodeFullPortals, discovery.CodeFullRoutes:
		return "the front door lets a region have no more of these"
	}
	return "against the directory's rules"
}

func clip(code string) string { return code[:min(len(code), 64)] }

// Queueing everything holds up whoever changes something in the region. A directory
// may ask for it as often as this; one that goes on losing claims (somebody changes
// it, or there are two behind one name) is not worth more.
const (
	mostRebuilds = 3
	rebuildSpan  = 5 * time.Minute
)

// rebuildFor is rebuild for what the directory said.
func (p *Publisher) rebuildFor(ctx context.Context, after, last int64, why string) error {
	now := p.Now()
	p.rebuilt = slices.DeleteFunc(p.rebuilt, func(at time.Time) bool { return now.Sub(at).Abs() >= rebuildSpan })
	if len(p.rebuilt) >= mostRebuilds {
		return fmt.Errorf("%s, and everything was published %d times in %v: is it one directory that answers?", why, mostRebuilds, rebuildSpan)
	}
	p.rebuilt = append(p.rebuilt, now)
	return p.rebuild(ctx, after, last, why)
}

func (p *Publisher) rebuild(ctx context.Context, after, last int64, why string) error {
	p.Log.Warn("publishing everything again", "reason", why, "directory_at", last)
	p.sent.WithLabelValues("rebuild").Inc()
	if err := p.Outbox.Rebuild(ctx, after, last); err != nil {
		return fmt.Errorf("publish everything again: %w", err)
	}
	return nil
}

func (p *Publisher) observe(ctx context.Context) {
	if age, err := p.Outbox.OutboxAge(ctx); err == nil {
		p.lag.Set(age.Seconds())
	}
}
