package store

import (
	"context"
	"database/sql"
	"errors"

	"github.com/domicile-sso/domicile/portal"
)

// MailTexts are the mails of a portal whose words are its own.
func (s *Store) MailTexts(ctx context.Context, portalID string) ([]portal.MailText, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT portal, kind, language, version, subject, opening FROM mail_texts
		WHERE portal = $1 AND (subject <> '' OR opening <> '') ORDER BY kind, language`, portalID)
	if err != nil {
		return nil, failed("read mail texts", err)
	}
	defer func() { _ = rows.Close() }()
	var out []portal.MailText
	for rows.Next() {
		var m portal.MailText
		if err := rows.Scan(&m.Portal, &m.Kind, &m.Language, &m.Version, &m.Subject, &m.Opening); err != nil {
			return nil, failed("read mail texts", err)
		}
		out = append(out, m)
	}
	return out, failed("read mail texts", rows.Err())
}

// MailText is a portal's own words for a kind of mail; without any, its Version
// tells whether there ever were some.
func (s *Store) MailText(ctx context.Context, portalID string, kind portal.LetterKind, language string) (portal.MailText, error) {
	m, err := readMailText(ctx, s.db, portalID, kind, language)
	return m, failed("read mail text", err)
}

func readMailText(ctx context.Context, q querier, portalID string, kind portal.LetterKind, language string) (portal.MailText, error) {
	m := portal.MailText{Portal: portalID, Kind: kind, Language: language}
	err := q.QueryRowContext(ctx, `SELECT version, subject, opening FROM mail_texts WHERE portal = $1 AND kind = $2 AND language = $3`,
		portalID, string(kind), language).Scan(&m.Version, &m.Subject, &m.Opening)
	if errors.Is(err, sql.ErrNoRows) {
		return m, nil
	}
	return m, err
}

// PutMailText replaces a portal's own words, if they are still those that were
// edited.
func (s *Store) PutMailText(ctx context.Context, v portal.Visitor, m portal.MailText) error {
	m, err := m.Check()
	if err != nil {
		return err
	}
	return s.writeMailText(ctx, v, m)
}

// ResetMailText takes our words again. The row stays, so that an edit of older
// words is still noticed.
func (s *Store) ResetMailText(ctx context.Context, v portal.Visitor, m portal.MailText) error {
	m.Subject, m.Opening = "", ""
	return s.writeMailText(ctx, v, m)
}

func (s *Store) writeMailText(ctx context.Context, v portal.Visitor, m portal.MailText) error {
	return s.change(ctx, m.Portal, v, func(u *unit) error {
		if _, err := u.actor(ctx, portal.ChangeSettings); err != nil {
			return err
		}
		old, err := readMailText(ctx, u, m.Portal, m.Kind, m.Language)
		if err != nil {
			return err
		}
		if old.Version != m.Version {
			return errStale
		}
		if old == m {
			return nil
		}
		u.audit(portal.Event{Action: "mail_text.changed", Target: string(m.Kind) + " " + m.Language})
		_, err = u.ExecContext(ctx, `INSERT INTO mail_texts (portal, kind, language, version, subject, opening) VALUES ($1, $2, $3, $4, $5, $6)
			ON CONFLICT (portal, kind, language) DO UPDATE SET version = excluded.version, subject = excluded.subject, opening = excluded.opening`,
			m.Portal, string(m.Kind), m.Language, m.Version+1, m.Subject, m.Opening)
		return err
	})
}
