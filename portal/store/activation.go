package store

import (
	"context"
	"database/sql"
	"errors"
	"slices"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/portal"
)

// PutApp says that people of a portal may use an app. Its kind is fixed.
func (s *Store) PutApp(ctx context.Context, a portal.App) (changed bool, err error) {
	if err := portal.CheckApp(a); err != nil {
		return false, err
	}
	err = s.change(ctx, a.Portal, portal.Visitor{}, func(u *unit) error {
		all, err := readApps(ctx, u, a.Portal)
		if err != nil {
			return err
		}
		if i := slices.IndexFunc(all, func(o portal.App) bool { return o.ID == a.ID }); i >= 0 {
			if all[i] == a {
				return nil
			}
			if all[i].Kind != a.Kind {
				return &discovery.Error{Kind: discovery.Conflict, Field: "kind", Code: "app_taken",
					Say: "There is an app of that id already, of another kind."}
			}
		}
		changed = true
		u.audit(portal.Event{Action: "app.put", Method: "operator", Target: a.ID})
		_, err = u.ExecContext(ctx, `INSERT INTO apps (portal, id, name, kind) VALUES ($1, $2, $3, $4)
			ON CONFLICT (portal, id) DO UPDATE SET name = excluded.name`, a.Portal, a.ID, a.Name, string(a.Kind))
		return err
	})
	return changed && err == nil, err
}

// Apps are those of a portal, by name.
func (s *Store) Apps(ctx context.Context, portalID string) ([]portal.App, error) {
	all, err := readApps(ctx, s.db, portalID)
	return all, failed("read apps", err)
}

func readApps(ctx context.Context, q querier, portalID string) ([]portal.App, error) {
	rows, err := q.QueryContext(ctx, `SELECT portal, id, name, kind FROM apps WHERE portal = $1 ORDER BY name, id`, portalID)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var out []portal.App
	for rows.Next() {
		var a portal.App
		if err := rows.Scan(&a.Portal, &a.ID, &a.Name, &a.Kind); err != nil {
			return nil, err
		}
		out = append(out, a)
	}
	return out, rows.Err()
}

const activationColumns = `n.id, n.portal, n.account, n.device, n.generation, n.created, n.used, n.removed, p.id, p.name, p.kind
	FROM activations n JOIN apps p ON p.portal = n.portal AND p.id = n.app`

func scanActivation(row scanner) (a portal.Activation, err error) {
	var created, used, removed int64
	err = row.Scan(&a.ID, &a.Portal, &a.Account, &a.Device, &a.Generation, &created, &used, &removed, &a.App.ID, &a.App.Name, &a.App.Kind)
	a.App.Portal, a.Created, a.Used, a.Removed = a.Portal, when(created), when(used), when(removed)
	return a, err
}

// Activations are those of an account, also the removed ones: what is active
// first, then by age.
func (s *Store) Activations(ctx context.Context, portalID, accountID string) ([]portal.Activation, error) {
	all, err := readActivations(ctx, s.db, portalID, accountID)
	return all, failed("read activations", err)
}

func readActivations(ctx context.Context, q querier, portalID, accountID string) ([]portal.Activation, error) {
	rows, err := q.QueryContext(ctx, `SELECT `+activationColumns+` WHERE n.account = $1 AND n.portal = $2 ORDER BY n.removed, n.created, n.id`, accountID, portalID)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var out []portal.Activation
	for rows.Next() {
		a, err := scanActivation(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, a)
	}
	return out, rows.Err()
}

var errNoApp = &discovery.Error{Kind: discovery.Invalid, Field: "app", Code: "app_unknown", Say: "Choose one of the apps in the list."}

// Activate lets an app on a device of its owner's act for an account, and tells
// the owner by mail.
func (s *Store) Activate(ctx context.Context, portalID string, v portal.Visitor, accountID, appID, device string) (made portal.Activation, err error) {
	if device, err = portal.DeviceName(device); err != nil {
		return made, err
	}
	err = s.change(ctx, portalID, v, func(u *unit) error {
		a, err := accountByID(ctx, u, portalID, accountID)
		if err != nil {
			return err
		}
		if a == nil || a.Status != portal.Active {
			return portal.ErrNoSession
		}
		apps, err := readApps(ctx, u, portalID)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(apps, func(p portal.App) bool { return p.ID == appID })
		if i < 0 {
			return errNoApp
		}
		others, err := readActivations(ctx, u, portalID, accountID)
		if err != nil {
			return err
		}
		if err := portal.Activate(apps[i], device, others); err != nil {
			return u.refuse(portal.Event{Account: a.ID, Action: "activation.refused", Target: apps[i].ID}, err)
		}
		made = portal.Activation{ID: newID(), Portal: portalID, Account: a.ID, App: apps[i], Device: device, Generation: 1, Created: u.now}
		_, err = u.ExecContext(ctx, `INSERT INTO activations (id, portal, account, app, device, generation, created, used, removed)
			VALUES ($1, $2, $3, $4, $5, $6, $7, 0, 0)`, made.ID, portalID, a.ID, appID, device, made.Generation, micros(u.now))
		if err != nil {
			return err
		}
		u.audit(portal.Event{Account: a.ID, Action: "activation.created", Target: made.ID})
		return u.post(ctx, a, portal.Letter{Kind: portal.ActivationLetter, App: made.App.Name, Device: made.Device})
	})
	return made, err
}

