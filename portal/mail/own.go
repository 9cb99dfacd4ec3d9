package mail

import (
	"net/mail"

	"github.com/domicile-sso/domicile/portal"
)

// Paragraphs are a portal's own words at the beginning of a letter.
func (p page) Paragraphs() []string { return portal.Paragraphs(p.Opening) }

// own gives a message the subject and the sender that a portal has chosen. Who
// hands it in stays the operator, and says so (RFC 5322, section 3.6.2): that is
// whom mail servers judge it by, and who hears when it cannot be delivered.
func own(m Message, l portal.Letter) Message {
	if l.Subject != "" {
		m.Subject = oneLine(l.Subject)
	}
	if !l.From.IsZero() {
		m.Sender = m.From
		m.From = mail.Address{Name: l.Portal, Address: l.From.Clear()}
	}
	return m
}
