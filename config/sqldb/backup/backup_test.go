package backup_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/domicile-sso/domicile/config/sqldb/backup"
	"github.com/domicile-sso/domicile/config/sqldb/sqltest"
)

var key = bytes.Repeat([]byte{7}, 32)

func migrations() fs.FS {
	return fstest.MapFS{"0001_start.sql": {Data: []byte(`-- +goose Up
CREATE TABLE thing (id TEXT PRIMARY KEY, n BIGINT NOT NULL, raw BYTEA, live BOOLEAN NOT NULL, note TEXT);
CREATE TABLE part (thing TEXT NOT NULL REFERENCES thing (id), id INTEGER NOT NULL);
CREATE TABLE counter (id INTEGER PRIMARY KEY, last BIGINT NOT NULL);
INSERT INTO counter (id, last) VALUES (1, 0);
`)}}
}

func tables() []backup.Table {
	return []backup.Table{{"thing", ""}, {"part", ""}, {"counter", "last = 0"}}
}

// things fills a database with rows of every kind, and more than one batch.
func things(t *testing.T, db *sql.DB) {
	t.Helper()
	do := func(query string, args ...any) {
		t.Helper()
		if _, err := db.ExecContext(t.Context(), query, args...); err != nil {
			t.Fatal(err)
		}
	}
	const put = `INSERT INTO thing (id, n, raw, live, note) VALUES ($1, $2, $3, $4, $5)`
	do(put, "none", 0, nil, false, nil)
	do(put, "empty", -1<<63, []byte{}, true, "")
	do(put, "odd \" \\ \n\t\u2028 <ü> 😀", 1<<63-1, []byte{0, 0xff, '"'}, true, "null")
	do(put, "large", 1<<53+1, bytes.Repeat([]byte("x"), 2<<20), false, strings.Repeat("é", 1<<20))
	for i := range 1000 {
		do(put, fmt.Sprintf("thing %04d", i), i, []byte{byte(i)}, i%2 == 0, "note")
		do(`INSERT INTO part (thing, id) VALUES ($1, $2)`, fmt.Sprintf("thing %04d", i), i)
	}
	do(`UPDATE counter SET last = 4711`)
}

