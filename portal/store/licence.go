package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/portal"
)

const licenceColumns = `l.account, l.since, l.ends, l.renews, ` + planColumns + `,
	CASE WHEN EXISTS (SELECT 1 FROM addresses h WHERE h.account = l.account AND h.address = l.address AND h.confirmed > 0) THEN l.address ELSE m.address END`

const licenceTables = ` licences l JOIN plans p ON p.portal = l.portal AND p.id = l.plan JOIN addresses m ON m.account = l.account AND m.is_primary `

// scanLicence reads a licence. An address that was licensed and is the person's
// no more has been replaced by the primary one.
func scanLicence(row scanner, more ...any) (l portal.Licence, err error) {
	var since, ends int64
	var address string
	p, err := scanPlan(row, []any{&l.Account, &since, &ends, &l.Renews}, append([]any{&address}, more...)...)
	if err != nil {
		return l, err
	}
	l.Plan, l.Since, l.Ends = p, when(since), when(ends)
	if l.Address, err = discovery.ParseAddress(address); err != nil {
		return l, fmt.Errorf("account %s: its licensed address does not parse", l.Account)
	}
	return l, nil
}

// licenceOf is the licence of an account; the zero Licence: none.
func licenceOf(ctx context.Context, q querier, accountID string) (portal.Licence, error) {
	l, err := scanLicence(q.QueryRowContext(ctx, `SELECT `+licenceColumns+` FROM`+licenceTables+`WHERE l.account = $1`, accountID))
	if errors.Is(err, sql.ErrNoRows) {
		return portal.Licence{}, nil
	}
	return l, err
}

// Licence is the licence of an account, whether or not it is in force; the zero
// Licence: none.
func (s *Store) Licence(ctx context.Context, portalID, accountID string) (portal.Licence, error) {
	a, err := accountByID(ctx, s.db, portalID, accountID)
	if err != nil || a == nil {
		return portal.Licence{}, failed("read account", err)
	}
	l, err := licenceOf(ctx, s.db, accountID)
	return l, failed("read licence", err)
}

// seat takes n seats of the plan that an account has, if it has one. Whose
// account is disabled takes none: see setStatus.
func (u *unit) seat(ctx context.Context, accountID string, n int64) error {
	var plan string
	err := u.QueryRowContext(ctx, `SELECT plan FROM licences WHERE account = $1`, accountID).Scan(&plan)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	if n > 0 {
		p, used, err := planSeats(ctx, u, u.portal, plan)
		if err != nil {
			return err
		}
		if err := p.Seat(used); err != nil {
			return err
		}
	}
	return u.tally(ctx, "plan:"+plan, n)
}

// startLicence gives a new account the plan that is wanted, or the one that people
// of its role begin with. Where every seat is taken an invitation is refused; whom the
// organisation's own sign-in vouches for gets in without a licence.
func (u *unit) startLicence(ctx context.Context, a portal.Account, want string) error {
	plans, err := readPlans(ctx, u, u.portal)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(plans, func(p PlanSeats) bool {
		return p.Kind == portal.DefaultKind(a.Role) && (want == "" || p.ID == want)
	})
	if i < 0 {
		return nil
	}
	if err := plans[i].Seat(plans[i].Used); err != nil {
		if a.Status == portal.Invited {
			return err
		}
		return nil
	}
	set, err := readSettings(ctx, u, u.portal)
	if err != nil {
		return err
	}
	return u.putLicence(ctx, a, portal.NewLicence(plans[i].Plan, a.ID, a.Primary, u.now, set.Location()))
}

