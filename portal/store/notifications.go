package store

import (
	"context"

	"github.com/domicile-sso/domicile/portal"
)

// PutNotifications replaces what a portal's mails and dates go by, if it is still
// what was edited: set.NotificationsVersion is the version of that.
func (s *Store) PutNotifications(ctx context.Context, portalID string, v portal.Visitor, set portal.Settings) error {
	return s.editSettings(ctx, portalID, v, func(u *unit, old portal.Settings) (portal.Settings, error) {
		if old.NotificationsVersion != set.NotificationsVersion {
			return old, errStale
		}
		now := old.WithNotifications(set)
		now.NotificationsVersion++
		if err := portal.CheckNotifications(now); err != nil || now.Sender == "" || now.Sender == old.Sender {
			return now, err
		}
		_, why, err := sender(ctx, u, now, u.now)
		if err == nil {
			err = why
		}
		return now, err
	})
}
