package store

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

const (
	walkAtOnce  = 2000 // rows that are looked at with one question
	retagAtOnce = 200  // rows that are written in one transaction, which keeps their region's claims waiting

	walkPause = 10 * time.Second // at least, between two walks over the directory
	walkShare = 10               // a walk may take one part in this many of the time
)

func newRetagGauge(to prometheus.Registerer) prometheus.Gauge {
	g := promauto.With(to).NewGauge(prometheus.GaugeOpts{
		Name: "domicile_directory_rows_to_retag",
		Help: "Rows that carry the tag of an older cookie key, as far as this front door knows; NaN until it has counted.",
	})
	g.Set(math.NaN())
	return g
}

// Retag gives rows that were tagged under an older key the tag of the first one,
// until ctx ends, so that the older key can be taken out. With one key there is
// nothing to do. Front doors whose lists differ in order undo each other's work,
// which does no harm and ends when the last of them has the new list.
func (s *Store) Retag(ctx context.Context) {
	if len(s.tags.keys) < 2 {
		s.metrics.retag.Set(0)
		return
	}
	for {
		began, pause := s.now(), walkPause
		switch n, err := s.retagAll(ctx); {
		case ctx.Err() != nil:
			return
		case err != nil:
			s.log.Warn("rows under older keys are not all found yet", "err", err)
		default:
			if n > 0 {
				s.log.Info("rows under older keys have got the tag of the current one", "rows", n)
			}
			pause = min(max(pause, walkShare*s.now().Sub(began)), time.Hour) // clocks jump
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}

// retagAll counts first, so that the gauge tells how far it has got.
func (s *Store) retagAll(ctx context.Context) (done int64, err error) {
	tallies, err := s.Census(ctx)
	if err != nil {
		return 0, err
	}
	var older int64
	for _, t := range tallies {
		older += t.Older
	}
	s.metrics.retag.Set(float64(older))
	if older == 0 {
		return 0, nil
	}
	for _, t := range tallies {
		if t.Older == 0 {
			continue
		}
		err := s.walk(ctx, t.Region, func(rows []taggedRow) error {
			n, err := s.retag(ctx, t.Region, rows)
			done += n
			s.metrics.retag.Set(float64(max(older-done, 0)))
			return err
		})
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

// retag writes what of rows is under an older key. It takes its locks in the
// order of Apply, and passes over rows that were claimed anew meanwhile.
func (s *Store) retag(ctx context.Context, region string, rows []taggedRow) (done int64, err error) {
	var older []taggedRow
	for _, r := range rows {
		if s.tags.which(r.row, r.tag) > 0 {
			older = append(older, r)
		}
	}
	for len(older) > 0 {
		n := min(retagAtOnce, len(older))
		written, err := s.writeTags(ctx, region, older[:n])
		done += written
		if err != nil {
			return done, fmt.Errorf("tag rows anew: %w", err)
		}
		older = older[n:]
	}
	return done, nil
}

func (s *Store) writeTags(ctx context.Context, region string, rows []taggedRow) (done int64, err error) {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return 0, err
	}
	defer func() { _ = tx.Rollback() }() // nothing to undo after Commit
	if _, err := tx.ExecContext(ctx, `UPDATE progress SET last = last WHERE region = $1`, region); err != nil {
		return 0, err
	}
	for _, r := range rows {
		f := r.row.forged(r.tag) // which names the row with its tag
		res, err := tx.ExecContext(ctx, fmt.Sprintf(`UPDATE %s SET tag = $%d WHERE %s`, f.table, len(f.args)+1, f.where),
			append(f.args, s.tags.tag(r.row))...)
		if err != nil {
			return 0, err
		}
		n, err := res.RowsAffected()
		if err != nil {
			return 0, err
		}
		done += n
	}
	return done, tx.Commit()
}

// A Tally is what the directory holds of one region.
type Tally struct {
	Region  string
	Last    int64     // the last sequence applied
	Applied time.Time // when the region's claims were last looked at
	Whole   bool      // nothing is missing since rows were dropped

	Portals, Routes int64
	Entries         map[byte]int64 // by the version of the blinding key

	Older  int64 // rows under an older key, to be tagged anew
	Forged int64 // rows that no claim has written, as far as these keys tell
}

// Census counts every row of the directory, and checks its tag.
func (s *Store) Census(ctx context.Context) ([]Tally, error) {
	if err := s.contact.usable(); err != nil {
		return nil, err
	}
	tallies, err := s.tallies(ctx)
	if err != nil {
		return nil, fmt.Errorf("count the directory: %w", err)
	}
	for i := range tallies {
		t := &tallies[i]
		err := s.walk(ctx, t.Region, func(rows []taggedRow) error {
			for _, r := range rows {
				t.add(r.row, s.tags.which(r.row, r.tag))
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("count the directory: %w", err)
		}
	}
	return tallies, nil
}

func (t *Tally) add(r row, key int) {
	switch {
	case key < 0:
		t.Forged++
		return
	case key > 0:
		t.Older++
	}
	switch r := r.(type) {
	case portalRow:
		if !r.gone {
			t.Portals++
		}
	case routeRow:
		t.Routes++
	case entryRow:
		if len(r.blind) > 0 {
			t.Entries[r.blind[0]]++
		}
	}
}

func (s *Store) tallies(ctx context.Context) ([]Tally, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT region, last, applied, whole FROM progress ORDER BY region`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []Tally
	for rows.Next() {
		t := Tally{Entries: map[byte]int64{}}
		var applied int64
		if err := rows.Scan(&t.Region, &t.Last, &applied, &t.Whole); err != nil {
			return nil, err
		}
		t.Applied = time.UnixMicro(applied).UTC()
		out = append(out, t)
	}
	return out, rows.Err()
}

// A taggedRow is a row as it lies in the database: nobody has looked at its tag.
type taggedRow struct {
	row row
	seq int64
	tag []byte
}

// shelves are the tables whose rows carry tags.
var shelves = []struct {
	table, columns string
	scan           func(*sql.Rows, *taggedRow) error
}{
	{"portals", "id, region, name, url, disclosure, standbys, gone, seq, tag", func(rows *sql.Rows, t *taggedRow) error {
		var r portalRow
		err := rows.Scan(&r.id, &r.region, &r.name, &r.url, &r.disclosure, &r.standbys, &r.gone, &r.seq, &t.tag)
		t.row, t.seq = r, r.seq
		return err
	}},
	{"routes", "domain, portal, region, connection, sign_in, seq, tag", func(rows *sql.Rows, t *taggedRow) error {
		var r routeRow
		err := rows.Scan(&r.domain, &r.portal, &r.region, &r.connection, &r.signIn, &r.seq, &t.tag)
		t.row, t.seq = r, r.seq
		return err
	}},
	{"entries", "blind, portal, region, sign_in, seq, tag", func(rows *sql.Rows, t *taggedRow) error {
		var r entryRow
		err := rows.Scan(&r.blind, &r.portal, &r.region, &r.signIn, &r.seq, &t.tag)
		t.row, t.seq = r, r.seq
		return err
	}},
}

// walk shows every row of a region, some at a time and with no transaction open.
// No two claims of a region have the same sequence, so they are its order.
func (s *Store) walk(ctx context.Context, region string, show func([]taggedRow) error) error {
	for _, shelf := range shelves {
		query := `SELECT ` + shelf.columns + ` FROM ` + shelf.table + ` WHERE region = $1 AND seq > $2 ORDER BY seq LIMIT $3`
		after := int64(math.MinInt64)
		for {
			rows, err := s.rowsOf(ctx, shelf.scan, query, region, after, walkAtOnce)
			if err != nil {
				return err
			}
			if len(rows) == 0 {
				break
			}
			after = rows[len(rows)-1].seq
			if err := show(rows); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Store) rowsOf(ctx context.Context, scan func(*sql.Rows, *taggedRow) error, query string, args ...any) ([]taggedRow, error) {
	rows, err := s.db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []taggedRow
	for rows.Next() {
		var t taggedRow
		if err := scan(rows, &t); err != nil {
			return nil, err
		}
		out = append(out, t)
	}
	return out, rows.Err()
}
