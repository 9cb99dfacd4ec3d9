package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/domicile-sso/domicile/portal"
)

// A challenge is something that was asked of one browser and waits for its
// answer: a secret shown to be set up, a code sent by SMS. Its owner is the digest
// of an attempt or of a session, so that what one browser was shown, no other can
// confirm.
type challenge struct {
	id      string
	account string
	plain   []byte
	tries   int64
	expires time.Time
}

// ask puts a challenge to an owner. An older one of the same purpose is void.
func (u *unit) ask(ctx context.Context, owner []byte, purpose, accountID string, plain []byte, life time.Duration) error {
	id := newID()
	sealed, err := u.s.vault.Seal(challengePlace(id), plain)
	if err != nil {
		return err
	}
	_, err = u.ExecContext(ctx, `INSERT INTO challenges (id, owner, purpose, portal, account, sealed, tries, expires)
		VALUES ($1, $2, $3, $4, $5, $6, 0, $7)
		ON CONFLICT (owner, purpose) DO UPDATE SET id = excluded.id, portal = excluded.portal, account = excluded.account,
			sealed = excluded.sealed, tries = 0, expires = excluded.expires`,
		id, owner, purpose, u.portal, accountID, sealed, micros(u.now.Add(life)))
	return err
}

// asked reads a challenge; ok is false when there is none that counts.
func (s *Store) asked(ctx context.Context, q querier, portalID string, owner []byte, purpose, accountID string) (c challenge, ok bool, err error) {
	var sealed []byte
	var expires int64
	err = q.QueryRowContext(ctx, `SELECT id, account, sealed, tries, expires FROM challenges
		WHERE owner = $1 AND purpose = $2 AND portal = $3 AND account = $4 AND expires > $5`,
		blob(owner), purpose, portalID, accountID, micros(s.now())).Scan(&c.id, &c.account, &sealed, &c.tries, &expires)
	if errors.Is(err, sql.ErrNoRows) {
		return c, false, nil
	}
	if err != nil {
		return c, false, err
	}
	c.expires = when(expires)
	c.plain, err = s.vault.Open(challengePlace(c.id), sealed)
	return c, err == nil, err
}

// missed counts a wrong answer. After the last try the challenge is void.
func (u *unit) missed(ctx context.Context, c challenge, tries int64) error {
	if c.tries+1 >= tries {
		return u.forget(ctx, c)
	}
	_, err := u.ExecContext(ctx, `UPDATE challenges SET tries = tries + 1 WHERE id = $1`, c.id)
	return err
}

func (u *unit) forget(ctx context.Context, c challenge) error {
	_, err := u.ExecContext(ctx, `DELETE FROM challenges WHERE id = $1`, c.id)
	return err
}

// spend takes a challenge that was answered, once.
func (u *unit) spend(ctx context.Context, c challenge) error {
	ok, err := one(ctx, u, `DELETE FROM challenges WHERE id = $1`, c.id)
	if err == nil && !ok {
		return portal.ErrSetUpOver
	}
	return err
}
