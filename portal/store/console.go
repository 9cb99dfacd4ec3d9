package store

import (
	"context"
	"strconv"
	"time"

	"github.com/domicile-sso/domicile/portal"
)

// Attention gathers what the people who look after a portal should know of. It
// counts only where an index leads straight to what is counted, and stops at a
// hundred: the page that shows it is the one that is opened most.
func (s *Store) Attention(ctx context.Context, portalID string) (a portal.Attention, err error) {
	now := s.now()
	if err = s.countAttention(ctx, portalID, now, &a); err != nil {
		return a, failed("count what needs attention", err)
	}
	ending, err := s.LicencesEnding(ctx, portalID, now.Add(portal.ExpiringWithin), portal.ManyAttention)
	if err != nil {
		return a, err
	}
	a.Expiring = len(ending)
	_, _, why, err := s.Sender(ctx, portalID)
	if err != nil {
		return a, err
	}
	a.Sender = why != nil
	approved, err := readApproved(ctx, s.db, portalID)
	if err != nil {
		return a, failed("read approved domains", err)
	}
	domains, err := s.Domains(ctx, portalID)
	if err != nil {
		return a, err
	}
	a.Unrouted = portal.Unrouted(approved, domains)
	connections, err := s.Connections(ctx, portalID)
	if err != nil {
		return a, err
	}
	for _, c := range connections {
		if cert, ok := portal.ExpiringCertificate(c, now.Add(portal.CertificateWithin)); ok {
			a.Certificates = append(a.Certificates, cert)
		}
	}
	return a, nil
}

func (s *Store) countAttention(ctx context.Context, portalID string, now time.Time, a *portal.Attention) error {
	made := func(t time.Time) int64 { return micros(t.Add(-portal.ForInvitation.Life())) }
	for _, c := range []struct {
		into  *int
		query string
		args  []any
	}{
		{&a.Recoveries, `SELECT 1 FROM recoveries WHERE portal = $1 AND decided = 0 AND expires > $2`, []any{micros(now)}},
		{&a.Owners, `SELECT 1 FROM accounts WHERE portal = $1 AND role = 'owner' AND status = 'active'`, nil},
		{&a.Lapsed, invitedSince, []any{made(now.Add(-portal.LapsedSince)), made(now), 1, micros(now)}},
		{&a.Lapsing, invitedSince, []any{made(now), made(now.Add(portal.LapsingWithin)), micros(now), micros(now.Add(portal.LapsingWithin))}},
	} {
		most := portal.ManyAttention
		if c.into == &a.Owners {
			most = 2
		}
		query := `SELECT COUNT(*) FROM (` + c.query + ` LIMIT ` + strconv.Itoa(most) + `) AS counted`
		if err := s.db.QueryRowContext(ctx, query, append([]any{portalID}, c.args...)...).Scan(c.into); err != nil {
			return err
		}
	}
	return nil
}

// invitedSince are people whose invitation was made from $2 to $3, ends from $4 to
// $5, and who have not come. Of very many the newest are looked at: after an
// import of everybody, these are what matters.
const invitedSince = `SELECT 1 FROM (SELECT account, ends FROM invitations WHERE portal = $1 AND made >= $2 AND made <= $3 ORDER BY made DESC LIMIT 5000) AS i
	JOIN accounts a ON a.id = i.account WHERE a.status = 'invited' AND i.ends >= $4 AND i.ends <= $5`
