package web

import (
	"errors"
	"fmt"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/discovery/page"
	"github.com/domicile-sso/domicile/discovery/span"
	"github.com/domicile-sso/domicile/portal"
	"github.com/domicile-sso/domicile/regions/ticket"
)

// openTicket takes the front door's hint: it fills in the address and nothing
// else. The region signs the person in as if they had typed it; the ticket's
// connection is not read, since the portal's domain decides. The URL with the
// ticket is left behind at once.
func (s *Site) openTicket(v *visit, sealed string) error {
	if v.passive() {
		return v.nobody()
	}
	if err := v.admit(); err != nil {
		return err
	}
	t, err := s.readTicket(v, sealed)
	if err != nil {
		return v.startAgain(err, "/")
	}
	if sess, err := v.session(); err == nil && sess.Account.Primary.Equal(t.address) {
		return v.redirect("/")
	} else if err != nil && !errors.Is(err, portal.ErrNoSession) {
		return err
	}
	handle, err := s.Store.StartFromTicket(v.r.Context(), v.portal.ID, v.newVisitor(), t.ID, t.Issued, t.Expires,
		portal.Attempt{Address: t.address, ReturnTo: "/", FromTicket: true})
	if errors.Is(err, portal.ErrTicket) {
		err = v.refuseTicket("ticket_spent")
	}
	if err != nil {
		return v.startAgain(err, "/")
	}
	return v.redirect("/login?attempt=" + handle)
}

type openedTicket struct {
	ticket.Ticket
	address discovery.Address
}

// readTicket opens a ticket. Every way in which it may not count is one refusal;
// which one it was is in the audit log.
func (s *Site) readTicket(v *visit, sealed string) (openedTicket, error) {
	code := "no_front_door"
	if s.Tickets != nil {
		_, sp := span.Start(v.r.Context(), span.OpenTicket)
		defer sp.End(nil)
		t, err := s.Tickets.Open(sealed, v.portal.ID)
		if err == nil {
			address, err := discovery.ParseAddress(t.Address)
			if err == nil {
				return openedTicket{t, address}, nil
			}
			code = "ticket_address"
		} else {
			code = "ticket_unreadable"
			var refusal *ticket.Refusal
			if errors.As(err, &refusal) {
				code = refusal.Code
			}
		}
		sp.Text(span.Code, code)
	}
	return openedTicket{}, v.refuseTicket(code)
}

// refuseTicket audits why a ticket did not count and says none of it.
func (v *visit) refuseTicket(code string) error {
	err := v.site.Store.Audit(v.r.Context(), portal.Event{
		At: v.site.Now(), Portal: v.portal.ID, Action: "ticket.refused", Code: code, Method: "ticket",
		Reference: page.Reference(v.r.Context()), Client: portal.Network(page.Client(v.r.Context())),
	})
	if err != nil {
		return fmt.Errorf("audit refused ticket: %w", err)
	}
	return portal.ErrTicket
}
