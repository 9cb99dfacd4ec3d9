package store

import (
	"context"
	"database/sql"
	"errors"
	"reflect"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/portal"
)

const planColumns = `p.portal, p.id, p.name, p.kind, p.features, p.seats, p.messages, p.cap, p.months, p.place`

// scanPlan reads the columns of a plan, and those around them.
func scanPlan(row scanner, before []any, after ...any) (p portal.Plan, err error) {
	var features string
	dest := append(before, &p.Portal, &p.ID, &p.Name, &p.Kind, &features, &p.Seats, &p.Messages, &p.Cap, &p.Months, &p.Place)
	err = row.Scan(append(dest, after...)...)
	p.Features = portal.ParseFeatures(features)
	return p, err
}

// insertPlans gives a new portal the plans it can start with.
func (u *unit) insertPlans(ctx context.Context, portalID string) error {
	_, err := u.ExecContext(ctx, `INSERT INTO plans (portal, id, name, kind, features, seats, messages, cap, months, place) VALUES
		($1, 'guest', 'Guest', 'guest', '', 0, 10, 100, 0, 0),
		($1, 'professional', 'Professional', 'professional', 'self-release', 0, 0, 10000, 12, 1),
		($1, 'pro', 'Professional Pro', 'professional', 'pro self-release', 0, 0, 20000, 12, 2)`, portalID)
	return err
}

// PlanSeats is a plan with the number of accounts that have it and are not
// disabled.
type PlanSeats struct {
	portal.Plan
	Used int64
}

// Plans are what a portal has licences of, the lowest place first.
func (s *Store) Plans(ctx context.Context, portalID string) ([]PlanSeats, error) {
	all, err := readPlans(ctx, s.db, portalID)
	return all, failed("read plans", err)
}

func readPlans(ctx context.Context, q querier, portalID string) ([]PlanSeats, error) {
	rows, err := q.QueryContext(ctx, `SELECT `+planColumns+`, COALESCE(t.n, 0)
		FROM plans p LEFT JOIN tallies t ON t.portal = p.portal AND t.name = 'plan:' || p.id
		WHERE p.portal = $1 ORDER BY p.place, p.id`, portalID)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var all []PlanSeats
	for rows.Next() {
		var one PlanSeats
		if one.Plan, err = scanPlan(rows, nil, &one.Used); err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, rows.Err()
}

// errNoPlan: the portal has no plan of that ID.
var errNoPlan = &discovery.Error{Kind: discovery.Invalid, Field: "plan", Code: "plan_unknown", Say: "Choose one of the plans."}

// planSeats is one plan, and how many accounts have it.
func planSeats(ctx context.Context, q querier, portalID, id string) (p portal.Plan, used int64, err error) {
	p, err = scanPlan(q.QueryRowContext(ctx, `SELECT `+planColumns+`, COALESCE(t.n, 0)
		FROM plans p LEFT JOIN tallies t ON t.portal = p.portal AND t.name = 'plan:' || p.id
		WHERE p.portal = $1 AND p.id = $2`, portalID, id), nil, &used)
	if errors.Is(err, sql.ErrNoRows) {
		err = errNoPlan
	}
	return p, used, err
}

// PutPlan sets a plan of a portal. Whoever has it keeps it, also where there are
// fewer seats from now on than people in them: nobody else gets it then.
func (s *Store) PutPlan(ctx context.Context, p portal.Plan) (changed bool, err error) {
	if err := p.Check(); err != nil {
		return false, err
	}
	err = s.change(ctx, p.Portal, portal.Visitor{}, func(u *unit) error {
		was, _, err := planSeats(ctx, u, p.Portal, p.ID)
		if err != nil && !errors.Is(err, errNoPlan) {
			return err
		}
		if reflect.DeepEqual(was, p) {
			return nil
		}
		changed = true
		u.audit(portal.Event{Action: "plan.changed", Method: "operator", Target: p.ID})
		_, err = u.ExecContext(ctx, `INSERT INTO plans (portal, id, name, kind, features, seats, messages, cap, months, place)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
			ON CONFLICT (portal, id) DO UPDATE SET name = excluded.name, kind = excluded.kind, features = excluded.features, seats = excluded.seats,
			messages = excluded.messages, cap = excluded.cap, months = excluded.months, place = excluded.place`,
			p.Portal, p.ID, p.Name, string(p.Kind), p.FeatureText(), p.Seats, p.Messages, p.Cap, p.Months, p.Place)
		return err
	})
	return changed && err == nil, err
}

// LetRelease decides whether people may give back licences of a plan by
// themselves (S31).
func (s *Store) LetRelease(ctx context.Context, portalID string, v portal.Visitor, plan string, may bool) error {
	return s.change(ctx, portalID, v, func(u *unit) error {
		if _, err := u.actor(ctx, portal.AssignLicences); err != nil {
			return err
		}
		p, _, err := planSeats(ctx, u, portalID, plan)
		if err != nil || p.Has(portal.SelfRelease) == may {
			return err
		}
		u.audit(portal.Event{Account: u.visitor.Actor, Action: "plan.changed", Target: p.ID})
		_, err = u.ExecContext(ctx, `UPDATE plans SET features = $1 WHERE portal = $2 AND id = $3`, p.With(portal.SelfRelease, may).FeatureText(), portalID, plan)
		return err
	})
}
