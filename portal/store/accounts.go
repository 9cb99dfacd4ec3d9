package store

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/portal"
)

// Accounts are all accounts of a portal, the oldest first.
func (s *Store) Accounts(ctx context.Context, portalID string) ([]portal.Account, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT `+accountColumns+` FROM`+accountTables+`WHERE a.portal = $1 ORDER BY a.created, a.id`, portalID)
	if err != nil {
		return nil, failed("read accounts", err)
	}
	defer func() { _ = rows.Close() }()
	var out []portal.Account
	for rows.Next() {
		a, err := scanAccount(rows)
		if err != nil {
			return nil, failed("read accounts", err)
		}
		out = append(out, a.Account)
	}
	return out, failed("read accounts", rows.Err())
}

// AccountByID reads an account of a portal; ok is false when it has none of that
// ID, whoever else may have one.
func (s *Store) AccountByID(ctx context.Context, portalID, id string) (found portal.Account, ok bool, err error) {
	a, err := accountByID(ctx, s.db, portalID, id)
	if err != nil || a == nil {
		return found, false, failed("read account", err)
	}
	return a.Account, true, nil
}

// FindAccounts lists accounts by name, a page at a time, and never counts or
// skips rows: a page of a portal with a hundred thousand people costs what the
// first one does.
func (s *Store) FindAccounts(ctx context.Context, portalID string, f portal.AccountFilter) (portal.AccountPage, error) {
	page, err := s.findAccounts(ctx, portalID, f)
	return page, failed("find accounts", err)
}

func (s *Store) findAccounts(ctx context.Context, portalID string, f portal.AccountFilter) (page portal.AccountPage, err error) {
	if f.Limit <= 0 || f.Limit > 500 {
		f.Limit = 50
	}
	// Of what is common a page is soon full of those who come next by name. What is
	// common by itself and rare together is looked for among the rarest of it.
	var order string
	var from bool
	for _, smallest := range []int{few, many} {
		q, err := s.accountQuery(ctx, portalID, f, smallest)
		if err != nil {
			return page, err
		}
		if order, from, err = s.placeOf(ctx, q, portalID, f); err != nil {
			return page, err
		}
		walk := q.common && smallest == few
		if walk {
			q.among, q.side = nearby, order
		}
		page.Accounts, err = s.listAccounts(ctx, q, order, f.Limit+1)
		if err != nil {
			return page, err
		}
		if !walk || len(page.Accounts) > f.Limit {
			break
		}
	}
	more := len(page.Accounts) > f.Limit
	if more {
		page.Accounts = page.Accounts[:f.Limit]
	}
	page.Earlier, page.Later = from, more
	if order == "DESC" {
		slices.Reverse(page.Accounts)
		page.Earlier, page.Later = more, true
	}
	return page, nil
}

func (s *Store) listAccounts(ctx context.Context, q *accountQuery, order string, limit int) ([]portal.ListedAccount, error) {
	rows, err := s.db.QueryContext(ctx, q.page(order, limit), q.args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var out []portal.ListedAccount
	for rows.Next() {
		var l portal.ListedAccount
		var ends int64
		a, err := scanAccount(rows, &l.Plan, &ends)
		if err != nil {
			return nil, err
		}
		l.Account, l.LicenceEnds = a.Account, when(ends)
		out = append(out, l)
	}
	return out, rows.Err()
}

// placeOf makes the query begin where the page before it ended; from is false at
// the beginning of the list.
func (s *Store) placeOf(ctx context.Context, q *accountQuery, portalID string, f portal.AccountFilter) (order string, from bool, err error) {
	order, id, side := "ASC", f.After, ">"
	if f.Before != "" {
		order, id, side = "DESC", f.Before, "<"
	}
	if id == "" {
		return order, false, nil
	}
	var key []byte
	err = s.db.QueryRowContext(ctx, `SELECT name_key FROM accounts WHERE portal = $1 AND id = $2`, portalID, id).Scan(&key)
	if errors.Is(err, sql.ErrNoRows) {
		return "ASC", false, nil
	}
	q.place = ` AND (a.name_key, a.id) ` + side + ` (` + q.arg(blob(key)) + `, ` + q.arg(id) + `)`
	return order, true, err
}

// eachAtOnce is how many accounts are held at once when all are handed over.
const eachAtOnce = 500

// EachAccount hands over all accounts of a filter, in pages: however many there
// are, no more than a page of them is held at once. It goes by ID, because names
// change while a long list is handed over, and whoever is renamed from behind a
// page's end to before it would be left out.
func (s *Store) EachAccount(ctx context.Context, portalID string, f portal.AccountFilter, do func(portal.ListedAccount) error) error {
	for last := ""; ; {
		q, err := s.accountQuery(ctx, portalID, f, few)
		if err != nil {
			return failed("find accounts", err)
		}
		q.byID, q.place = true, ` AND a.id > `+q.arg(last)
		some, err := s.listAccounts(ctx, q, "ASC", eachAtOnce)
		if err != nil {
			return failed("find accounts", err)
		}
		for _, a := range some {
			if err := do(a); err != nil {
				return err
			}
		}
		if len(some) < eachAtOnce {
			return nil
		}
		last = some[len(some)-1].ID
	}
}

// StartExport notes that somebody takes a list of people out of the portal, and
// how many, before the first line of it leaves: what is not on record is not
// handed over.
func (s *Store) StartExport(ctx context.Context, portalID string, v portal.Visitor, f portal.AccountFilter) (n int64, err error) {
	q, err := s.accountQuery(ctx, portalID, f, few)
	if err == nil {
		err = s.db.QueryRowContext(ctx, q.count(), q.args...).Scan(&n)
	}
	if err != nil {
		return 0, failed("count accounts", err)
	}
	err = s.change(ctx, portalID, v, func(u *unit) error {
		if _, err := u.actor(ctx, portal.ExportUsers); err != nil {
			return err
		}
		u.audit(portal.Event{Account: v.Actor, Action: "users.exported", Method: u.by(), Target: strconv.FormatInt(n, 10)})
		return nil
	})
	return n, err
}

const (
	// few is how many members of a set are looked at one by one. A larger set is
	// common enough to be met while walking through the names.
	few = 1400
	// fewNamed is the same for words, which have the names beside them.
	fewNamed = 8000
	// nearby is how many names a walk goes through before something better is tried,
	// which is to look at up to many members of the smallest set.
	nearby = 1500
	many   = 40_000
)

// An accountQuery lists accounts that are in several sets at once: those with a
// word, of a domain, with a plan. The smallest set is what the list is made from;
// membership of the others is asked of each account.
type accountQuery struct {
	args   []any
	drive  string // the smallest set, if it is small: SELECT … AS account
	wheres []string
	place  string // where the list begins
	named  bool   // drive has the names too, and there are no other conditions
	common bool   // there are sets, and none is small
	among  int    // how many accounts from there on are looked at; 0: all
	side   string // ASC or DESC, for among
	byID   bool   // in the order of IDs, which do not change; else by name
}

// A set is one condition of a filter: its members, and the question whether an
// account is one.
type set struct {
	members string                      // SELECT account …, maybe twice; empty: not to be made a list from
	has     func(account string) string // nil: is, of a row of accounts called a
	is      string
}

// within is a set of what another table has of accounts. Each is asked about by
// itself: as EXISTS, Postgres would at times read all that the table has.
func within(table, condition string) set {
	has := func(account string) string {
		return `(SELECT 1 FROM ` + table + ` WHERE account = ` + account + ` AND ` + condition + ` LIMIT 1) = 1`
	}
	columns := `account`
	if table == "words" {
		columns = `account, name_key`
	}
	return set{members: `SELECT ` + columns + ` FROM ` + table + ` WHERE portal = $1 AND ` + condition, has: has, is: has("a.id")}
}

func (q *accountQuery) arg(value any) string {
	q.args = append(q.args, value)
	return "$" + strconv.Itoa(len(q.args))
}

// list are the places of several arguments, for IN.
func (q *accountQuery) list(values []string) string {
	places := make([]string, len(values))
	for i, v := range values {
		places[i] = q.arg(v)
	}
	return strings.Join(places, ", ")
}

func (q *accountQuery) where(condition string) { q.wheres = append(q.wheres, condition) }

// accountQuery makes the query for a filter; smallest is how large a set may be to
// make the list from.
func (s *Store) accountQuery(ctx context.Context, portalID string, f portal.AccountFilter, smallest int) (*accountQuery, error) {
	q := &accountQuery{args: []any{portalID}}
	q.where(`a.portal = $1`)
	if address, err := discovery.ParseAddress(f.Query); err == nil {
		// Somebody whose address is known is found by it alone.
		a, err := accountByAddress(ctx, s.db, portalID, address)
		if err != nil {
			return nil, err
		}
		if a != nil {
			q.where(`a.id = ` + q.arg(a.ID))
			f.Query = ""
		}
	}
	words, err := portal.SearchWords(f.Query)
	if err != nil {
		return nil, err
	}
	// The sets are numbered in a query of their own first: an argument that a query
	// does not use is an error.
	build := accountSets(f, words, s.now().UnixMicro())
	best := -1
	q.named = len(words) > 0 && len(build) == len(words) && len(q.wheres) == 1
	if q.named {
		smallest = max(smallest, fewNamed)
	}
	if len(build) != 1 || f.Status == "" && f.Role == "" { // one index has these in the order of the list
		if best, err = s.smallestSet(ctx, portalID, build, smallest); err != nil {
			return nil, err
		}
		q.common = best < 0 && (len(words) > 0 || f.Plan != "" || f.Domain != "")
	}
	var driven []string
	for i, make := range build {
		switch set := make(q); {
		case i == best:
			q.drive = set.members
		case best >= 0 && set.has != nil:
			driven = append(driven, set.has("m.account"))
		default:
			q.where(set.is)
		}
	}
	q.named = q.named && q.drive != ""
	if q.drive != "" {
		what := `m.account`
		if q.named {
			what = `m.account AS id, m.name_key`
		}
		q.drive = `SELECT DISTINCT ` + what + ` FROM (` + q.drive + `) AS m`
		if len(driven) > 0 {
			q.drive += ` WHERE ` + strings.Join(driven, ` AND `)
		}
	}
	return q, nil
}

// smallestSet is the set with the fewest members, if it has no more than most; -1:
// none.
func (s *Store) smallestSet(ctx context.Context, portalID string, sets []func(*accountQuery) set, most int) (best int, err error) {
	best = -1
	for i, make := range sets {
		probe := &accountQuery{args: []any{portalID}}
		set := make(probe)
		if set.members == "" {
			continue
		}
		var n int
		err := s.db.QueryRowContext(ctx, `SELECT COUNT(*) FROM (`+set.members+` LIMIT `+strconv.Itoa(most+1)+`) AS members`, probe.args...).Scan(&n)
		if err != nil {
			return best, err
		}
		if n <= most {
			best, most = i, n-1
		}
	}
	return best, nil
}

// accountSets are the conditions of a filter, each to be written into a query
// whose first argument is the portal.
func accountSets(f portal.AccountFilter, words []string, now int64) []func(*accountQuery) set {
	var all []func(*accountQuery) set
	add := func(make func(q *accountQuery) set) { all = append(all, make) }
	for _, w := range words {
		add(func(q *accountQuery) set {
			from, to := q.arg([]byte(w)), q.arg(append([]byte(w), 0xff)) // no text has this byte
			return within("words", `word >= `+from+` AND word < `+to)
		})
	}
	if f.Status != "" {
		add(func(q *accountQuery) set { return column(q, "status", string(f.Status)) })
	}
	if f.Role != "" {
		add(func(q *accountQuery) set { return column(q, "role", string(f.Role)) })
	}
	if f.Plan != "" {
		add(func(q *accountQuery) set {
			return within("licences", `plan = `+q.arg(f.Plan))
		})
	}
	if f.Domain != "" {
		add(func(q *accountQuery) set {
			return within("addresses", `domain = `+q.arg(f.Domain)+` AND confirmed > 0`)
		})
	}
	if f.Invitation != "" {
		add(func(q *accountQuery) set {
			over := `ends > 0 AND ends <= ` + q.arg(now)
			if f.Invitation == portal.InvitationWaiting {
				over = `made > 0 AND withdrawn = 0 AND NOT (` + over + `)`
			}
			return set{is: `a.status = 'invited' AND EXISTS (SELECT 1 FROM invitations WHERE account = a.id AND ` + over + `)`}
		})
	}
	return all
}

func column(q *accountQuery, name, value string) set {
	is := name + ` = ` + q.arg(value)
	return set{members: `SELECT id AS account FROM accounts WHERE portal = $1 AND ` + is, is: `a.` + is}
}

// found are the accounts that the query is about. From a small set each is looked
// up by itself, in a subquery that has to be done row by row: a join would let
// Postgres read all accounts beside it. The limit keeps the two parts apart.
func (q *accountQuery) found() string {
	conditions := strings.Join(q.wheres, ` AND `)
	switch {
	case q.named:
		return `(SELECT a.id, a.name_key FROM (` + q.drive + `) AS a WHERE a.id <> ''` + q.place + `) AS f WHERE name_key IS NOT NULL`
	case q.drive != "":
		return `(SELECT d.account AS id, (SELECT a.name_key FROM accounts a WHERE a.id = d.account AND ` + conditions + q.place +
			`) AS name_key FROM (` + q.drive + `) AS d LIMIT 1000000) AS f WHERE name_key IS NOT NULL`
	case q.among > 0:
		return `(SELECT a.id, a.name_key FROM (SELECT * FROM accounts a WHERE a.portal = $1` + q.place + q.order("a", q.side) +
			` LIMIT ` + strconv.Itoa(q.among) + `) AS a WHERE ` + conditions + `) AS f WHERE name_key IS NOT NULL`
	}
	return `(SELECT a.id, a.name_key FROM accounts a WHERE ` + conditions + q.place + `) AS f WHERE name_key IS NOT NULL`
}

func (q *accountQuery) count() string { return `SELECT COUNT(*) FROM ` + q.found() }

func (q *accountQuery) order(table, order string) string {
	if q.byID {
		return ` ORDER BY ` + table + `.id ` + order
	}
	return ` ORDER BY ` + table + `.name_key ` + order + `, ` + table + `.id ` + order
}

// ids finds the accounts of a page; page reads what is shown of them.
func (q *accountQuery) ids(order string, limit int) string {
	return `SELECT f.id, f.name_key FROM ` + q.found() + q.order("f", order) + ` LIMIT ` + strconv.Itoa(limit)
}

func (q *accountQuery) page(order string, limit int) string {
	return `SELECT ` + accountColumns + `, COALESCE(pl.name, ''), COALESCE(l.ends, 0)
		FROM (` + q.ids(order, limit) + `) AS k
		JOIN accounts a ON a.id = k.id JOIN addresses p ON p.account = a.id AND p.is_primary
		LEFT JOIN credentials c ON c.account = a.id
		LEFT JOIN licences l ON l.account = a.id LEFT JOIN plans pl ON pl.portal = l.portal AND pl.id = l.plan` + q.order("k", order)
}

// AccountsByID are those of some accounts that are the portal's, by ID: for lists
// that name people.
func (s *Store) AccountsByID(ctx context.Context, portalID string, ids []string) (map[string]portal.Account, error) {
	found := map[string]portal.Account{}
	ids = slices.Compact(slices.Sorted(slices.Values(ids)))
	for part := range slices.Chunk(ids, 200) {
		q := &accountQuery{args: []any{portalID}}
		rows, err := s.db.QueryContext(ctx, `SELECT `+accountColumns+` FROM`+accountTables+
			`WHERE a.portal = $1 AND a.id IN (`+q.list(part)+`)`, q.args...)
		if err != nil {
			return nil, failed("read accounts", err)
		}
		for rows.Next() {
			a, err := scanAccount(rows)
			if err != nil {
				_ = rows.Close()
				return nil, failed("read accounts", err)
			}
			found[a.ID] = a.Account
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			return nil, failed("read accounts", err)
		}
	}
	return found, nil
}
