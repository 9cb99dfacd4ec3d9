package backup

import (
	"bufio"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"strconv"
	"unicode/utf8"

	"github.com/domicile-sso/domicile/config/sqldb"
)

// maxLine bounds a row, on the way out so that it is true on the way in.
const maxLine = 32 << 20

// Write writes the tables, in this order, as they are at one moment, with an
// HMAC under secret at the end. note, unless nil, hears of the progress.
func Write(ctx context.Context, out io.Writer, db *sql.DB, h Header, tables []Table, secret []byte, note func(Progress)) (Progress, error) {
	w := &writer{sum: sha256.New(), note: note, postgres: sqldb.OnPostgres(db)}
	squeezed, err := gzip.NewWriterLevel(out, gzip.BestSpeed)
	if err != nil {
		return w.Progress, err
	}
	w.out = bufio.NewWriterSize(squeezed, 64<<10)
	// On Postgres a snapshot taken by the first statement, on SQLite by the
	// first read: neither waits for writers, nor do they for us.
	tx, err := db.BeginTx(ctx, &sql.TxOptions{Isolation: w.isolation(), ReadOnly: true})
	if err != nil {
		return w.Progress, fmt.Errorf("begin: %w", err)
	}
	defer func() { _ = tx.Rollback() }()
	if err := patient(ctx, tx, w.postgres); err != nil {
		return w.Progress, fmt.Errorf("begin: %w", err)
	}
	h.Format = format
	if err := w.control(h); err != nil {
		return w.Progress, err
	}
	for _, t := range tables {
		if err := w.table(ctx, tx, t.Name); err != nil {
			return w.Progress, fmt.Errorf("table %s: %w", t.Name, err)
		}
	}
	last := control{Rows: w.Rows}
	if last.HMAC, err = seal(secret, w.sum.Sum(nil)); err != nil {
		return w.Progress, err
	}
	if err := w.control(last); err != nil {
		return w.Progress, err
	}
	if err := w.out.Flush(); err != nil {
		return w.Progress, err
	}
	return w.Progress, squeezed.Close()
}

type writer struct {
	Progress
	out      *bufio.Writer
	sum      hash.Hash
	note     func(Progress)
	postgres bool
	buf      []byte
}

func (w *writer) isolation() sql.IsolationLevel {
	if w.postgres {
		return sql.LevelRepeatableRead
	}
	return sql.LevelDefault // SQLite has but one, and it is serializable
}

func (w *writer) control(v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return w.line(text)
}

func (w *writer) line(text []byte) error {
	if len(text) > maxLine {
		return fmt.Errorf("a row of %d bytes is too large", len(text))
	}
	text = append(text, '\n')
	w.sum.Write(text)
	w.Bytes += int64(len(text))
	_, err := w.out.Write(text)
	return err
}

func (w *writer) table(ctx context.Context, tx *sql.Tx, name string) error {
	all, err := columns(ctx, tx, w.postgres, name)
	if err != nil {
		return err
	}
	w.Table, w.Tables = name, w.Tables+1
	if err := w.control(control{Table: name, Columns: all}); err != nil {
		return err
	}
	rows, err := tx.QueryContext(ctx, `SELECT `+quoted(all)+` FROM "`+name+`"`)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	values, into := make([]any, len(all)), make([]any, len(all))
	for i := range values {
		into[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return err
		}
		if err := w.row(all, values); err != nil {
			return err
		}
	}
	w.tell()
	return rows.Err()
}

func (w *writer) row(all []column, values []any) error {
	text := append(w.buf[:0], '[')
	for i, c := range all {
		if i > 0 {
			text = append(text, ',')
		}
		var err error
		if text, err = encode(text, c.Kind, values[i]); err != nil {
			return fmt.Errorf("column %s: %w", c.Name, err)
		}
	}
	text = append(text, ']')
	w.buf = text
	if err := w.line(text); err != nil {
		return err
	}
	if w.Rows++; w.Rows%noteEvery == 0 {
		w.tell()
	}
	return nil
}

func (w *writer) tell() {
	if w.note != nil {
		w.note(w.Progress)
	}
}

// encode appends a value as JSON. What does not come back as it went is an
// error here, where there still is a database that has it.
func encode(text []byte, kind string, value any) ([]byte, error) {
	switch v := value.(type) {
	case nil:
		return append(text, "null"...), nil
	case string:
		if kind == "text" {
			return quote(text, v)
		}
	case int64:
		switch kind {
		case "integer":
			return strconv.AppendInt(text, v, 10), nil
		case "boolean": // SQLite keeps 0 and 1
			return strconv.AppendBool(text, v != 0), nil
		}
	case bool:
		if kind == "boolean" {
			return strconv.AppendBool(text, v), nil
		}
	case []byte:
		switch kind {
		case "bytes":
			text = append(text, '"')
			text = base64.StdEncoding.AppendEncode(text, v)
			return append(text, '"'), nil
		case "text":
			return quote(text, string(v))
		}
	}
	return nil, fmt.Errorf("holds a %T where %s is declared", value, kind)
}

func quote(text []byte, s string) ([]byte, error) {
	if !utf8.ValidString(s) {
		return nil, fmt.Errorf("holds text that is not UTF-8")
	}
	q, err := json.Marshal(s)
	return append(text, q...), err
}
