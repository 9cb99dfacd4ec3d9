package sms

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"
	"unicode"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/domicile-sso/domicile/portal"
)

// A Sender hands a text to whoever carries it to a telephone. Any error means
// that it was not accepted and may be tried again; it names neither the number
// nor the text.
type Sender interface {
	Send(ctx context.Context, to portal.E164, text string) error
}

// A Desk writes messages and sends them.
type Desk struct {
	sender Sender
	now    func() time.Time
	sent   *prometheus.CounterVec
}

// NewDesk registers how many were sent and how many were not; reg may be nil.
func NewDesk(s Sender, now func() time.Time, reg prometheus.Registerer) (*Desk, error) {
	d := &Desk{sender: s, now: now, sent: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "domicile_portal_texts_total",
		Help: "Text messages given to the SMS gateway, by outcome: sent, or failed and tried again.",
	}, []string{"outcome"})}
	for _, outcome := range []string{"sent", "failed"} {
		d.sent.WithLabelValues(outcome) // an alarm needs the zero
	}
	if reg != nil {
		if err := reg.Register(d.sent); err != nil {
			return nil, fmt.Errorf("sms: %w", err)
		}
	}
	return d, nil
}

// Deliver writes a message and sends it.
func (d *Desk) Deliver(ctx context.Context, t portal.Text) error {
	text, err := Write(t, d.now())
	if err == nil {
		err = d.sender.Send(ctx, t.To, text)
	}
	if err != nil {
		d.sent.WithLabelValues("failed").Inc()
		return err
	}
	d.sent.WithLabelValues("sent").Inc()
	return nil
}

// words of a message: the code, the portal, the minutes. The code comes first,
// where a telephone shows it without being unlocked all the way.
var words = map[string]string{
	"en": "%s is your code for %s, good for %d minutes. Tell it to nobody.",
	"fr": "%s est votre code pour %s, valable %d minutes. Ne le communiquez à personne.",
	"de": "%s ist Ihr Code für %s, gültig für %d Minuten. Geben Sie ihn niemandem weiter.",
}

// Write puts a message into words. Its last line binds the code to the portal's
// host, so that a telephone fills it in there and on no other page
// (WICG origin-bound one-time codes).
func Write(t portal.Text, now time.Time) (string, error) {
	u, err := url.Parse(t.URL)
	if err != nil || u.Hostname() == "" || t.Code == "" || !t.To.Valid() {
		return "", errors.New("write text message: no code, no number or no portal")
	}
	form, ok := words[t.Language]
	if !ok {
		form = words["en"]
	}
	minutes := max(1, int(t.Expires.Sub(now).Round(time.Minute)/time.Minute))
	text := fmt.Sprintf(form, t.Code.Clear(), plain(t.Portal), minutes)
	return text + "\n\n@" + u.Hostname() + " #" + t.Code.Clear(), nil
}

// plain keeps a portal's name on one line and short: it is written by people,
// and a text message is paid for by its length.
func plain(s string) string {
	s = strings.Join(strings.FieldsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }), " ")
	if r := []rune(s); len(r) > 40 {
		s = strings.TrimSpace(string(r[:39])) + "…"
	}
	return s
}

// A Log is a Sender for a demo: it notes that there was a message and gives it to
// Keep. The log has neither the number nor the text.
type Log struct {
	Log  *slog.Logger
	Keep func(to portal.E164, text string) // nil: the message is gone
}

// Send keeps the message.
func (l Log) Send(_ context.Context, to portal.E164, text string) error {
	l.Log.Info("text message kept instead of sent", "length", len(text))
	if l.Keep != nil {
		l.Keep(to, text)
	}
	return nil
}