// putLicence gives an account a licence in place of the one it has, and moves
// the seat. The zero Licence takes the one it has away.
func (u *unit) putLicence(ctx context.Context, a portal.Account, l portal.Licence) error {
	var had string
	err := u.QueryRowContext(ctx, `DELETE FROM licences WHERE account = $1 RETURNING plan`, a.ID).Scan(&had)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	if had != "" && a.Status != portal.Disabled {
		if err := u.tally(ctx, "plan:"+had, -1); err != nil {
			return err
		}
	}
	if l.None() {
		return nil
	}
	_, err = u.ExecContext(ctx, `INSERT INTO licences (account, portal, plan, address, since, ends, renews) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		a.ID, u.portal, l.Plan.ID, l.Address.Clear(), micros(l.Since), micros(l.Ends), l.Renews)
	if err != nil || a.Status == portal.Disabled {
		return err
	}
	return u.tally(ctx, "plan:"+l.Plan.ID, 1)
}

// A LicencePreview is what a change of a licence would bring about.
type LicencePreview struct {
	portal.Standing
	To      portal.Licence
	Effects []portal.Effect
	Mark    string // of what was looked at: changes that were not shown are refused
}

// PreviewLicence says what a change of an account's licence would bring about,
// or why it cannot be.
func (s *Store) PreviewLicence(ctx context.Context, portalID, accountID string, c portal.LicenceChange) (LicencePreview, error) {
	p, err := s.preview(ctx, s.db, portalID, accountID, c)
	return p, failed("look at licence", err)
}

func (s *Store) preview(ctx context.Context, q querier, portalID, accountID string, c portal.LicenceChange) (p LicencePreview, err error) {
	now := s.now().UTC()
	set, err := readSettings(ctx, q, portalID)
	if err != nil {
		return p, err
	}
	if p.Standing, err = standing(ctx, q, set, accountID, now); err != nil {
		return p, err
	}
	var plan portal.Plan
	var used int64
	if !c.Keep && c.Plan != "" {
		if plan, used, err = planSeats(ctx, q, portalID, c.Plan); err != nil {
			return p, err
		}
	}
	if err := p.MayChangeLicence(c, plan, used); err != nil {
		return p, err
	}
	switch {
	case c.Keep:
		p.To = p.Licence
		if c.Renew != p.To.Renews && !c.Renew {
			p.To.Ends = p.To.Term(now, set.Location()) // the term that runs is the last
		}
		p.To.Renews = c.Renew
	case c.Plan != "":
		p.To = portal.NewLicence(plan, accountID, p.Account.Primary, now, set.Location())
	}
	p.Effects, p.Mark = p.Standing.Effects(p.To, now, set.Location()), p.Standing.Mark(plan)
	return p, nil
}

// standing gathers what the rules about licences look at.
func standing(ctx context.Context, q querier, set portal.Settings, accountID string, now time.Time) (s portal.Standing, err error) {
	a, err := accountByID(ctx, q, set.Portal, accountID)
	if err != nil {
		return s, err
	}
	if a == nil {
		return s, errUnknownAccount
	}
	s.Account, s.Sender = a.Account, set.Sender == accountID
	if s.Licence, err = licenceOf(ctx, q, accountID); err != nil {
		return s, err
	}
	use, err := usageIn(ctx, q, accountID, set.Month(now))
	if err != nil {
		return s, err
	}
	s.Used = use.Messages
	return s, err
}

// errSeen: what was agreed to is not what would happen.
var errSeen = &discovery.Error{Kind: discovery.Conflict, Code: "stale_version",
	Say: "The licence has changed in the meantime. Look at what would happen now before you go on."}

// ChangeLicence assigns, changes or releases an account's licence, as it was
// shown by PreviewLicence with that mark (S31).
func (s *Store) ChangeLicence(ctx context.Context, portalID string, v portal.Visitor, accountID string, c portal.LicenceChange, mark string) error {
	return s.change(ctx, portalID, v, func(u *unit) error {
		if _, err := u.target(ctx, accountID, portal.AssignLicences, mayAssign); err != nil {
			return err
		}
		return u.changeLicence(ctx, accountID, c, mark)
	})
}

// mayAssign: one's own licence is no exception, there may be nobody else.
func mayAssign(actor, target portal.Account) error {
	if actor.ID == target.ID {
		return nil
	}
	return portal.MayManage(actor, target)
}

// Licensee is somebody whose licence is looked at in the console. An ID that is
// nobody's in this portal is audited.
func (s *Store) Licensee(ctx context.Context, portalID string, v portal.Visitor, accountID string) (portal.Account, portal.Licence, error) {
	a, err := accountByID(ctx, s.db, portalID, accountID)
	if err != nil {
		return portal.Account{}, portal.Licence{}, failed("read account", err)
	}
	if a == nil {
		return portal.Account{}, portal.Licence{}, s.unknownAccount(ctx, portalID, v, accountID)
	}
	l, err := licenceOf(ctx, s.db, accountID)
	return a.Account, l, failed("read licence", err)
}

// ReleaseOwnLicence gives back one's own licence, where its plan leaves that to
// people themselves.
func (s *Store) ReleaseOwnLicence(ctx context.Context, portalID string, v portal.Visitor, accountID, mark string) error {
	return s.change(ctx, portalID, v, func(u *unit) error {
		l, err := licenceOf(ctx, u, accountID)
		if err != nil {
			return err
		}
		if err := portal.MayRelease(l); err != nil {
			return u.refuse(portal.Event{Account: accountID, Action: "licence.refused", Target: l.Plan.ID}, err)
		}
		return u.changeLicence(ctx, accountID, portal.LicenceChange{}, mark)
	})
}

func (u *unit) changeLicence(ctx context.Context, accountID string, c portal.LicenceChange, mark string) error {
	p, err := u.s.preview(ctx, u, u.portal, accountID, c)
	if errors.Is(err, portal.ErrNoSeat) {
		return u.refuse(portal.Event{Account: accountID, Action: "licence.refused", Target: c.Plan}, err)
	}
	if err != nil {
		return err
	}
	if p.Mark != mark {
		return errSeen
	}
	if err := u.putLicence(ctx, p.Account, p.To); err != nil {
		return err
	}
	for _, e := range p.Effects {
		if err := u.effect(ctx, accountID, e); err != nil {
			return err
		}
	}
	action := "licence.changed"
	switch {
	case p.Licence.None():
		action = "licence.assigned"
	case p.To.None():
		action = "licence.released"
	}
	u.audit(portal.Event{Account: accountID, Action: action, Method: inviter(u.visitor.Actor), Target: cmp.Or(p.To.Plan.ID, p.Licence.Plan.ID)})
	return nil
}

// effect does what a change of a licence takes along besides the seat.
func (u *unit) effect(ctx context.Context, accountID string, e portal.Effect) error {
	switch e.Kind {
	case portal.ProtectionEnds:
		_, err := u.ExecContext(ctx, `UPDATE accounts SET return_protection = '', version = version + 1 WHERE id = $1`, accountID)
		return err
	case portal.SenderEnds:
		u.audit(portal.Event{Account: accountID, Action: "settings.changed", Target: "sender"})
		_, err := u.ExecContext(ctx, `UPDATE settings SET sender = '', notifications = notifications + 1 WHERE portal = $1 AND sender = $2`, u.portal, accountID)
		return err
	}
	return nil
}

// A LicenceHolder is somebody with a licence.
type LicenceHolder struct {
	portal.Account
	Licence portal.Licence
}

// LicencesEnding are the licences of a portal that end before a time and are not
// renewed, the first to end first; those that ended already are among them.
func (s *Store) LicencesEnding(ctx context.Context, portalID string, before time.Time, limit int) ([]LicenceHolder, error) {
	return s.holders(ctx, `WHERE l.portal = $1 AND l.ends > 0 AND l.ends < $2 AND NOT l.renews AND a.status <> 'disabled'
		ORDER BY l.ends, l.account LIMIT $3`, portalID, micros(before), limit)
}

// LicenceHolders are the people with a plan, as lists of people are sorted,
// after the account named.
func (s *Store) LicenceHolders(ctx context.Context, portalID, plan, after string, limit int) ([]LicenceHolder, error) {
	page, err := s.FindAccounts(ctx, portalID, portal.AccountFilter{Plan: plan, After: after, Limit: limit})
	if err != nil || len(page.Accounts) == 0 {
		return nil, err
	}
	q := &accountQuery{args: []any{portalID}}
	places := make([]string, len(page.Accounts))
	for i, a := range page.Accounts {
		places[i] = q.arg(a.ID)
	}
	return s.holders(ctx, `WHERE l.portal = $1 AND l.account IN (`+strings.Join(places, ", ")+`) ORDER BY a.name_key, a.id`, q.args...)
}

func (s *Store) holders(ctx context.Context, where string, args ...any) ([]LicenceHolder, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT `+licenceColumns+`, a.status, a.given_name, a.family_name, m.address
		FROM`+licenceTables+`JOIN accounts a ON a.id = l.account `+where, args...)
	if err != nil {
		return nil, failed("read licences", err)
	}
	defer func() { _ = rows.Close() }()
	var all []LicenceHolder
	for rows.Next() {
		var h LicenceHolder
		var primary string
		if h.Licence, err = scanLicence(rows, &h.Status, &h.GivenName, &h.FamilyName, &primary); err != nil {
			return nil, failed("read licences", err)
		}
		if h.Primary, err = discovery.ParseAddress(primary); err != nil {
			return nil, failed("read licences", fmt.Errorf("account %s: its primary address does not parse", h.Licence.Account))
		}
		h.ID = h.Licence.Account
		all = append(all, h)
	}
	return all, failed("read licences", rows.Err())
}
