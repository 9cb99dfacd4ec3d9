package store

import (
	"context"
	"errors"
	"fmt"
)

// ErrElsewhere means that a database is another region's.
var ErrElsewhere = errors.New("the database is another region's")

// Settle makes a database that is nobody's yet that region's, for good, and
// refuses one that is another's: the people in it are kept in one jurisdiction,
// and a process or an operator of another one got here by mistake.
func (s *Store) Settle(ctx context.Context, region, jurisdiction string) error {
	name, _, err := s.home(ctx)
	if err == nil && name == "" {
		// Of two who come at once, one is first.
		_, err = s.db.ExecContext(ctx, `UPDATE home SET region = $1, jurisdiction = $2 WHERE id = 1 AND region = ''`, region, jurisdiction)
	}
	if err != nil {
		return failed("settle", err)
	}
	return s.Belongs(ctx, region, jurisdiction)
}

// Belongs refuses a database that is another region's.
func (s *Store) Belongs(ctx context.Context, region, jurisdiction string) error {
	name, law, err := s.home(ctx)
	if err != nil {
		return failed("read whose database it is", err)
	}
	if name != "" && (name != region || law != jurisdiction) {
		return fmt.Errorf("%w: it keeps the people of %s (%s), and the configuration is of %s (%s)", ErrElsewhere, name, law, region, jurisdiction)
	}
	return nil
}

func (s *Store) home(ctx context.Context) (region, jurisdiction string, err error) {
	err = s.db.QueryRowContext(ctx, `SELECT region, jurisdiction FROM home WHERE id = 1`).Scan(&region, &jurisdiction)
	return region, jurisdiction, err
}
