package store

import (
	"cmp"
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/portal"
)

// resetRequested is a row of the mail queue that is no letter yet: somebody
// asked for a new password, and nobody has looked whether there is an account.
const resetRequested portal.LetterKind = "reset requested"

// sealedLetter is what the vault seals: a letter in clear.
type sealedLetter struct {
	Kind                       portal.LetterKind
	To                         string
	Name, Portal, URL, Contact string            `json:",omitempty"`
	Token, Temporary           string            `json:",omitempty"`
	Federated                  bool              `json:",omitempty"`
	App, Device                string            `json:",omitempty"`
	About, By                  string            `json:",omitempty"`
	Factor                     portal.FactorNews `json:",omitzero"`
	Expires                    int64             `json:",omitempty"`
	Reference                  string            `json:",omitempty"`
	Client                     netip.Addr
	Language, Zone, Culture    string `json:",omitempty"`
	From, Subject, Opening     string `json:",omitempty"`
	Cell, Code                 string `json:",omitempty"` // of a text message
}

// leaseLetter is how long a letter is kept from others once it was taken.
const leaseLetter = time.Minute

// post queues a letter to a person in this transaction. To defaults to the
// primary address.
func (u *unit) post(ctx context.Context, a *account, l portal.Letter) error {
	p, err := readPortal(ctx, u, `id = $1`, u.portal)
	if err != nil {
		return err
	}
	if l.To.IsZero() {
		l.To = a.Primary
	}
	set, err := readSettings(ctx, u, u.portal)
	if err != nil {
		return err
	}
	from, err := u.from(ctx, l.Kind, set)
	if err != nil {
		return err
	}
	l.Language = cmp.Or(l.Language, a.Language, set.Language)
	own, err := readMailText(ctx, u, u.portal, l.Kind, l.Language)
	if err != nil {
		return err
	}
	u.posted = true
	at := p.At(u.s.StandIn)
	if at == "" {
		at = p.URL // the standby was taken off the portal a moment ago
	}
	return u.s.queue(ctx, u, u.portal, sealedLetter{
		Kind: l.Kind, To: l.To.Clear(), Name: strings.TrimSpace(a.GivenName + " " + a.FamilyName),
		Portal: p.Name, URL: at, Contact: p.Contact, Token: l.Token.Clear(), Temporary: l.Temporary.Clear(),
		Federated: l.Federated, Expires: micros(l.Expires), Factor: l.Factor, App: l.App, Device: l.Device,
		About: l.About.Clear(), By: l.By,
		Language: l.Language, Zone: cmp.Or(a.Zone, set.Zone), Culture: a.Culture, From: from.Clear(), Subject: own.Subject, Opening: own.Opening,
	}, u.now)
}

func (s *Store) queue(ctx context.Context, q querier, portalID string, l sealedLetter, now time.Time) error {
	var b [16]byte
	_, _ = rand.Read(b[:])
	id := hex.EncodeToString(b[:])
	plain, err := json.Marshal(l)
	if err != nil {
		return fmt.Errorf("encode letter: %w", err)
	}
	sealed, err := s.vault.Seal("letter "+id, plain)
	if err != nil {
		return err
	}
	expires := micros(now.Add(portal.LetterLife))
	if l.Expires > 0 {
		expires = min(expires, l.Expires)
	}
	_, err = q.ExecContext(ctx, `INSERT INTO letters (id, portal, kind, sealed, tries, queued, due, expires) VALUES ($1, $2, $3, $4, 0, $5, $5, $6)`,
		id, portalID, string(l.Kind), sealed, micros(now), expires)
	return err
}

