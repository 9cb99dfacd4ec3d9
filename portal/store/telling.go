package store

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/domicile-sso/domicile/portal"
)

// A telling is a domain that signs in another way now, and how far everybody has
// been told: each address to the directory and, with letters, whoever has lost the
// only way in by mail. There may be a hundred thousand, and meanwhile others want
// to sign in: what one transaction does not do, [Store.RunTelling] does later. The
// route of the domain goes first, for newcomers are led by it.
type telling struct {
	domain        portal.Domain
	letters       bool
	name, address string // the domain of the last address that was done, and that itself
	done, people  int64
}

// tellAtOnce is how many addresses are done in one transaction, for which every
// sign-in of the portal waits.
const tellAtOnce = 250

// tellSome goes on with a telling and notes how far it has come; one that is done
// is forgotten. A newer one for the domain begins anew.
func (u *unit) tellSome(ctx context.Context, t telling) error {
	names, err := namesIn(ctx, u, t.domain)
	if err != nil {
		return err
	}
	m := moving{portal: u.portal, names: names, to: t.domain.Way()}
	if t.name == "" && len(names) > 0 {
		counts, err := readFootings(ctx, u, u.portal, names...)
		if err != nil {
			return err
		}
		for _, c := range counts {
			t.people += c.n
		}
	}
	left := tellAtOnce
	for _, name := range names {
		if name < t.name {
			continue
		}
		if name > t.name {
			t.name, t.address = name, ""
		}
		n, err := u.tellAddresses(ctx, m, &t, left)
		if err != nil {
			return err
		}
		if left -= n; left <= 0 {
			_, err := u.ExecContext(ctx, `INSERT INTO tellings (portal, domain, letters, name, address, done, people) VALUES ($1, $2, $3, $4, $5, $6, $7)
				ON CONFLICT (portal, domain) DO UPDATE SET letters = excluded.letters, name = excluded.name, address = excluded.address,
				done = excluded.done, people = excluded.people`,
				u.portal, t.domain.Name, t.letters, t.name, t.address, t.done, t.people)
			return err
		}
	}
	_, err = u.ExecContext(ctx, `DELETE FROM tellings WHERE portal = $1 AND domain = $2`, u.portal, t.domain.Name)
	return err
}

// tellAddresses does the next addresses of one name, at most so many.
func (u *unit) tellAddresses(ctx context.Context, m moving, t *telling, most int) (n int, err error) {
	var people int64
	var last string
	err = u.QueryRowContext(ctx, `SELECT COUNT(*), COALESCE(MAX(address), ''), COUNT(carries) FROM (
		SELECT address, CASE WHEN footing <> '' THEN 1 END AS carries FROM addresses
		WHERE portal = $1 AND domain = $2 AND address > $3 AND confirmed > 0 ORDER BY address LIMIT $4) AS told`,
		u.portal, t.name, t.address, most).Scan(&n, &last, &people)
	if err != nil || n == 0 {
		return 0, err
	}
	seq, err := u.takeSequences(ctx, int64(n))
	if err != nil {
		return 0, err
	}
	_, err = u.ExecContext(ctx, `INSERT INTO outbox (seq, topic, portal, name, queued)
		SELECT CAST($1 AS BIGINT) + CAST($2 AS BIGINT) * (ROW_NUMBER() OVER (ORDER BY address) - 1), CAST($3 AS TEXT), portal, address, CAST($4 AS BIGINT)
		FROM addresses WHERE portal = $5 AND domain = $6 AND address > $7 AND address <= $8 AND confirmed > 0
		ON CONFLICT (topic, portal, name) DO UPDATE SET seq = excluded.seq`,
		seq-(int64(n)-1)*portal.SeqStep, portal.SeqStep, string(portal.AddressChanged), micros(u.now), u.portal, t.name, t.address, last)
	if err != nil {
		return 0, err
	}
	if t.letters {
		lost, err := m.lost(ctx, u, t.name, t.address, last)
		if err != nil {
			return 0, err
		}
		if err := u.tellMoved(ctx, lost); err != nil {
			return 0, err
		}
	}
	t.address, t.done = last, t.done+people
	return n, nil
}

// lost are the people among some addresses of a name whom a move leaves without a
// way in.
func (m moving) lost(ctx context.Context, q querier, name, after, last string) ([]portal.MovedPerson, error) {
	rows, err := q.QueryContext(ctx, `SELECT `+movedColumns+`, h.address, h.footing FROM addresses h `+movedTables+`
		WHERE h.portal = $1 AND h.domain = $2 AND h.address > $3 AND h.address <= $4 AND h.footing <> '' ORDER BY h.address`,
		m.portal, name, after, last)
	if err != nil {
		return nil, err
	}
	var some []portal.MovedPerson
	var several []bool
	err = func() error {
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			var p portal.MovedPerson
			var text string
			if err := scanMoved(rows, &p, &text); err != nil {
				return err
			}
			f, ok := portal.ParseFooting(text)
			if !ok {
				return errFooting
			}
			is := f.Moved(m.to)
			is.Account, is.Address = p.Account, p.Address
			some, several = append(some, is), append(several, f.Several && len(m.names) > 1)
		}
		return rows.Err()
	}()
	if err != nil {
		return nil, err
	}
	var out []portal.MovedPerson
	for i, p := range some {
		if several[i] { // once, at the first of the addresses that are moved
			whole, err := m.person(ctx, q, p.Account.ID)
			if err != nil {
				return nil, err
			}
			if whole == nil || whole.Address != p.Address {
				continue
			}
			p = *whole
		}
		if m.to.Class(p) == portal.MoveMailed {
			out = append(out, p)
		}
	}
	return out, nil
}

