package store

import (
	"context"
	"strconv"
	"strings"

	"github.com/domicile-sso/domicile/discovery"
)

// atOnce is how many entries one statement reads or writes: a region that
// publishes everything again sends millions, and each statement is a way to the
// database and back. Not more: PostgreSQL, which plans a statement once for a
// connection, takes the index for so many even where the table was empty then,
// and would walk the whole of it for fifty.
const atOnce = 25

// entry takes one claim of an entry in. Claims of entries that follow each other
// are written together, by flush.
func (a *application) entry(ctx context.Context, seq int64, gone bool, e discovery.Entry) error {
	if gone {
		if err := a.flush(ctx); err != nil {
			return err
		}
		a.touched = append(a.touched, e.Blind)
		_, err := a.tx.ExecContext(ctx, `DELETE FROM entries WHERE blind = $1 AND portal = $2 AND region = $3`, e.Blind[:], e.Portal, a.record.Region)
		return err
	}
	if err := e.Check(); err != nil {
		a.refuse(seq, named(e.Portal), discovery.CodeEntry, err)
		return nil
	}
	if mine, err := a.mine(ctx, e.Portal); err != nil || !mine {
		a.refuseForeign(seq, e.Portal, err)
		return err
	}
	a.waiting = append(a.waiting, waiting{seq, e})
	if len(a.waiting) < atOnce {
		return nil
	}
	return a.flush(ctx)
}

// waiting is a claim of an entry that has not been written yet.
type waiting struct {
	seq int64
	discovery.Entry
}

// flush writes the entries that wait, as if one by one.
func (a *application) flush(ctx context.Context) error {
	if len(a.waiting) == 0 {
		return nil
	}
	held, err := a.held(ctx)
	if err != nil {
		return err
	}
	last := make(map[entryKey]int, len(a.waiting)) // where the last word on an entry is
	var rows []entryRow
	for _, w := range a.waiting {
		portals := held[w.Blind]
		if !portals[w.Portal] {
			if len(portals) >= discovery.MaxPortals {
				a.refuse(w.seq, w.Portal, discovery.CodeManyPortals, errMany)
				continue
			}
			if portals == nil {
				portals = make(map[string]bool, 1)
				held[w.Blind] = portals
			}
			portals[w.Portal] = true
		}
		a.touched = append(a.touched, w.Blind)
		row := entryRow{w.Blind[:], w.Portal, a.record.Region, joinWays(w.SignIn), w.seq}
		key := entryKey{w.Blind, w.Portal}
		if at, again := last[key]; again { // one statement may not write a row twice
			rows[at] = row
			continue
		}
		last[key] = len(rows)
		rows = append(rows, row)
	}
	a.waiting = a.waiting[:0]
	return a.write(ctx, rows)
}

type entryKey struct {
	blind  discovery.BlindID
	portal string
}

// held are the portals that this region has already claimed each waiting blind
// ID for.
func (a *application) held(ctx context.Context) (map[discovery.BlindID]map[string]bool, error) {
	args := make([]any, len(a.waiting))
	for i := range a.waiting {
		args[i] = a.waiting[i].Blind[:]
	}
	// The region is compared here: named in the statement, it is an index that a
	// database without statistics would rather walk.
	rows, err := a.tx.QueryContext(ctx, `SELECT blind, portal, region FROM entries WHERE blind IN (`+marks(1, len(a.waiting))+`)`, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	held := make(map[discovery.BlindID]map[string]bool, len(a.waiting))
	for rows.Next() {
		var blind []byte
		var portal, region string
		if err := rows.Scan(&blind, &portal, &region); err != nil {
			return nil, err
		}
		if region != a.record.Region {
			continue
		}
		var id discovery.BlindID
		copy(id[:], blind)
		if held[id] == nil {
			held[id] = make(map[string]bool, 1)
		}
		held[id][portal] = true
	}
	return held, rows.Err()
}

func (a *application) write(ctx context.Context, rows []entryRow) error {
	if len(rows) == 0 {
		return nil
	}
	const columns = 6
	values := make([]string, len(rows))
	args := make([]any, 0, len(rows)*columns)
	for i, row := range rows {
		values[i] = "(" + marks(1+i*columns, columns) + ")"
		args = append(args, row.blind, row.portal, row.region, row.signIn, row.seq, a.tags.tag(row))
	}
	_, err := a.tx.ExecContext(ctx, `
		INSERT INTO entries (blind, portal, region, sign_in, seq, tag) VALUES `+strings.Join(values, ", ")+`
		ON CONFLICT (blind, portal, region) DO UPDATE SET sign_in = excluded.sign_in, seq = excluded.seq, tag = excluded.tag`, args...)
	return err
}

// marks are n parameters, the first of them with that number.
func marks(first, n int) string {
	list := make([]string, n)
	for i := range list {
		list[i] = "$" + strconv.Itoa(first+i)
	}
	return strings.Join(list, ", ")
}
