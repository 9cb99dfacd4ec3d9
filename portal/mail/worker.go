package mail

import (
	"context"
	"errors"
	"log/slog"
	"net/mail"
	"sync"
	"time"

	"github.com/domicile-sso/domicile/portal"
)

// A Sender hands a message to whoever delivers it. Any error means that it was
// not accepted and may be tried again.
type Sender interface {
	Send(ctx context.Context, m Message) error
}

// A Queue keeps letters until they are sent; portal/store is one. A letter that
// was taken and not reported comes up again.
type Queue interface {
	DueLetters(ctx context.Context, limit int) ([]portal.Posted, error)
	LetterSent(ctx context.Context, id string) error
	LetterFailed(ctx context.Context, id string) error
	LetterQueued() <-chan struct{}
}

// Texts sends those letters of the queue whose channel is SMS; portal/sms has one.
// Its errors mean what those of a [Sender] do, and name no number.
type Texts interface {
	Deliver(ctx context.Context, t portal.Text) error
}

// A Worker delivers what the queue holds.
type Worker struct {
	Queue   Queue
	Sender  Sender
	Texts   Texts        // nil: text messages stay in the queue until they expire
	From    mail.Address // who the letters come from
	ReplyTo mail.Address // where answers go; zero: to From
	Log     *slog.Logger
	Now     func() time.Time
	Every   time.Duration // how often to look for letters to try again; 0: 5 s

	away bool // the queue could not be read the last time
}

// lastWords is how long letters in hand may take when the worker is stopped.
const lastWords = 3 * time.Second

// atOnce is how many letters are on their way at a time.
const atOnce = 4

// Run delivers until ctx ends.
func (w *Worker) Run(ctx context.Context) {
	every := w.Every
	if every <= 0 {
		every = 5 * time.Second
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		for w.deliver(ctx) > 0 && ctx.Err() == nil {
		}
		select {
		case <-ctx.Done():
			return
		case <-w.Queue.LetterQueued():
		case <-tick.C:
		}
	}
}

// deliver takes what is due, sends it, and says how many letters there were.
func (w *Worker) deliver(ctx context.Context) int {
	due, err := w.Queue.DueLetters(ctx, atOnce)
	switch {
	case err != nil && ctx.Err() != nil:
		return 0
	case err != nil && !w.away: // said once, not every time it is tried
		w.Log.Error("letters cannot be read", "err", err)
	case err == nil && w.away:
		w.Log.Info("letters can be read again")
	}
	w.away = err != nil
	// Letters that come with an error are taken, and nobody else sends them.
	var wg sync.WaitGroup
	for _, p := range due {
		wg.Go(func() { w.one(ctx, p) })
	}
	wg.Wait()
	if err != nil {
		return 0 // wait for the next tick
	}
	return len(due)
}

func (w *Worker) one(ctx context.Context, p portal.Posted) {
	report, err := w.Queue.LetterSent, w.send(ctx, p)
	if err != nil {
		w.Log.Warn("letter not sent", "letter", p.ID, "kind", string(p.Kind), "tries", p.Tries+1, "err", err)
		report = w.Queue.LetterFailed
	}
	// Also when we are being stopped: what was sent must not be sent again.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := report(ctx, p.ID); err != nil {
		w.Log.Error("letter not ticked off", "letter", p.ID, "err", err)
	}
}

var errNoTexts = errors.New("there is no gateway for text messages")

func (w *Worker) send(ctx context.Context, p portal.Posted) error {
	sending, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	// Who is being stopped finishes the letters in hand, if that is soon done.
	defer context.AfterFunc(ctx, func() {
		select {
		case <-time.After(lastWords):
			cancel()
		case <-sending.Done():
		}
	})()
	if p.Kind == portal.TextLetter {
		if w.Texts == nil {
			return errNoTexts
		}
		return w.Texts.Deliver(sending, p.Text)
	}
	m, err := Write(p.ID, w.From, p.Letter, w.Now())
	if err != nil {
		return err
	}
	if m.Sender.Address == "" { // answers to a person's own mail go to that person
		m.ReplyTo = w.ReplyTo
	}
	return w.Sender.Send(sending, m)
}
