// Package mail writes the portal's letters and sends them.
package mail

import (
	"context"
	"log/slog"
	"net/mail"
	"time"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/portal"
)

// A Message is a letter in words, ready to be sent.
type Message struct {
	ID      string // unique, for Message-ID
	From    mail.Address
	To      discovery.Address
	Subject string
	Text    string
	HTML    string
	Links   []string // that the message holds, in order
	Date    time.Time
}

// A Sender hands a message to whoever delivers it. Any error means it was not
// accepted and may be tried again.
type Sender interface {
	Send(ctx context.Context, m Message) error
}

// A Queue keeps letters until they are sent; portal/store is one.
type Queue interface {
	DueLetters(ctx context.Context, limit int) ([]portal.Posted, error)
	LetterSent(ctx context.Context, id string) error
	LetterFailed(ctx context.Context, id string) error
	LetterQueued() <-chan struct{}
}

// Options of a Worker.
type Options struct {
	Queue  Queue
	Sender Sender
	From   mail.Address // who the letters come from
	Log    *slog.Logger
	Now    func() time.Time
}
