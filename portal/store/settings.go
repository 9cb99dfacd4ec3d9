package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/portal"
)

const settingsColumns = `portal, notifications, zone, language, sender, policy, second_factor, trust_days,
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
		Scan(&set.Portal, &set.NotificationsVersion, &set.Zone, &set.Language, &set.Sender, &set.PolicyVersion, &set.SecondFactor, &set.TrustDays,
			&idle, &absolute, &keptIdle, &keptAbsolute, &set.PasswordMin, &set.KeepSigned, &set.Contact)
	if errors.Is(err, sql.ErrNoRows) {
		return set, errNoPortal
	}
	set.Lifetimes = portal.Lifetimes{Idle: seconds(idle), Absolute: seconds(absolute), KeptIdle: seconds(keptIdle), KeptAbsolute: seconds(keptAbsolute)}
	return set, err
}

func seconds(n int64) time.Duration { return time.Duration(n) * time.Second }

func (u *unit) insertSettings(ctx context.Context, set portal.Settings) error {
	_, err := u.ExecContext(ctx, `INSERT INTO settings (`+settingsColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`,
		settingsValues(set)...)
	return err
}

func settingsValues(set portal.Settings) []any {
	l := set.Lifetimes
	return []any{set.Portal, set.NotificationsVersion, set.Zone, set.Language, set.Sender, set.PolicyVersion, string(set.SecondFactor), set.TrustDays,
		int64(l.Idle / time.Second), int64(l.Absolute / time.Second), int64(l.KeptIdle / time.Second), int64(l.KeptAbsolute / time.Second), set.PasswordMin}
}

// errStale: somebody has saved meanwhile what is being edited.
var errStale = &discovery.Error{Kind: discovery.Conflict, Code: "stale_version",
	Say: "This was changed in the meantime. Compare what is there now with what you typed, and save again."}

// editSettings is one page of settings being saved. edit says what they become,
// from what they are now, and why they may not. The audit log is told which
// settings changed, and no value.
func (s *Store) editSettings(ctx context.Context, portalID string, v portal.Visitor, edit func(u *unit, old portal.Settings) (portal.Settings, error)) error {
	return s.change(ctx, portalID, v, func(u *unit) error {
		if _, err := u.actor(ctx, portal.ChangeSettings); err != nil {
			return err
		}
		old, err := readSettings(ctx, u, portalID)
		if err != nil {
			return err
		}
		set, err := edit(u, old)
		if err != nil {
			return err
		}
		changed := portal.ChangedSettings(old, set)
		if len(changed) == 0 {
			return nil
		}
		for _, name := range changed {
			u.audit(portal.Event{Action: "settings.changed", Target: name})
		}
		_, err = u.ExecContext(ctx, `UPDATE settings SET notifications = $2, zone = $3, language = $4, sender = $5, policy = $6,
			second_factor = $7, trust_days = $8, session_idle = $9, session_absolute = $10, kept_idle = $11, kept_absolute = $12, password_min = $13
			WHERE portal = $1`, settingsValues(set)...)
		if err != nil || old.KeepSigned == set.KeepSigned && old.Contact == set.Contact {
			return err
		}
		u.publish(portal.PortalChanged, "")
		_, err = u.ExecContext(ctx, `UPDATE portals SET keep_signed = $1, contact = $2 WHERE id = $3`, set.KeepSigned, set.Contact, portalID)
		return err
	})
}
