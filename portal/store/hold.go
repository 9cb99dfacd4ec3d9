package store

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/portal"
)

// versionsOf names the versions of the blinding key that addresses are claimed
// under. Their order says nothing: all of them are claimed.
func versionsOf(keys discovery.BlindKeys) string {
	versions := make([]int, len(keys))
	for i, k := range keys {
		versions[i] = int(k.Version)
	}
	slices.Sort(versions)
	text := make([]string, len(versions))
	for i, v := range versions {
		text[i] = strconv.Itoa(v)
	}
	return strings.Join(text, ",")
}

var errHeld = errors.New("another process of the region claims under other blind keys")

// Hold reports whether this process is to publish, which all do that have the
// same versions of the blinding key. While a key is being rotated there are
// processes with older and newer lists, and claims of the one would bury those of
// the other: whoever has started last is believed to have the newest list, and
// everything is queued again to be claimed under it. The others leave publishing
// to those with that list, unless none has been seen for portal.HoldFor.
func (s *Store) Hold(ctx context.Context, keys discovery.BlindKeys, started bool) (mine bool, err error) {
	versions, now := versionsOf(keys), s.now()
	held, seen, _, err := s.holder(ctx)
	if err != nil {
		return false, failed("read outbox", err)
	}
	silent := now.Sub(when(seen)) // negative after a clock was set back
	if held == versions && silent >= 0 && silent < portal.HoldFor/8 {
		return true, nil
	}
	if held != versions && !started && silent < portal.HoldFor {
		return false, nil
	}
	err = s.change(ctx, "", portal.Visitor{}, func(u *unit) error {
		// The row is the lock of all who publish or change.
		var held string
		var last int64
		if err := u.QueryRowContext(ctx, `UPDATE outbox_counter SET seen = $1 WHERE id = 1 RETURNING versions, last`, micros(now)).Scan(&held, &last); err != nil {
			return err
		}
		if held == versions {
			return nil
		}
		if _, err := u.ExecContext(ctx, `UPDATE outbox_counter SET versions = $1 WHERE id = 1`, versions); err != nil {
			return err
		}
		if held == "" && last == 0 {
			return nil // nothing has been claimed under any
		}
		return u.republish(ctx)
	})
	return err == nil, err
}

func (s *Store) holder(ctx context.Context) (versions string, seen, acked int64, err error) {
	err = s.db.QueryRowContext(ctx, `SELECT versions, seen, acked FROM outbox_counter WHERE id = 1`).Scan(&versions, &seen, &acked)
	return versions, seen, acked, err
}

// Published are the versions of the blinding key that this region claims its
// addresses under, such as "1,2", and how many changes the directory has not
// confirmed: with none, there is nothing left under any other version.
func (s *Store) Published(ctx context.Context) (versions string, waiting int64, err error) {
	versions, _, _, err = s.holder(ctx)
	if err == nil {
		err = s.db.QueryRowContext(ctx, `SELECT COUNT(*) FROM outbox`).Scan(&waiting)
	}
	return versions, waiting, failed("read outbox", err)
}
