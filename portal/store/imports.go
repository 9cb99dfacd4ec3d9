package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/portal"
)

// An ImportFile is what somebody uploaded, and what holds for lines that do not
// say otherwise.
type ImportFile struct {
	Portal   string      `json:"-"`
	By       string      `json:"-"` // account ID
	Text     string      // the file
	Role     portal.Role // empty: Member
	Plan     string      // empty: the usual one of the role
	Language string      // empty: the portal's
}

func importPlace(id string) string { return "import " + id }

// DryImport looks at a file and says what importing it would do, without doing
// it. The file is kept, sealed, for a day: [Store.StartImport].
func (s *Store) DryImport(ctx context.Context, v portal.Visitor, f ImportFile) (id string, err error) {
	rows, err := portal.ParseImport([]byte(f.Text))
	if err != nil {
		return "", err
	}
	job := importJob{ImportFile: f, Import: portal.Import{Portal: f.Portal, Account: f.By, Lines: int64(len(rows))}}
	if err := job.gather(ctx, s.db); err != nil {
		return "", failed("look at file", err)
	}
	var problems []portal.ImportProblem
	for at := 0; at < len(rows); at += portal.ImportBatch {
		batch := rows[at:min(at+portal.ImportBatch, len(rows))]
		there, err := accountsByAddress(ctx, s.db, f.Portal, batch)
		if err != nil {
			return "", failed("look at file", err)
		}
		for _, row := range batch {
			if p := job.count(job.judge(row, there[row.Address])); p != nil {
				problems = append(problems, portal.ImportProblem{Line: row.Line, Field: p.Field, Code: p.Code})
			}
		}
	}
	plain, err := json.Marshal(f)
	if err != nil {
		return "", fmt.Errorf("encode import: %w", err)
	}
	id = newID()
	sealed, err := s.vault.Seal(importPlace(id), plain)
	if err != nil {
		return "", err
	}
	err = s.change(ctx, f.Portal, v, func(u *unit) error {
		if _, err := u.importer(ctx, f.By); err != nil {
			return err
		}
		_, err := u.ExecContext(ctx, `INSERT INTO imports (id, portal, account, dry, state, sealed, lines, done, added, updated, skipped, failed,
			invite, code, created, finished, lease) VALUES ($1, $2, $3, TRUE, 'waiting', $4, $5, 0, $6, $7, $8, $9, FALSE, '', $10, 0, 0)`,
			id, f.Portal, f.By, sealed, job.Lines, job.Added, job.Updated, job.Skipped, job.Failed, micros(u.now))
		if err != nil {
			return err
		}
		return u.noteProblems(ctx, id, problems)
	})
	return id, err
}

func (u *unit) noteProblems(ctx context.Context, id string, problems []portal.ImportProblem) error {
	for _, p := range problems {
		_, err := u.ExecContext(ctx, `INSERT INTO import_lines (import, line, field, code) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`,
			id, p.Line, p.Field, p.Code)
		if err != nil {
			return err
		}
	}
	return nil
}

// importer reads who imports, when it happens.
func (u *unit) importer(ctx context.Context, id string) (*account, error) {
	a, err := accountByID(ctx, u, u.portal, id)
	if err != nil {
		return nil, err
	}
	if a == nil || a.Status != portal.Active || !a.Role.May(portal.ImportUsers) {
		return nil, u.refuse(portal.Event{Action: "access.refused"}, errImporter)
	}
	return a, nil
}

var errImporter = &discovery.Error{Kind: discovery.Forbidden, Code: "importer_refused",
	Say: "Your role in this portal does not allow that. Nothing was changed."}

var errNoImport = &discovery.Error{Kind: discovery.NotFound, Code: "import_unknown"}

var errImportOver = &discovery.Error{Kind: discovery.Conflict, Code: "import_over",
	Say: "This import has been started, stopped or forgotten in the meantime. Choose the file again to start another one."}

// StartImport lets what [Store.DryImport] looked at happen, in the background.
func (s *Store) StartImport(ctx context.Context, portalID string, v portal.Visitor, by, id string, invite bool) error {
	return s.change(ctx, portalID, v, func(u *unit) error {
		if _, err := u.importer(ctx, by); err != nil {
			return err
		}
		if err := u.knownImport(ctx, id); err != nil {
			return err
		}
		started, err := one(ctx, u, `UPDATE imports SET dry = FALSE, account = $1, invite = $2, created = $3,
			done = 0, added = 0, updated = 0, skipped = 0, failed = 0
			WHERE id = $4 AND portal = $5 AND dry AND state = 'waiting'`, by, invite, micros(u.now), id, portalID)
		if err != nil {
			return err
		}
		if !started {
			return errImportOver
		}
		u.audit(portal.Event{Action: "import.started", Target: id})
		_, err = u.ExecContext(ctx, `DELETE FROM import_lines WHERE import = $1`, id)
		return err
	})
}

