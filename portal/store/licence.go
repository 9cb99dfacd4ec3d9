package store

import "context"

// insertPlans gives a new portal the plans it can start with.
func (u *unit) insertPlans(ctx context.Context, portalID string) error {
	_, err := u.ExecContext(ctx, `INSERT INTO plans (portal, id, name, kind, features, seats, messages, cap, months, place) VALUES
		($1, 'guest', 'Guest', 'guest', '', 0, 10, 100, 0, 0),
		($1, 'professional', 'Professional', 'professional', '', 0, 0, 10000, 12, 1),
		($1, 'pro', 'Professional Pro', 'professional', 'pro', 0, 0, 20000, 12, 2)`, portalID)
	return err
}
