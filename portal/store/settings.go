package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/portal"
)

const settingsColumns = `portal, version, zone, language, sender, second_factor, trust_days,
	session_idle, session_absolute, kept_idle, kept_absolute, password_min`

// Settings are what the administrators of a portal have decided.
func (s *Store) Settings(ctx context.Context, portalID string) (portal.Settings, error) {
	set, err := readSettings(ctx, s.db, portalID)
	return set, failed("read settings", err)
}

func readSettings(ctx context.Context, q querier, portalID string) (set portal.Settings, err error) {
	var idle, absolute, keptIdle, keptAbsolute int64
	err = q.QueryRowContext(ctx, `SELECT `+settingsColumns+`, p.keep_signed, p.contact
		FROM settings JOIN portals p ON p.id = portal WHERE portal = $1`, portalID).
		Scan(&set.Portal, &set.Version, &set.Zone, &set.Language, &set.Sender, &set.SecondFactor, &set.TrustDays,
			&idle, &absolute, &keptIdle, &keptAbsolute, &set.PasswordMin, &set.KeepSigned, &set.Contact)
	if errors.Is(err, sql.ErrNoRows) {
		return set, errNoPortal
	}
	set.Lifetimes = portal.Lifetimes{Idle: seconds(idle), Absolute: seconds(absolute), KeptIdle: seconds(keptIdle), KeptAbsolute: seconds(keptAbsolute)}
	return set, err
}

func seconds(n int64) time.Duration { return time.Duration(n) * time.Second }

func (u *unit) insertSettings(ctx context.Context, set portal.Settings) error {
	_, err := u.ExecContext(ctx, `INSERT INTO settings (`+settingsColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`,
		settingsValues(set)...)
	return err
}

func settingsValues(set portal.Settings) []any {
	l := set.Lifetimes
	return []any{set.Portal, set.Version, set.Zone, set.Language, set.Sender, string(set.SecondFactor), set.TrustDays,
		int64(l.Idle / time.Second), int64(l.Absolute / time.Second), int64(l.KeptIdle / time.Second), int64(l.KeptAbsolute / time.Second), set.PasswordMin}
}

// errStale: somebody has saved meanwhile what is being edited.
var errStale = &discovery.Error{Kind: discovery.Conflict, Code: "stale_version",
	Say: "This was changed in the meantime. Compare what is there now with what you typed, and save again."}

// putSettings replaces the settings, if they are still those that were edited.
func (u *unit) putSettings(ctx context.Context, set portal.Settings) error {
	ok, err := one(ctx, u, `UPDATE settings SET version = version + 1, zone = $3, language = $4, sender = $5, second_factor = $6, trust_days = $7,
		session_idle = $8, session_absolute = $9, kept_idle = $10, kept_absolute = $11, password_min = $12
		WHERE portal = $1 AND version = $2`, settingsValues(set)...)
	if err == nil && !ok {
		return errStale
	}
	return err
}

// PutSettings replaces what the administrators of a portal have decided, if it
// is still what was edited: set.Version is the version of that. The audit log is
// told which settings, and no value.
func (s *Store) PutSettings(ctx context.Context, portalID string, v portal.Visitor, set portal.Settings) error {
	set.Portal = portalID
	return s.change(ctx, portalID, v, func(u *unit) error {
		if _, err := u.actor(ctx, portal.ChangeSettings); err != nil {
			return err
		}
		old, err := readSettings(ctx, u, portalID)
		if err != nil {
			return err
		}
		if old.Version != set.Version {
			return errStale
		}
		if err := u.checkSettings(ctx, old, set); err != nil {
			return err
		}
		changed := portal.ChangedSettings(old, set)
		if len(changed) == 0 {
			return nil
		}
		for _, name := range changed {
			u.audit(portal.Event{Action: "settings.changed", Target: name})
		}
		if err := u.putSettings(ctx, set); err != nil {
			return err
		}
		if set.TrustDays < old.TrustDays {
			if err := u.trustLess(ctx, set.TrustDays); err != nil {
				return err
			}
		}
		if old.KeepSigned == set.KeepSigned && old.Contact == set.Contact {
			return nil
		}
		u.publish(portal.PortalChanged, "")
		_, err = u.ExecContext(ctx, `UPDATE portals SET keep_signed = $1, contact = $2 WHERE id = $3`, set.KeepSigned, set.Contact, portalID)
		return err
	})
}

// trustLess ends trust in browsers that goes on for longer than is allowed now:
// allowing more again does not bring it back.
func (u *unit) trustLess(ctx context.Context, days int) error {
	until := int64(0)
	if days > 0 {
		until = micros(u.now.Add(time.Duration(days) * 24 * time.Hour))
	}
	_, err := u.ExecContext(ctx, `UPDATE devices SET trusted = $1 WHERE trusted > $1 AND account IN (SELECT id FROM accounts WHERE portal = $2)`, until, u.portal)
	return err
}

func (u *unit) checkSettings(ctx context.Context, old, set portal.Settings) error {
	if err := portal.CheckNotifications(set); err != nil {
		return err
	}
	if err := portal.CheckPolicy(set, u.s.Lifetimes); err != nil {
		return err
	}
	if set.Sender == "" || set.Sender == old.Sender {
		return nil
	}
	_, why, err := sender(ctx, u, set, u.now)
	if err != nil {
		return err
	}
	return why
}
