package mail

import (
	"context"
	"crypto/rand"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/portal"
)

// keepMessages bounds a Mailbox; the oldest go first.
const keepMessages = 1000

// A Mailbox is a Sender that keeps what it is given, in memory: the demo's mail
// page and tests read it. The zero value is ready.
type Mailbox struct {
	mu       sync.Mutex
	messages []Message
	arrived  chan struct{} // closed and replaced with every message
}

// Send keeps m. A message that came before, by its ID, is not kept twice.
func (b *Mailbox) Send(_ context.Context, m Message) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if slices.ContainsFunc(b.messages, func(o Message) bool { return o.ID == m.ID }) {
		return nil
	}
	b.messages = append(b.messages, m)
	if len(b.messages) > keepMessages {
		b.messages = slices.Clone(b.messages[len(b.messages)-keepMessages:])
	}
	if b.arrived != nil {
		close(b.arrived)
		b.arrived = nil
	}
	return nil
}

// KeepText keeps a text message beside the mails.
func (b *Mailbox) KeepText(to portal.E164, text string, at time.Time) {
	_ = b.Send(context.Background(), Message{ID: rand.Text(), Number: to, Subject: "SMS to " + to.Clear(), Text: text, Date: at})
}

// AwaitText returns the newest text message to a number, and waits for one until
// ctx ends.
func (b *Mailbox) AwaitText(ctx context.Context, to portal.E164) (Message, error) {
	return b.await(ctx, func(m Message) bool { return m.Number != "" && m.Number == to })
}

// Messages are what arrived, newest first.
func (b *Mailbox) Messages() []Message {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := slices.Clone(b.messages)
	slices.Reverse(out)
	return out
}

// Message is the one with that ID.
func (b *Mailbox) Message(id string) (Message, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	i := slices.IndexFunc(b.messages, func(m Message) bool { return m.ID == id })
	if i < 0 {
		return Message{}, false
	}
	return b.messages[i], true
}

// Await returns the newest message to an address whose subject begins with
// subject, and waits for one until ctx ends.
func (b *Mailbox) Await(ctx context.Context, to discovery.Address, subject string) (Message, error) {
	return b.await(ctx, func(m Message) bool {
		return m.Number == "" && m.To == to && strings.HasPrefix(m.Subject, subject)
	})
}

func (b *Mailbox) await(ctx context.Context, wanted func(Message) bool) (Message, error) {
	for {
		b.mu.Lock()
		for _, m := range slices.Backward(b.messages) {
			if wanted(m) {
				b.mu.Unlock()
				return m, nil
			}
		}
		if b.arrived == nil {
			b.arrived = make(chan struct{})
		}
		arrived := b.arrived
		b.mu.Unlock()
		select {
		case <-arrived:
		case <-ctx.Done():
			return Message{}, ctx.Err()
		}
	}
}
