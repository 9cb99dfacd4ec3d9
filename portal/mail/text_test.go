package mail

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/domicile-sso/domicile/portal"
)

// texts is a queue with one text message in it, and a gateway that refuses it for
// a while.
type texts struct {
	woken   chan struct{}
	text    portal.Text
	due     time.Time // zero: it was sent
	refuses int
	sent    []portal.Text
	failed  int
}

func (q *texts) LetterQueued() <-chan struct{} { return q.woken }

func (q *texts) DueLetters(context.Context, int) ([]portal.Posted, error) {
	if q.due.IsZero() || q.due.After(time.Now()) {
		return nil, nil
	}
	q.due = time.Now().Add(time.Minute)
	return []portal.Posted{{ID: "1", Letter: portal.Letter{Kind: portal.TextLetter}, Text: q.text}}, nil
}

func (q *texts) LetterSent(context.Context, string) error { q.due = time.Time{}; return nil }

func (q *texts) LetterFailed(context.Context, string) error {
	q.failed++
	q.due = time.Now().Add(portal.RetryLetter(q.failed))
	return nil
}

func (q *texts) Deliver(_ context.Context, t portal.Text) error {
	if q.refuses > 0 {
		q.refuses--
		return errors.New("send text message: the gateway answered 503")
	}
	q.sent = append(q.sent, t)
	return nil
}

// Letters whose channel is SMS go to the gateway and not to the mail server, are
// tried again, and leave neither number nor code in the log.
func TestTextsGoToTheGateway(t *testing.T) {
	for name, gateway := range map[string]bool{"with a gateway": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				q := &texts{woken: make(chan struct{}), due: time.Now(), refuses: 2,
					text: portal.Text{To: "+4915112345678", Code: "123456", Portal: "Acme"}}
				box := new(Mailbox)
				w := &Worker{Queue: q, Sender: box, From: from, Log: slog.New(slog.NewTextHandler(&log, nil)), Now: time.Now}
				if gateway {
					w.Texts = q
				}
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan struct{})
				go func() { w.Run(ctx); close(done) }()
				pass(2 * time.Minute)
				cancel()
				<-done
				if gateway && (len(q.sent) != 1 || q.failed != 2 || q.sent[0].To != "+4915112345678") {
					t.Errorf("sent %d, failed %d", len(q.sent), q.failed)
				}
				if !gateway && (len(q.sent) != 0 || q.failed == 0) {
					t.Errorf("sent %d, failed %d", len(q.sent), q.failed)
				}
				if len(box.Messages()) != 0 {
					t.Error("it went by mail")
				}
				if s := log.String(); strings.Contains(s, "12345") || !strings.Contains(s, "letter not sent") {
					t.Errorf("log: %s", s)
				}
			})
		})
	}
}

func TestMailboxKeepsTextsBesideMails(t *testing.T) {
	box := new(Mailbox)
	box.KeepText("+4915112345678", "123456 is your code", time.Now())
	box.KeepText("+4915187654321", "654321 is your code", time.Now())
	m, err := box.AwaitText(t.Context(), "+4915112345678")
	if err != nil || m.Text != "123456 is your code" || m.Subject != "SMS to +4915112345678" || !m.To.IsZero() {
		t.Errorf("%+v, %v", m, err)
	}
	if n := len(box.Messages()); n != 2 {
		t.Errorf("%d messages", n)
	}
}
