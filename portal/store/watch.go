package store

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"time"

	"github.com/domicile-sso/domicile/federation"
)

// MailQueue is how many letters wait, and for how long the oldest of them has.
func (s *Store) MailQueue(ctx context.Context) (letters int, age time.Duration, err error) {
	now := s.now()
	var queued int64
	err = s.db.QueryRowContext(ctx, `SELECT COUNT(*), COALESCE(MIN(queued), 0) FROM letters WHERE expires > $1`, micros(now)).Scan(&letters, &queued)
	if err != nil || letters == 0 {
		return 0, 0, failed("read mail queue", err)
	}
	return letters, max(now.Sub(when(queued)), 0), nil
}

// A CertificateEnd is when the last certificate of a SAML connection's identity
// provider ends: nobody signs in by it from then on.
type CertificateEnd struct {
	Portal, Connection string
	End                time.Time
}

// CertificateEnds looks at every SAML connection of the region. No secret is
// read.
func (s *Store) CertificateEnds(ctx context.Context) ([]CertificateEnd, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT portal, id, settings FROM connections WHERE kind = $1`, string(federation.SAML))
	if err != nil {
		return nil, failed("read connections", err)
	}
	defer func() { _ = rows.Close() }()
	var ends []CertificateEnd
	for rows.Next() {
		var e CertificateEnd
		var text string
		if err := rows.Scan(&e.Portal, &e.Connection, &text); err != nil {
			return nil, failed("read connections", err)
		}
		var set settings
		if err := json.Unmarshal([]byte(text), &set); err != nil {
			return nil, failed("read connections", fmt.Errorf("decode settings of %s: %w", e.Connection, err))
		}
		if set.SAML != nil {
			e.End = lastEnd(set.SAML.Certificates)
			ends = append(ends, e)
		}
	}
	return ends, failed("read connections", rows.Err())
}

func lastEnd(certificates [][]byte) (last time.Time) {
	for _, der := range certificates {
		if c, err := x509.ParseCertificate(der); err == nil && c.NotAfter.After(last) {
			last = c.NotAfter
		}
	}
	return last
}
