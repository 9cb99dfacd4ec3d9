package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/discovery/span"
)

// Entries implements [discovery.Directory]. Entries that come with an error are
// of a replica that is behind, while the primary does not answer: they were true
// a moment ago, and there may be more.
func (s *Store) Entries(ctx context.Context, ids []discovery.BlindID) ([]discovery.Entry, error) {
	var p pace
	entries, err := s.fetch(ctx, ids, &p)
	if !s.named(entries) {
		p.even()
	}
	return entries, err
}

func (s *Store) fetch(ctx context.Context, ids []discovery.BlindID, p *pace) ([]discovery.Entry, error) {
	if s.cache != nil {
		return s.cache.entries(ctx, ids, p, s.query)
	}
	p.begin()
	entries, _, err := s.query(ctx, ids)
	return entries, err
}

// query asks the replica or the primary, each with one statement however many
// ids there are.
func (s *Store) query(ctx context.Context, ids []discovery.BlindID) (entries []discovery.Entry, keep bool, err error) {
	if len(ids) == 0 {
		return nil, false, errors.New("find entries: no blind ID")
	}
	if s.replica != nil {
		entries, keep, err = s.queryBoth(ctx, ids)
	} else {
		entries, err = s.queryPrimary(ctx, ids)
		keep = err == nil
	}
	if err != nil {
		s.metrics.failures.WithLabelValues("entries").Inc()
		return entries, false, fmt.Errorf("find entries: %w", err)
	}
	return entries, keep, nil
}

func (s *Store) queryPrimary(ctx context.Context, ids []discovery.BlindID) ([]discovery.Entry, error) {
	if err := s.contact.usable(); err != nil {
		return nil, err
	}
	a, err := s.primary.find(ctx, ids, s.tags)
	if err != nil {
		if err := s.forgetOf(ctx, err); err != nil {
			s.log.Error("a row that nobody claimed is not used, and stays", "err", err)
		}
		return nil, err
	}
	return a.entries, nil
}

// A reader is a database that lookups read.
type reader struct {
	db         *sql.DB
	positioned bool     // answers say how far the regions' claims had been applied
	prepared   sync.Map // number of ids → *sql.Stmt
}

// name is what traces call it.
func (r *reader) name() string {
	if r.positioned {
		return "replica"
	}
	return "primary"
}

// An answer is what one statement found. Its position is empty unless the reader
// is positioned.
type answer struct {
	entries  []discovery.Entry
	position string
}

func (r *reader) find(ctx context.Context, ids []discovery.BlindID, tags TagKey) (_ answer, err error) {
	ctx, sp := span.Start(ctx, span.Query)
	defer func() { sp.End(err) }()
	sp.Text(span.Source, r.name())
	find, err := r.statement(ctx, len(ids))
	if err != nil {
		return answer{}, err
	}
	args := make([]any, len(ids))
	for i := range ids {
		args[i] = ids[i][:]
	}
	rows, err := find.QueryContext(ctx, args...)
	if err != nil {
		return answer{}, err
	}
	defer rows.Close()
	var a answer
	for rows.Next() {
		var f found
		if err := rows.Scan(f.columns(r.positioned)...); err != nil {
			return answer{}, err
		}
		a.position = f.position.String
		if !f.portal.Valid {
			continue // nothing but the position
		}
		row := entryRow{f.blind, f.portal.String, f.region.String, f.signIn.String, f.seq.Int64}
		if !tags.made(row, f.tag) {
			return answer{}, row.forged(f.tag)
		}
		e := discovery.Entry{Portal: row.portal, SignIn: splitWays(row.signIn)}
		if copy(e.Blind[:], row.blind) != len(e.Blind) {
			return answer{}, errors.New("an entry's blind ID has the wrong length")
		}
		a.entries = append(a.entries, e)
	}
	return a, rows.Err()
}

// found is a row as it is read: where there is no entry, only a position.
type found struct {
	position               sql.NullString
	blind, tag             []byte
	portal, region, signIn sql.NullString
	seq                    sql.NullInt64
}

func (f *found) columns(positioned bool) []any {
	columns := []any{&f.blind, &f.portal, &f.region, &f.signIn, &f.seq, &f.tag}
	if positioned {
		columns = append(columns, &f.position)
	}
	return columns
}

// statement is the query for n ids. An entry counts only while its portal is
// claimed by the region that claimed the entry.
func (r *reader) statement(ctx context.Context, n int) (*sql.Stmt, error) {
	if st, ok := r.prepared.Load(n); ok {
		return st.(*sql.Stmt), nil
	}
	text := `
		SELECT e.blind, e.portal, e.region, e.sign_in, e.seq, e.tag
		FROM entries e JOIN portals p ON p.id = e.portal AND p.region = e.region
		WHERE e.blind IN (` + marks(1, n) + `) AND NOT p.gone`
	if r.positioned { // in one statement, which sees one state of the database
		text = `
		SELECT e.blind, e.portal, e.region, e.sign_in, e.seq, e.tag, at.position
		FROM (SELECT STRING_AGG(region || ':' || changed, ',') AS position FROM progress) at LEFT JOIN (` + text + `) e ON TRUE`
	}
	st, err := r.db.PrepareContext(ctx, text+` ORDER BY e.portal, e.blind`)
	if err != nil {
		return nil, err
	}
	if first, there := r.prepared.LoadOrStore(n, st); there {
		_ = st.Close()
		return first.(*sql.Stmt), nil
	}
	return st, nil
}