// StopImport ends an import after the batch in hand. Who was added stays.
func (s *Store) StopImport(ctx context.Context, portalID string, v portal.Visitor, by, id string) error {
	return s.change(ctx, portalID, v, func(u *unit) error {
		if _, err := u.importer(ctx, by); err != nil {
			return err
		}
		if err := u.knownImport(ctx, id); err != nil {
			return err
		}
		stopped, err := u.endImport(ctx, id, portal.ImportStopped, "stopped")
		if err == nil && !stopped {
			return errImportOver
		}
		return err
	})
}

func (u *unit) knownImport(ctx context.Context, id string) error {
	var n int
	err := u.QueryRowContext(ctx, `SELECT COUNT(*) FROM imports WHERE id = $1 AND portal = $2`, id, u.portal).Scan(&n)
	if err == nil && n == 0 {
		return u.refuse(portal.Event{Action: "access.refused", Target: id}, errNoImport)
	}
	return err
}

// endImport ends one that is not over, and forgets its file.
func (u *unit) endImport(ctx context.Context, id string, state portal.ImportState, code string) (bool, error) {
	var dry bool
	err := u.QueryRowContext(ctx, `UPDATE imports SET state = $1, code = $2, sealed = $3, finished = $4, lease = 0
		WHERE id = $5 AND portal = $6 AND state IN ('waiting', 'running') RETURNING dry`,
		string(state), code, []byte{}, micros(u.now), id, u.portal).Scan(&dry)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err == nil && !dry {
		u.audit(portal.Event{Action: "import.finished", Code: code, Target: id})
	}
	return err == nil, err
}

const importColumns = `id, portal, account, dry, state, invite, lines, done, added, updated, skipped, failed, code, created, finished`

func scanImport(row scanner, more ...any) (i portal.Import, err error) {
	var created, finished int64
	dest := []any{&i.ID, &i.Portal, &i.Account, &i.Dry, &i.State, &i.Invite, &i.Lines, &i.Done, &i.Added, &i.Updated, &i.Skipped, &i.Failed, &i.Code, &created, &finished}
	err = row.Scan(append(dest, more...)...)
	i.Created, i.Finished = when(created), when(finished)
	return i, err
}

// Imports are the latest of a portal.
func (s *Store) Imports(ctx context.Context, portalID string, limit int) ([]portal.Import, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT `+importColumns+` FROM imports WHERE portal = $1 ORDER BY created DESC, id LIMIT $2`, portalID, limit)
	if err != nil {
		return nil, failed("read imports", err)
	}
	defer func() { _ = rows.Close() }()
	var out []portal.Import
	for rows.Next() {
		i, err := scanImport(rows)
		if err != nil {
			return nil, failed("read imports", err)
		}
		out = append(out, i)
	}
	return out, failed("read imports", rows.Err())
}

// ImportByID is one of a portal; an ID of another portal's is refused and audited.
func (s *Store) ImportByID(ctx context.Context, portalID string, v portal.Visitor, id string) (portal.Import, error) {
	i, err := scanImport(s.db.QueryRowContext(ctx, `SELECT `+importColumns+` FROM imports WHERE id = $1 AND portal = $2`, id, portalID))
	if errors.Is(err, sql.ErrNoRows) {
		return i, s.change(ctx, portalID, v, func(u *unit) error { return u.knownImport(ctx, id) })
	}
	return i, failed("read import", err)
}

// ImportProblems are the lines of an import that were left out, beyond a line, at
// most limit of them.
func (s *Store) ImportProblems(ctx context.Context, portalID, id string, after int64, limit int) ([]portal.ImportProblem, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT l.line, l.field, l.code FROM import_lines l JOIN imports i ON i.id = l.import
		WHERE i.portal = $1 AND i.id = $2 AND l.line > $3 ORDER BY l.line LIMIT $4`, portalID, id, after, limit)
	if err != nil {
		return nil, failed("read problems of import", err)
	}
	defer func() { _ = rows.Close() }()
	var out []portal.ImportProblem
	for rows.Next() {
		var p portal.ImportProblem
		if err := rows.Scan(&p.Line, &p.Field, &p.Code); err != nil {
			return nil, failed("read problems of import", err)
		}
		out = append(out, p)
	}
	return out, failed("read problems of import", rows.Err())
}

// problemsKept is how long it is kept what was wrong with the lines of an import.
const problemsKept = 90 * 24 * time.Hour

// cleanImports forgets files that were looked at and never started.
func (s *Store) cleanImports(ctx context.Context) error {
	now := s.now()
	_, err := s.db.ExecContext(ctx, `UPDATE imports SET state = 'stopped', code = 'forgotten', sealed = $1, finished = $2
		WHERE dry AND state = 'waiting' AND created <= $3`, []byte{}, micros(now), micros(now.Add(-portal.DryLife)))
	if err != nil {
		return err
	}
	_, err = s.db.ExecContext(ctx, `DELETE FROM import_lines WHERE import IN (SELECT id FROM imports WHERE finished > 0 AND finished <= $1)`,
		micros(now.Add(-problemsKept)))
	return err
}
