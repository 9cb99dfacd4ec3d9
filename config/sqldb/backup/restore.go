package backup

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/domicile-sso/domicile/config/sqldb"
)

// ErrNotEmpty is a database that somebody has used.
var ErrNotEmpty = errors.New("the database is not empty: a backup is only restored into one that was just migrated")

// A batch of rows goes to the database in one statement, bounded by what SQLite
// takes in parameters and by memory.
const (
	batchRows  = 400
	batchCells = 30_000
	batchBytes = 1 << 20
)

// Restore fills the tables of an empty database. after runs in the same
// transaction once all rows are in and the backup has proven whole; its error
// undoes everything.
func Restore(ctx context.Context, in io.Reader, db *sql.DB, tables []Table, secrets [][]byte,
	after func(context.Context, *sql.Tx, Header) error, note func(Progress)) (Progress, error) {
	r, err := open(in, secrets, note)
	if err != nil {
		return Progress{}, err
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return Progress{}, fmt.Errorf("begin: %w", err)
	}
	defer func() { _ = tx.Rollback() }()
	f := &filler{tx: tx, postgres: sqldb.OnPostgres(db), left: slices.Clone(tables)}
	if err := f.prepare(ctx); err != nil {
		return Progress{}, err
	}
	err = r.each(ctx,
		func(c control) error { return f.table(ctx, c) },
		func(line []byte) error { return f.row(ctx, line) })
	if err == nil {
		err = f.finish(ctx)
	}
	if err == nil {
		err = after(ctx, tx, r.header)
	}
	if err == nil {
		err = tx.Commit()
	}
	return r.Progress, err
}

// Void is for a database that came back by other means than Restore: it empties
// the tables that no backup would have held, and runs after, in one transaction.
func Void(ctx context.Context, db *sql.DB, left []string, after func(context.Context, *sql.Tx) error) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	defer func() { _ = tx.Rollback() }()
	if err := patient(ctx, tx, sqldb.OnPostgres(db)); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	for _, name := range left {
		if _, err := tx.ExecContext(ctx, `DELETE FROM "`+name+`"`); err != nil {
			return fmt.Errorf("table %s: %w", name, err)
		}
	}
	if err := after(ctx, tx); err != nil {
		return err
	}
	return tx.Commit()
}

// A filler puts rows into the tables of one transaction.
type filler struct {
	tx       *sql.Tx
	postgres bool
	left     []Table // not seen in the backup yet

	name    string // the table at hand
	columns []column
	full    *sql.Stmt // inserts a full batch
	cells   []any
	bytes   int
}

