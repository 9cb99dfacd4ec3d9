package store

import (
	"context"
	"fmt"
	"strings"

	"github.com/domicile-sso/domicile/portal"
)

// Stand notes the footing of an account that a test has written straight into
// the tables.
func Stand(ctx context.Context, s *Store, portalID, accountID string) error {
	return s.change(ctx, portalID, portal.Visitor{}, func(u *unit) error { return u.stand(ctx, accountID) })
}

// WrongFootings reports in words whatever does not count what it should: footings
// of addresses, their numbers, and the tally of people without a second factor.
func WrongFootings(ctx context.Context, s *Store) (wrong []string, err error) {
	var ids []string
	err = s.texts(ctx, `SELECT id FROM accounts`, func(row []string) { ids = append(ids, row[0]) }, 1)
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		is, err := readFooting(ctx, s.db, id)
		if err != nil {
			return nil, err
		}
		rows, err := readFootingRows(ctx, s.db, id)
		if err != nil {
			return nil, err
		}
		for _, r := range rows {
			if now := footingOf(is, rows, r); now != r.had {
				wrong = append(wrong, fmt.Sprintf("%s of account %s is %q, not %q", r.address, id, now, r.had))
			}
		}
	}
	for _, pair := range [][2]string{
		{`SELECT portal || ' ' || domain || ' ' || footing, CAST(n AS TEXT) FROM footings WHERE n <> 0`,
			`SELECT portal || ' ' || domain || ' ' || footing, CAST(COUNT(*) AS TEXT) FROM addresses WHERE footing <> '' GROUP BY portal, domain, footing`},
		{`SELECT 'words', CAST(COUNT(*) AS TEXT) FROM words`,
			`SELECT 'words', CAST(COUNT(*) AS TEXT) FROM words w JOIN accounts a ON a.id = w.account AND a.name_key = w.name_key`},
		{`SELECT portal, CAST(n AS TEXT) FROM tallies WHERE name = 'unfactored' AND n <> 0`,
			`SELECT portal, CAST(COUNT(*) AS TEXT) FROM accounts a WHERE a.status <> 'disabled'
				AND NOT EXISTS (SELECT 1 FROM factors f WHERE f.account = a.id AND f.confirmed > 0) GROUP BY portal`},
	} {
		var sides [2]map[string]string
		for i, query := range pair {
			sides[i] = map[string]string{}
			if err := s.texts(ctx, query, func(row []string) { sides[i][row[0]] = row[1] }, 2); err != nil {
				return nil, err
			}
		}
		if got, want := fmt.Sprint(sides[0]), fmt.Sprint(sides[1]); got != want {
			wrong = append(wrong, "counted "+strings.TrimPrefix(got, "map")+", there are "+strings.TrimPrefix(want, "map"))
		}
	}
	return wrong, nil
}

func (s *Store) texts(ctx context.Context, query string, do func([]string), columns int) error {
	rows, err := s.db.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		row, into := make([]string, columns), make([]any, columns)
		for i := range row {
			into[i] = &row[i]
		}
		if err := rows.Scan(into...); err != nil {
			return err
		}
		do(row)
	}
	return rows.Err()
}
