package store

import (
	"context"
	"fmt"
)

// Answers reports why the region's data cannot be read, or nil. It reads a row,
// because a connection alone says nothing of the tables, and on SQLite nothing at
// all.
func (s *Store) Answers(ctx context.Context) error {
	var n int
	if err := s.db.QueryRowContext(ctx, `SELECT COUNT(*) FROM (SELECT id FROM portals LIMIT 1) AS one`).Scan(&n); err != nil {
		return fmt.Errorf("read the portals: %w", err)
	}
	return nil
}