// prepare makes sure of an empty database and keeps everybody else out of it.
func (f *filler) prepare(ctx context.Context) error {
	if err := patient(ctx, f.tx, f.postgres); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	if f.postgres { // on SQLite the transaction is the only writer
		names := make([]string, len(f.left))
		for i, t := range f.left {
			names[i] = `"` + t.Name + `"`
		}
		if _, err := f.tx.ExecContext(ctx, `LOCK TABLE `+strings.Join(names, ", ")+` IN ACCESS EXCLUSIVE MODE`); err != nil {
			return fmt.Errorf("lock the tables: %w", err)
		}
	}
	for _, t := range f.left {
		used := ""
		if t.Fresh != "" {
			used = ` WHERE NOT (` + t.Fresh + `)`
		}
		var n int
		err := f.tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM (SELECT 1 AS row_there FROM "`+t.Name+`"`+used+` LIMIT 1) AS rows_there`).Scan(&n)
		if err != nil {
			return fmt.Errorf("table %s: %w", t.Name, err)
		}
		if n > 0 {
			return fmt.Errorf("%w (table %s)", ErrNotEmpty, t.Name)
		}
	}
	// Children first, as foreign keys want it.
	for _, t := range slices.Backward(f.left) {
		if _, err := f.tx.ExecContext(ctx, `DELETE FROM "`+t.Name+`"`); err != nil {
			return fmt.Errorf("table %s: %w", t.Name, err)
		}
	}
	return nil
}

// table begins another table, which must be one of ours as it is here.
func (f *filler) table(ctx context.Context, c control) error {
	if err := f.flush(ctx); err != nil {
		return err
	}
	i := slices.IndexFunc(f.left, func(t Table) bool { return t.Name == c.Table })
	if i < 0 {
		return broken("table %q is unknown, or there twice", c.Table)
	}
	f.left = slices.Delete(f.left, i, i+1)
	here, err := columns(ctx, f.tx, f.postgres, c.Table)
	if err != nil {
		return err
	}
	if !slices.Equal(here, c.Columns) {
		return fmt.Errorf("table %s has other columns here than in the backup: restore with the binary that made it, then upgrade", c.Table)
	}
	f.name, f.columns, f.full = c.Table, here, nil
	return nil
}

func (f *filler) row(ctx context.Context, line []byte) error {
	d := json.NewDecoder(bytes.NewReader(line))
	d.UseNumber()
	var values []any
	if err := d.Decode(&values); err != nil || len(values) != len(f.columns) {
		return broken("a row of table %s is malformed", f.name)
	}
	for i, c := range f.columns {
		cell, err := decode(c.Kind, values[i])
		if err != nil {
			return broken("a row of table %s, column %s: %w", f.name, c.Name, err)
		}
		f.cells = append(f.cells, cell)
	}
	f.bytes += len(line)
	if len(f.cells) == f.batch()*len(f.columns) || f.bytes > batchBytes {
		return f.flush(ctx)
	}
	return nil
}

// batch is how many rows of the table at hand are inserted at once.
func (f *filler) batch() int { return min(batchRows, batchCells/len(f.columns)) }

// flush inserts the rows that were collected.
func (f *filler) flush(ctx context.Context) error {
	if len(f.cells) == 0 {
		return nil
	}
	var err error
	rows := len(f.cells) / len(f.columns)
	if rows == f.batch() {
		if f.full == nil {
			if f.full, err = f.tx.PrepareContext(ctx, f.insert(rows)); err != nil {
				return fmt.Errorf("table %s: %w", f.name, err)
			}
		}
		_, err = f.full.ExecContext(ctx, f.cells...)
	} else {
		_, err = f.tx.ExecContext(ctx, f.insert(rows), f.cells...)
	}
	if err != nil {
		return fmt.Errorf("table %s: %w", f.name, err)
	}
	f.cells, f.bytes = f.cells[:0], 0
	return nil
}

func (f *filler) insert(rows int) string {
	var b strings.Builder
	b.WriteString(`INSERT INTO "` + f.name + `" (` + quoted(f.columns) + `) VALUES `)
	n := 0
	for i := range rows {
		if i > 0 {
			b.WriteString(", ")
		}
		for j := range f.columns {
			b.WriteString(map[bool]string{true: "(", false: ", "}[j == 0])
			if n++; f.postgres {
				b.WriteString("$" + strconv.Itoa(n))
			} else { // $1 would be a name, looked for among all others each time
				b.WriteByte('?')
			}
		}
		b.WriteByte(')')
	}
	return b.String()
}

// finish wants every table to have been there.
func (f *filler) finish(ctx context.Context) error {
	if err := f.flush(ctx); err != nil {
		return err
	}
	if len(f.left) > 0 {
		return broken("table %s is missing", f.left[0].Name)
	}
	return nil
}

// decode is the other direction of encode.
func decode(kind string, value any) (any, error) {
	switch v := value.(type) {
	case nil:
		return nil, nil
	case bool:
		if kind == "boolean" {
			return v, nil
		}
	case json.Number:
		if kind == "integer" {
			return v.Int64()
		}
	case string:
		switch kind {
		case "text":
			return v, nil
		case "bytes":
			b, err := base64.StdEncoding.Strict().DecodeString(v)
			if b == nil {
				b = []byte{} // nil would be NULL
			}
			return b, err
		}
	}
	return nil, fmt.Errorf("not %s", kind)
}
