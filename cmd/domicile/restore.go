package main

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"io"
	"os"
	"time"

	"filippo.io/age"
	"github.com/spf13/cobra"

	"github.com/domicile-sso/domicile/config/sqldb/backup"
)

func restoreCommand() *cobra.Command {
	var path, identity, recovered string
	var check, quiet bool
	c := &cobra.Command{
		Use:   "restore --config FILE --identity KEY BACKUP",
		Short: "Put a backup into an empty database",
		Long: `Put a backup into an empty database, SQLite or PostgreSQL whatever it was made on.

The database must have been brought forward by "domicile migrate up" and not used
since; no server may run on it. First the whole backup is read: one that was cut
short or changed, or is of another region, jurisdiction, role or schema version,
is refused before anything is written. Then everything is written in one
transaction.

What could be used once and may have been used since the backup is refused from
now on: sessions, links, temporary passwords, sign-ins under way, tickets and
assertions from before. What was changed by hand since the backup, such as an
account that was disabled, is as it was: the command says what to look after.

With --check the backup is read to its end and nothing is written.

A database that came back by other means, such as a replica that was behind when
it was promoted, a recovery to a point in time or a file copied back, knows as
little of what was used since. With --recovered and the time it is of, and no
backup, the same is made void there. It may not be done to a running server.`,
		Example: `  domicile migrate up eu.yaml
  domicile restore --config eu.yaml --identity backup.key eu-2026-11-20.backup`,
		Args: func(cmd *cobra.Command, args []string) error {
			if recovered != "" {
				return noArgs(cmd, args)
			}
			return takes("the backup (BACKUP)")(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			v, err := subjectOf(path)
			if err != nil {
				return err
			}
			if recovered != "" {
				return v.recovered(cmd, recovered)
			}
			f, err := os.Open(args[0])
			if err != nil {
				return err
			}
			defer f.Close()
			keys, err := parseIdentities(identity)
			if err != nil {
				return err
			}
			return v.restore(cmd, &sealedFile{f, keys}, check, quiet)
		},
	}
	c.Flags().StringVar(&path, "config", "", "configuration file of the server whose database it is")
	c.Flags().StringVar(&identity, "identity", "", "file with the private age key")
	c.Flags().StringVar(&recovered, "recovered", "", "instead of a backup: the time to which the database itself was brought back, such as 2026-11-20T12:00:00Z")
	c.Flags().BoolVar(&check, "check", false, "only read the backup and say what it is")
	c.Flags().BoolVar(&quiet, "quiet", false, "no progress")
	return required(c, "config")
}

func parseIdentities(path string) ([]age.Identity, error) {
	if path == "" {
		return nil, nil
	}
	if err := keptSecret(path); err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	keys, err := age.ParseIdentities(f)
	if err != nil {
		return nil, fmt.Errorf("--identity %s: %w", path, err)
	}
	return keys, nil
}

// A sealedFile is a backup that can be read from its beginning several times.
type sealedFile struct {
	*os.File
	keys []age.Identity
}

func (f *sealedFile) begin() (io.Reader, error) {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	var magic [2]byte
	if _, err := io.ReadFull(f.File, magic[:]); err != nil {
		return nil, fmt.Errorf("%w: it is too short", backup.ErrBroken)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	if bytes.Equal(magic[:], []byte{0x1f, 0x8b}) {
		return f.File, nil // gzip: it was written without encryption
	}
	if len(f.keys) == 0 {
		return nil, misused("--identity is missing: the private key that the backup is encrypted to")
	}
	clear, err := age.Decrypt(f.File, f.keys...)
	if err != nil {
		return nil, fmt.Errorf("decrypt the backup: %w", err)
	}
	return clear, nil
}

func (v *subject) restore(cmd *cobra.Command, f *sealedFile, check, quiet bool) error {
	db, err := v.open(cmd.Context())
	if err != nil {
		return err
	}
	defer db.Close()
	in, err := f.begin()
	if err != nil {
		return err
	}
	m := newMeter(cmd.ErrOrStderr(), "check", len(v.tables), quiet)
	h, found, err := backup.Verify(cmd.Context(), in, v.secrets, v.fits, m.note)
	m.done()
	if err != nil {
		return fmt.Errorf("%s: %w; nothing was written", f.Name(), err)
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s: %s, taken %s by %s, %s: whole\n",
		f.Name(), what(h), stamp(h.Taken), h.Binary, counted(int(found.Rows), "row"))
	if check {
		return nil
	}
	if in, err = f.begin(); err != nil {
		return err
	}
	var advice []string
	m = newMeter(cmd.ErrOrStderr(), "restore", len(v.tables), quiet)
	wrote, err := backup.Restore(cmd.Context(), in, db, v.tables, v.secrets, func(ctx context.Context, tx *sql.Tx, h backup.Header) error {
		if err := v.fits(h); err != nil {
			return err
		}
		advice, err = v.restored(ctx, db, tx, h)
		return err
	}, m.note)
	m.done()
	if err != nil {
		return fmt.Errorf("restore %s: %w; nothing was written", f.Name(), err)
	}
	fmt.Fprintf(cmd.OutOrStdout(), "restored %s as of %s: %s in %s\n", what(h), stamp(h.Taken), counted(int(wrote.Rows), "row"), counted(wrote.Tables, "table"))
	for _, a := range advice {
		fmt.Fprintf(cmd.OutOrStdout(), "- %s\n", a)
	}
	return nil
}

// recovered voids what may have been used since a time.
func (v *subject) recovered(cmd *cobra.Command, at string) error {
	taken, err := time.Parse(time.RFC3339, at)
	if err != nil || taken.After(time.Now()) {
		return misused("--recovered: want a time that is past, such as 2026-11-20T12:00:00Z")
	}
	db, err := v.open(cmd.Context())
	if err != nil {
		return err
	}
	defer db.Close()
	h := v.header
	h.Taken = taken
	var advice []string
	err = backup.Void(cmd.Context(), db, v.left, func(ctx context.Context, tx *sql.Tx) error {
		advice, err = v.restored(ctx, db, tx, h)
		return err
	})
	if err != nil {
		return fmt.Errorf("void what may have been used: %w; nothing was changed", err)
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s as of %s: what may have been used since is void\n", what(h), stamp(taken))
	for _, a := range advice {
		fmt.Fprintf(cmd.OutOrStdout(), "- %s\n", a)
	}
	return nil
}

// fits reports why a backup may not go into this database. Data of one
// jurisdiction never gets into another's.
func (v *subject) fits(h backup.Header) error {
	for _, c := range []struct{ what, have, want string }{
		{"role", h.Role, v.header.Role},
		{"jurisdiction", h.Jurisdiction, v.header.Jurisdiction},
		{"region", h.Region, v.header.Region},
		{"schema version", fmt.Sprint(h.Schema), fmt.Sprint(v.header.Schema)},
	} {
		if c.have != c.want {
			return fmt.Errorf("it is a backup of %s %s, and the configuration is of %s", c.what, cmp.Or(c.have, "none"), cmp.Or(c.want, "none"))
		}
	}
	return nil
}

// what names whose backup it is.
func what(h backup.Header) string {
	if h.Region == "" {
		return "the directory"
	}
	return "region " + h.Region + " (" + h.Jurisdiction + ")"
}

// A meter shows progress on a terminal, in one line that it writes over.
type meter struct {
	out    io.Writer // nil: quiet
	verb   string
	tables int
	last   time.Time
	shown  bool
}

func newMeter(out io.Writer, verb string, tables int, quiet bool) *meter {
	m := &meter{verb: verb, tables: tables}
	if f, ok := out.(*os.File); ok && !quiet {
		if info, err := f.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
			m.out = out
		}
	}
	return m
}

func (m *meter) note(p backup.Progress) {
	if m.out == nil || time.Since(m.last) < 200*time.Millisecond {
		return
	}
	m.last, m.shown = time.Now(), true
	fmt.Fprintf(m.out, "\r%s: table %d of %d (%s), %s, %s\x1b[K", m.verb, p.Tables, m.tables, p.Table, counted(int(p.Rows), "row"), bytesize(p.Bytes))
}

func (m *meter) done() {
	if m.shown {
		fmt.Fprint(m.out, "\r\x1b[K")
	}
}

func bytesize(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%d bytes", n)
}