// RunTelling tells everybody of a move who has not been told yet, in parts. Any
// process of the region may, several at once too: what is done is noted with it.
func (s *Store) RunTelling(ctx context.Context) error {
	for ctx.Err() == nil {
		if some, err := s.tellPart(ctx); err != nil || !some {
			return err
		}
		rest(ctx)
	}
	return nil
}

// tellPart goes on with one domain for one transaction; some is false when there is
// none.
func (s *Store) tellPart(ctx context.Context) (some bool, err error) {
	var portalID, name string
	err = s.db.QueryRowContext(ctx, `SELECT portal, domain FROM tellings ORDER BY portal, domain LIMIT 1`).Scan(&portalID, &name)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, failed("look for who is to be told", err)
	}
	err = s.change(ctx, portalID, portal.Visitor{}, func(u *unit) error {
		t := telling{}
		err := u.QueryRowContext(ctx, `SELECT letters, name, address, done, people FROM tellings WHERE portal = $1 AND domain = $2`, portalID, name).
			Scan(&t.letters, &t.name, &t.address, &t.done, &t.people)
		if errors.Is(err, sql.ErrNoRows) {
			return nil // another process was faster
		}
		if err != nil {
			return err
		}
		all, err := readDomains(ctx, u, portalID)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(all, func(d portal.Domain) bool { return d.Name == name })
		if i < 0 {
			_, err := u.ExecContext(ctx, `DELETE FROM tellings WHERE portal = $1 AND domain = $2`, portalID, name)
			return err
		}
		t.domain = all[i]
		u.moved = append(u.moved, t)
		return nil
	})
	return err == nil, err
}

// Told is how many people of a domain have been told how they sign in now.
type Told struct{ Done, People int64 }

// Tellings are the domains of a portal whose people are still being told.
func (s *Store) Tellings(ctx context.Context, portalID string) (map[string]Told, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT domain, done, people FROM tellings WHERE portal = $1`, portalID)
	if err != nil {
		return nil, failed("read who is told", err)
	}
	defer func() { _ = rows.Close() }()
	out := map[string]Told{}
	for rows.Next() {
		var name string
		var t Told
		if err := rows.Scan(&name, &t.Done, &t.People); err != nil {
			return nil, failed("read who is told", err)
		}
		out[name] = t
	}
	return out, failed("read who is told", rows.Err())
}

// lettersAtOnce is how many letters one statement queues.
const lettersAtOnce = 100

// tellMoved queues a letter for each of people, who may be many.
func (u *unit) tellMoved(ctx context.Context, people []portal.MovedPerson) error {
	if len(people) == 0 {
		return nil
	}
	p, err := readPortal(ctx, u, `id = $1`, u.portal)
	if err != nil {
		return err
	}
	at := p.At(u.s.StandIn)
	if at == "" {
		at = p.URL
	}
	set, err := readSettings(ctx, u, u.portal)
	if err != nil {
		return err
	}
	from, err := u.from(ctx, portal.MovedLetter, set)
	if err != nil {
		return err
	}
	own := map[string]portal.MailText{} // by language
	u.posted = true
	for some := range slices.Chunk(people, lettersAtOnce) {
		var values []string
		var args []any
		for _, person := range some {
			a := person.Account
			language := cmp.Or(a.Language, set.Language)
			text, ok := own[language]
			if !ok {
				if text, err = readMailText(ctx, u, u.portal, portal.MovedLetter, language); err != nil {
					return err
				}
				own[language] = text
			}
			l := sealedLetter{Kind: portal.MovedLetter, To: person.Address.Clear(), Name: strings.TrimSpace(a.GivenName + " " + a.FamilyName),
				Portal: p.Name, URL: at, Contact: p.Contact, Language: language, Zone: set.Zone,
				From: from.Clear(), Subject: text.Subject, Opening: text.Opening}
			id := newID()
			plain, err := json.Marshal(l)
			if err != nil {
				return fmt.Errorf("encode letter: %w", err)
			}
			sealed, err := u.s.vault.Seal("letter "+id, plain)
			if err != nil {
				return err
			}
			row := make([]string, 0, 8)
			for _, value := range []any{id, u.portal, string(l.Kind), sealed, 0, micros(u.now), micros(u.now), micros(u.now.Add(portal.LetterLife))} {
				args = append(args, value)
				row = append(row, "$"+strconv.Itoa(len(args)))
			}
			values = append(values, "("+strings.Join(row, ", ")+")")
		}
		_, err := u.ExecContext(ctx, `INSERT INTO letters (id, portal, kind, sealed, tries, queued, due, expires) VALUES `+strings.Join(values, ", "), args...)
		if err != nil {
			return err
		}
	}
	return nil
}