// dump is all there is, as text.
func dump(t *testing.T, db *sql.DB) []string {
	t.Helper()
	var all []string
	for _, query := range []string{
		`SELECT id, n, raw, raw IS NULL, live, note FROM thing`, `SELECT thing, id, NULL, TRUE, FALSE, NULL FROM part`,
		`SELECT '', id, NULL, TRUE, last = 4711, NULL FROM counter`,
	} {
		rows, err := db.QueryContext(t.Context(), query)
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			var id string
			var n int64
			var raw []byte
			var live, none bool
			var note sql.NullString
			if err := rows.Scan(&id, &n, &raw, &none, &live, &note); err != nil {
				t.Fatal(err)
			}
			all = append(all, fmt.Sprintf("%q %d %t %.40x %d %t %q %t", id, n, none, raw, len(raw), live, note.String, note.Valid))
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

func write(t *testing.T, db *sql.DB) []byte {
	t.Helper()
	var out bytes.Buffer
	h := backup.Header{Role: "test", Schema: 1, Taken: time.Unix(1, 0).UTC(), Binary: "x"}
	if _, err := backup.Write(t.Context(), &out, db, h, tables(), key, nil); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func restore(t *testing.T, db *sql.DB, text []byte) error {
	t.Helper()
	_, err := backup.Restore(t.Context(), bytes.NewReader(text), db, tables(), [][]byte{key},
		func(context.Context, *sql.Tx, backup.Header) error { return nil }, nil)
	return err
}

// From either database into the other and back, nothing changes.
func TestThereAndBack(t *testing.T) {
	lite, post := sqltest.SQLite(t, migrations()), sqltest.Postgres(t, migrations())
	things(t, lite)
	want := dump(t, lite)
	if err := restore(t, post, write(t, lite)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, dump(t, post)); diff != "" {
		t.Errorf("SQLite to Postgres (-want +got):\n%s", diff)
	}
	again := sqltest.SQLite(t, migrations())
	if err := restore(t, again, write(t, post)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, dump(t, again)); diff != "" {
		t.Errorf("Postgres to SQLite (-want +got):\n%s", diff)
	}
	other := sqltest.Postgres(t, migrations())
	if err := restore(t, other, write(t, post)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, dump(t, other)); diff != "" {
		t.Errorf("Postgres to Postgres (-want +got):\n%s", diff)
	}
}

func TestHeaderAndProgress(t *testing.T) {
	db := sqltest.SQLite(t, migrations())
	things(t, db)
	h := backup.Header{Role: "portal", Region: "eu", Jurisdiction: "EU", Schema: 3, Taken: time.Unix(1700000000, 0).UTC(), Binary: "b"}
	var out bytes.Buffer
	var notes int
	wrote, err := backup.Write(t.Context(), &out, db, h, tables(), key, func(p backup.Progress) { notes++ })
	if err != nil {
		t.Fatal(err)
	}
	got, read, err := backup.Verify(t.Context(), &out, [][]byte{bytes.Repeat([]byte{1}, 32), key}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	h.Format = 1
	if diff := cmp.Diff(h, got); diff != "" {
		t.Errorf("header (-want +got):\n%s", diff)
	}
	if wrote.Rows != 2005 || wrote.Tables != 3 || read.Rows != wrote.Rows || notes < 4 {
		t.Errorf("wrote %+v, read %+v, %d notes", wrote, read, notes)
	}
}

// A backup sees one moment, whatever is written meanwhile, and holds no writer
// up.
func TestOneMoment(t *testing.T) {
	sqltest.Each(t, migrations(), func(t *testing.T, db *sql.DB) {
		things(t, db)
		var out bytes.Buffer
		wrote := false
		_, err := backup.Write(t.Context(), &out, db, backup.Header{Role: "test"}, tables(), key, func(p backup.Progress) {
			if p.Table != "thing" || wrote {
				return
			}
			wrote = true
			for _, q := range []string{`INSERT INTO thing (id, n, live) VALUES ('late', 1, true)`, `INSERT INTO part (thing, id) VALUES ('late', 1)`,
				`UPDATE counter SET last = 1`} {
				if _, err := db.ExecContext(t.Context(), q); err != nil {
					t.Error(err)
				}
			}
		})
		if err != nil || !wrote {
			t.Fatal(err, wrote)
		}
		fresh := sqltest.SQLite(t, migrations())
		if err := restore(t, fresh, out.Bytes()); err != nil {
			t.Fatal(err)
		}
		if all := strings.Join(dump(t, fresh), "\n"); strings.Contains(all, "late") || !strings.Contains(all, `"" 1 true  0 true`) {
			t.Error("the backup holds what was written after it began")
		}
	})
}

func TestBroken(t *testing.T) {
	db := sqltest.SQLite(t, migrations())
	if _, err := db.Exec(`INSERT INTO thing (id, n, live) VALUES ('a', 0, true), ('b', 1, false)`); err != nil {
		t.Fatal(err)
	}
	good := write(t, db)
	lines := unzipped(t, good)
	row := strings.Split(lines, "\n")[2]
	bent := map[string][]byte{
		"empty": nil, "not gzip": []byte("hello"), "not a backup": zipped(t, "{}\n"),
		"followed by more":   append(bytes.Clone(good), zipped(t, "more")...),
		"another value":      zipped(t, strings.Replace(lines, `"a"`, `"z"`, 1)),
		"a row less":         zipped(t, strings.Replace(lines, row+"\n", "", 1)),
		"a row twice":        zipped(t, strings.Replace(lines, row+"\n", row+"\n"+row+"\n", 1)),
		"another header":     zipped(t, strings.Replace(lines, `"role":"test"`, `"role":"Test"`, 1)),
		"no end":             zipped(t, lines[:strings.LastIndex(lines, `{"rows"`)]),
		"a format to come":   zipped(t, strings.Replace(lines, `"domicile_backup":1`, `"domicile_backup":2`, 1)),
		"a row of no table":  zipped(t, strings.Replace(lines, `{"table":"thing"`, row+"\n"+`{"table":"thing"`, 1)),
		"an unknown control": zipped(t, strings.Replace(lines, `{"table":"part"`, `{"tables":"part"`, 1)),
	}
	for i := 0; i < len(good); i += 7 {
		bent[fmt.Sprintf("cut off after %d", i)] = good[:i]
	}
	for name, text := range bent {
		if _, _, err := backup.Verify(t.Context(), bytes.NewReader(text), [][]byte{key}, nil, nil); !errors.Is(err, backup.ErrBroken) {
			t.Errorf("%s: verify says %v", name, err)
		}
		fresh := sqltest.SQLite(t, migrations())
		if err := restore(t, fresh, text); err == nil {
			t.Errorf("%s: it was restored", name)
		}
		if left := dump(t, fresh); len(left) != 1 || !strings.Contains(left[0], "false") {
			t.Errorf("%s: it left %q", name, left)
		}
		_ = fresh.Close()
	}
	if _, _, err := backup.Verify(t.Context(), bytes.NewReader(good), [][]byte{bytes.Repeat([]byte{8}, 32)}, nil, nil); !errors.Is(err, backup.ErrBroken) {
		t.Errorf("another key: %v", err)
	}
}

func unzipped(t *testing.T, text []byte) string {
	t.Helper()
	r, err := gzip.NewReader(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	all, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(all)
}

func zipped(t *testing.T, text string) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestOnlyIntoWhatIsEmpty(t *testing.T) {
	sqltest.Each(t, migrations(), func(t *testing.T, db *sql.DB) {
		from := sqltest.SQLite(t, migrations())
		things(t, from)
		text := write(t, from)
		for _, used := range []string{`INSERT INTO thing (id, n, live) VALUES ('mine', 1, true)`, `UPDATE counter SET last = 1`} {
			if _, err := db.Exec(used); err != nil {
				t.Fatal(err)
			}
			if err := restore(t, db, text); !errors.Is(err, backup.ErrNotEmpty) {
				t.Errorf("%s: %v", used, err)
			}
			if n := len(dump(t, db)); n > 2 {
				t.Errorf("%s: %d rows after a refused restore", used, n)
			}
			if _, err := db.Exec(`DELETE FROM thing`); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := db.Exec(`UPDATE counter SET last = 0`); err != nil {
			t.Fatal(err)
		}
		failed := errors.New("after")
		_, err := backup.Restore(t.Context(), bytes.NewReader(text), db, tables(), [][]byte{key},
			func(context.Context, *sql.Tx, backup.Header) error { return failed }, nil)
		if !errors.Is(err, failed) || len(dump(t, db)) != 1 {
			t.Errorf("what failed afterwards (%v) left %d rows", err, len(dump(t, db)))
		}
		if err := restore(t, db, text); err != nil {
			t.Error(err)
		}
		if err := restore(t, db, text); !errors.Is(err, backup.ErrNotEmpty) {
			t.Errorf("a second time: %v", err)
		}
	})
}

func TestOtherTables(t *testing.T) {
	from := sqltest.SQLite(t, migrations())
	things(t, from)
	text := write(t, from)
	db := sqltest.SQLite(t, migrations())
	if _, err := db.Exec(`ALTER TABLE part ADD COLUMN more TEXT`); err != nil {
		t.Fatal(err)
	}
	if err := restore(t, db, text); err == nil || !strings.Contains(err.Error(), "other columns") {
		t.Errorf("a column more: %v", err)
	}
	// The column is backed up without a word of code.
	if _, err := db.Exec(`INSERT INTO thing (id, n, live) VALUES ('a', 0, true); INSERT INTO part (thing, id, more) VALUES ('a', 1, 'said')`); err != nil {
		t.Fatal(err)
	}
	if all := unzipped(t, write(t, db)); !strings.Contains(all, `"said"`) {
		t.Error("a column that came later is not backed up")
	}
	if _, err := db.Exec(`ALTER TABLE part ADD COLUMN odd REAL`); err != nil {
		t.Fatal(err)
	}
	_, err := backup.Write(t.Context(), io.Discard, db, backup.Header{}, tables(), key, nil)
	if err == nil || !strings.Contains(err.Error(), "odd") {
		t.Errorf("a column of a kind that nobody knows: %v", err)
	}
}

func TestVoid(t *testing.T) {
	sqltest.Each(t, migrations(), func(t *testing.T, db *sql.DB) {
		things(t, db)
		before := len(dump(t, db))
		failed := errors.New("after")
		err := backup.Void(t.Context(), db, []string{"part"}, func(context.Context, *sql.Tx) error { return failed })
		if !errors.Is(err, failed) || len(dump(t, db)) != before {
			t.Errorf("what failed (%v) left %d rows of %d", err, len(dump(t, db)), before)
		}
		if err := backup.Void(t.Context(), db, []string{"part"}, func(context.Context, *sql.Tx) error { return nil }); err != nil {
			t.Fatal(err)
		}
		if got := len(dump(t, db)); got != before-1000 {
			t.Errorf("%d rows are left of %d", got, before)
		}
	})
}
