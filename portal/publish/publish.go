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
	"log/slog"
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
	Republish(ctx context.Context) error
	FastForward(ctx context.Context, last int64) error
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
