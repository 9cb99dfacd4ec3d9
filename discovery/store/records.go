package store

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
)

// SaveRecords keeps the signed region records that the catalogue has accepted,
// so that after a restart an older one is still a roll-back. Of each region the
// one with the highest version is kept.
func (s *Store) SaveRecords(ctx context.Context, signed []string) error {
	if err := s.contact.usable(); err != nil {
		return fmt.Errorf("save region records: %w", err)
	}
	for _, text := range signed {
		region, version, err := describe(text)
		if err != nil {
			return fmt.Errorf("save region records: %w", err)
		}
		if _, err := s.db.ExecContext(ctx, `
			INSERT INTO records (region, version, signed) VALUES ($1, $2, $3)
			ON CONFLICT (region) DO UPDATE SET version = excluded.version, signed = excluded.signed
			WHERE excluded.version > records.version`, region, version, text); err != nil {
			s.metrics.failures.WithLabelValues("records").Inc()
			return fmt.Errorf("save region records: %w", err)
		}
	}
	return nil
}

// LoadRecords returns what SaveRecords kept, for regions.Catalogue.Apply, which
// verifies each one afresh.
func (s *Store) LoadRecords(ctx context.Context) ([]string, error) {
	if err := s.contact.usable(); err != nil {
		return nil, fmt.Errorf("load region records: %w", err)
	}
	rows, err := s.db.QueryContext(ctx, `SELECT signed FROM records ORDER BY region`)
	if err != nil {
		s.metrics.failures.WithLabelValues("records").Inc()
		return nil, fmt.Errorf("load region records: %w", err)
	}
	defer rows.Close()
	var signed []string
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return nil, fmt.Errorf("load region records: %w", err)
		}
		signed = append(signed, text)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("load region records: %w", err)
	}
	return signed, nil
}

// describe reads the key of a row out of a record. Whether the record is true
// is no question here: the catalogue has answered it, and will again.
func describe(signed string) (region string, version int64, err error) {
	parts := strings.Split(signed, ".")
	if len(parts) != 3 {
		return "", 0, fmt.Errorf("not a signed record")
	}
	body, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return "", 0, fmt.Errorf("not a signed record: %w", err)
	}
	var r struct {
		Region  string `json:"region"`
		Version int64  `json:"version"`
	}
	if err := json.Unmarshal(body, &r); err != nil || r.Region == "" {
		return "", 0, fmt.Errorf("not a signed record")
	}
	return r.Region, r.Version, nil
}