var errActivationUnknown = &discovery.Error{Kind: discovery.NotFound, Code: "activation_unknown"}

// activation is one of an account's; another's is refused like one that does not
// exist.
func (u *unit) activation(ctx context.Context, accountID, id string) (portal.Activation, error) {
	a, err := scanActivation(u.QueryRowContext(ctx, `SELECT `+activationColumns+` WHERE n.id = $1 AND n.portal = $2 AND n.account = $3`, id, u.portal, accountID))
	if errors.Is(err, sql.ErrNoRows) {
		return a, u.refuse(portal.Event{Account: accountID, Action: "access.refused", Target: anID(id)}, errActivationUnknown)
	}
	return a, err
}

// RemoveActivation takes from an app what it was given: nothing of it counts from
// now on. Who removes it once more changes nothing.
func (s *Store) RemoveActivation(ctx context.Context, portalID string, v portal.Visitor, accountID, id string) error {
	return s.change(ctx, portalID, v, func(u *unit) error {
		a, err := u.activation(ctx, accountID, id)
		if err != nil || !a.Removed.IsZero() {
			return err
		}
		_, err = u.ExecContext(ctx, `UPDATE activations SET removed = $1, generation = generation + 1 WHERE id = $2 AND removed = 0`, micros(u.now), id)
		if err != nil {
			return err
		}
		u.audit(portal.Event{Account: accountID, Action: "activation.removed", Target: id})
		return u.forgetActivations(ctx, accountID)
	})
}

// RestoreActivation makes a removed activation again: the same one, in a new
// generation, so that the app has its person sign in once more. The owner is told
// by mail.
func (s *Store) RestoreActivation(ctx context.Context, portalID string, v portal.Visitor, accountID, id string) error {
	return s.change(ctx, portalID, v, func(u *unit) error {
		gone, err := u.activation(ctx, accountID, id)
		if err != nil || gone.Removed.IsZero() {
			return err
		}
		a, err := accountByID(ctx, u, portalID, accountID)
		if err != nil {
			return err
		}
		if a == nil || a.Status != portal.Active {
			return portal.ErrNoSession
		}
		others, err := readActivations(ctx, u, portalID, accountID)
		if err != nil {
			return err
		}
		if err := portal.Activate(gone.App, gone.Device, others); err != nil {
			return u.refuse(portal.Event{Account: a.ID, Action: "activation.refused", Target: id}, err)
		}
		_, err = u.ExecContext(ctx, `UPDATE activations SET removed = 0, generation = generation + 1 WHERE id = $1`, id)
		if err != nil {
			return err
		}
		u.audit(portal.Event{Account: a.ID, Action: "activation.restored", Target: id})
		return u.post(ctx, a, portal.Letter{Kind: portal.ActivationLetter, App: gone.App.Name, Device: gone.Device})
	})
}

// removeActivations removes all activations of an account, for its safety.
func (u *unit) removeActivations(ctx context.Context, accountID string) error {
	rows, err := u.QueryContext(ctx, `UPDATE activations SET removed = $1, generation = generation + 1 WHERE account = $2 AND removed = 0 RETURNING id`,
		micros(u.now), accountID)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return err
		}
		u.audit(portal.Event{Account: accountID, Action: "activation.removed", Method: "security", Target: id})
	}
	if err := rows.Err(); err != nil {
		return err
	}
	return u.forgetActivations(ctx, accountID)
}

// forgetActivations keeps as many removed ones as the rules say.
func (u *unit) forgetActivations(ctx context.Context, accountID string) error {
	_, err := u.ExecContext(ctx, `DELETE FROM activations WHERE account = $1 AND removed > 0 AND id NOT IN
		(SELECT id FROM activations WHERE account = $1 AND removed > 0 ORDER BY removed DESC, id LIMIT $2)`, accountID, portal.KeptActivations)
	return err
}

// LiveActivation is the activation that something an app shows names, with the
// account it names, if [portal.Activation.Live] lets it count: otherwise
// portal.ErrNoActivation. Use is written down at most once a minute. Every
// request of an app asks this anew.
func (s *Store) LiveActivation(ctx context.Context, portalID, id string, generation int64, accountID string) (portal.Activation, portal.Account, error) {
	a, err := scanActivation(s.db.QueryRowContext(ctx, `SELECT `+activationColumns+` WHERE n.id = $1 AND n.portal = $2`, id, portalID))
	if errors.Is(err, sql.ErrNoRows) {
		return portal.Activation{}, portal.Account{}, portal.ErrNoActivation
	}
	if err != nil {
		return portal.Activation{}, portal.Account{}, failed("read activation", err)
	}
	owner, err := accountByID(ctx, s.db, portalID, accountID)
	if err != nil {
		return portal.Activation{}, portal.Account{}, failed("read account", err)
	}
	if owner == nil {
		return portal.Activation{}, portal.Account{}, portal.ErrNoActivation
	}
	if err := a.Live(generation, owner.Account); err != nil {
		return portal.Activation{}, portal.Account{}, err
	}
	if now := s.now(); now.Sub(a.Used) >= portal.SeenEvery {
		if _, err := s.db.ExecContext(ctx, `UPDATE activations SET used = $1 WHERE id = $2`, micros(now), id); err != nil {
			return portal.Activation{}, portal.Account{}, failed("touch activation", err)
		}
		a.Used = now
	}
	return a, owner.Account, nil
}