// DueLetters takes letters whose time has come. Each must be reported as sent
// or failed; one that is not comes up again after a minute. Requests for a reset
// are turned into letters on the way.
func (s *Store) DueLetters(ctx context.Context, limit int) ([]portal.Posted, error) {
	if err := ctx.Err(); err != nil {
		return nil, failed("take letters", err)
	}
	// What was taken is taken: a process that is stopped meanwhile would keep it
	// from the others for as long as it is leased.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	for {
		taken, err := s.takeLetters(ctx, limit)
		if err != nil {
			return nil, failed("take letters", err)
		}
		var out []portal.Posted
		requests := 0
		for _, t := range taken {
			if t.l.Kind != resetRequested {
				out = append(out, t.posted())
				continue
			}
			requests++
			if err := s.answerReset(ctx, t.id, t.portal, t.l); err != nil {
				return out, failed("answer reset", err)
			}
		}
		if len(out) > 0 || requests == 0 {
			return out, nil
		}
	}
}

type taken struct {
	id, portal string
	tries      int
	l          sealedLetter
}

func (t taken) posted() portal.Posted {
	if t.l.Kind == portal.TextLetter {
		return portal.Posted{ID: t.id, Tries: t.tries, Letter: portal.Letter{Kind: t.l.Kind}, Text: t.l.text()}
	}
	to, _ := discovery.ParseAddress(t.l.To) // it was parsed before it was queued
	about, _ := discovery.ParseAddress(t.l.About)
	from, _ := discovery.ParseAddress(t.l.From)
	return portal.Posted{ID: t.id, Tries: t.tries, Letter: portal.Letter{
		Kind: t.l.Kind, To: to, Name: t.l.Name, Portal: t.l.Portal, URL: t.l.URL, Contact: t.l.Contact,
		Token: portal.Secret(t.l.Token), Temporary: portal.Secret(t.l.Temporary), Federated: t.l.Federated, Expires: when(t.l.Expires),
		Factor: t.l.Factor, App: t.l.App, Device: t.l.Device, About: about, By: t.l.By,
		Language: t.l.Language, Zone: t.l.Zone, Culture: t.l.Culture, From: from, Subject: t.l.Subject, Opening: t.l.Opening,
	}}
}

func (s *Store) takeLetters(ctx context.Context, limit int) ([]taken, error) {
	now := s.now()
	// Looking costs no lock, and mostly there is nothing.
	var due int
	err := s.db.QueryRowContext(ctx, `SELECT COUNT(*) FROM letters WHERE due <= $1 AND expires > $1`, micros(now)).Scan(&due)
	if err != nil || due == 0 {
		return nil, err
	}
	rows, err := s.db.QueryContext(ctx, `UPDATE letters SET due = $1
		WHERE due <= $2 AND expires > $2 AND id IN (SELECT id FROM letters WHERE due <= $2 AND expires > $2 ORDER BY due, id LIMIT $3)
		RETURNING id, portal, tries, sealed`, micros(now.Add(leaseLetter)), micros(now), limit)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var out []taken
	for rows.Next() {
		var t taken
		var sealed []byte
		if err := rows.Scan(&t.id, &t.portal, &t.tries, &sealed); err != nil {
			return nil, err
		}
		plain, err := s.vault.Open("letter "+t.id, sealed)
		if err != nil {
			return nil, fmt.Errorf("letter %s: %w", t.id, err)
		}
		if err := json.Unmarshal(plain, &t.l); err != nil {
			return nil, fmt.Errorf("letter %s: %w", t.id, err)
		}
		out = append(out, t)
	}
	return out, rows.Err()
}

// LetterSent forgets a letter: nothing of it is kept.
func (s *Store) LetterSent(ctx context.Context, id string) error {
	_, err := s.db.ExecContext(ctx, `DELETE FROM letters WHERE id = $1`, id)
	return failed("delete letter", err)
}

// LetterFailed puts a letter back to be tried again, later each time.
func (s *Store) LetterFailed(ctx context.Context, id string) error {
	var tries int
	err := s.db.QueryRowContext(ctx, `UPDATE letters SET tries = tries + 1 WHERE id = $1 RETURNING tries`, id).Scan(&tries)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return failed("put letter back", err)
	}
	_, err = s.db.ExecContext(ctx, `UPDATE letters SET due = $1 WHERE id = $2`, micros(s.now().Add(portal.RetryLetter(tries))), id)
	return failed("put letter back", err)
}
