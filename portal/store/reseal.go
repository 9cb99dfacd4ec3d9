package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/domicile-sso/domicile/portal"
)

// A sealedColumn holds what the vault has sealed. place names a row as it was
// named when it was sealed.
type sealedColumn struct {
	what               string // for people
	table, key, column string
	also               string // SQL text that place needs besides the key
	none               any    // sorts before every key
	place              func(key any, also string) string
}

// sealedColumns are all there are: a data key may be destroyed when none of them
// holds anything that it sealed.
var sealedColumns = []sealedColumn{
	{"client secrets of connections", "connections", "id", "secret", `''`, "",
		func(id any, _ string) string { return fmt.Sprint("connection secret ", id) }},
	{"keys of connections", "connections", "id", "key_pair", `''`, "",
		func(id any, _ string) string { return fmt.Sprint("connection keys ", id) }},
	{"letters to be sent", "letters", "id", "sealed", `''`, "",
		func(id any, _ string) string { return fmt.Sprint("letter ", id) }},
	{"sign-ins under way", "federations", "state", "sealed", `portal || ' ' || connection`, []byte{},
		func(_ any, at string) string { return "federation " + at }},
	{"tokens of sessions", "sessions", "digest", "id_token", `''`, []byte{},
		func(digest any, _ string) string { b, _ := digest.([]byte); return idTokenPlace(b) }},
	{"tokens of half sign-ins", "passed", "attempt", "id_token", `''`, []byte{},
		func(digest any, _ string) string { b, _ := digest.([]byte); return fmt.Sprintf("passed %x", b) }},
	{"second factors", "factors", "id", "sealed", `''`, "",
		func(id any, _ string) string { return fmt.Sprint("factor ", id) }},
	{"challenges under way", "challenges", "id", "sealed", `''`, "",
		func(id any, _ string) string { return fmt.Sprint("challenge ", id) }},
	{"files being imported", "imports", "id", "sealed", `''`, "",
		func(id any, _ string) string { return fmt.Sprint("import ", id) }},
}

// Sealed counts the values of one kind by the data key that sealed them.
type Sealed struct {
	What    string
	Current int64 // by the first key
	Older   int64 // by another one in the list
	Unknown int64 // by none in the list: they do not open
}

// SealedValues says how much is sealed by which key.
func (s *Store) SealedValues(ctx context.Context) ([]Sealed, error) {
	out := make([]Sealed, len(sealedColumns))
	for i, c := range sealedColumns {
		out[i].What = c.what
		if err := s.countSealed(ctx, c, &out[i]); err != nil {
			return nil, failed("count sealed values", err)
		}
	}
	return out, nil
}

func (s *Store) countSealed(ctx context.Context, c sealedColumn, into *Sealed) error {
	rows, err := s.db.QueryContext(ctx, `SELECT substr(`+c.column+`, 1, 4), COUNT(*) FROM `+c.table+
		` WHERE length(`+c.column+`) > 0 GROUP BY substr(`+c.column+`, 1, 4)`)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var id []byte
		var n int64
		if err := rows.Scan(&id, &n); err != nil {
			return err
		}
		switch which := s.vault.Which(id); {
		case which == 0:
			into.Current += n
		case which > 0:
			into.Older += n
		default:
			into.Unknown += n
		}
	}
	return rows.Err()
}

const resealAtOnce = 500

// Reseal seals anew, by the first data key, what an older one has sealed, and
// says how many values that were. It may run beside servers of the region, be
// ended at any time and be repeated. A value that does not open stays as it is.
func (s *Store) Reseal(ctx context.Context) (done int64, err error) {
	for _, c := range sealedColumns {
		n, err := s.resealColumn(ctx, c)
		done += n
		if err != nil {
			return done, failed("reseal "+c.what, err)
		}
	}
	return done, nil
}

type sealedValue struct {
	key    any
	place  string
	sealed []byte
}

func (s *Store) resealColumn(ctx context.Context, c sealedColumn) (done int64, err error) {
	after := c.none
	for {
		batch, err := s.sealedByOlder(ctx, c, after)
		if err != nil || len(batch) == 0 {
			return done, err
		}
		for _, v := range batch {
			after = v.key
			plain, err := s.vault.Open(v.place, v.sealed)
			if errors.Is(err, portal.ErrSealed) {
				continue
			}
			if err != nil {
				return done, err
			}
			fresh, err := s.vault.Seal(v.place, plain)
			if err != nil {
				return done, err
			}
			// What was changed meanwhile was sealed anew by that.
			ok, err := one(ctx, s.db, `UPDATE `+c.table+` SET `+c.column+` = $1 WHERE `+c.key+` = $2 AND `+c.column+` = $3`, fresh, v.key, v.sealed)
			if err != nil {
				return done, err
			}
			if ok {
				done++
			}
		}
	}
}

func (s *Store) sealedByOlder(ctx context.Context, c sealedColumn, after any) ([]sealedValue, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT `+c.key+`, `+c.also+`, `+c.column+` FROM `+c.table+
		` WHERE `+c.key+` > $1 AND length(`+c.column+`) > 0 AND substr(`+c.column+`, 1, 4) <> $2 ORDER BY `+c.key+` LIMIT $3`,
		after, s.vault.KeyID(), resealAtOnce)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var out []sealedValue
	for rows.Next() {
		var v sealedValue
		var also string
		if err := rows.Scan(&v.key, &also, &v.sealed); err != nil {
			return nil, err
		}
		v.place = c.place(v.key, also)
		out = append(out, v)
	}
	return out, rows.Err()
}
