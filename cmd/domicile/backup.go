package main

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"filippo.io/age"
	"github.com/spf13/cobra"

	"github.com/domicile-sso/domicile/config"
	"github.com/domicile-sso/domicile/config/sqldb"
	"github.com/domicile-sso/domicile/config/sqldb/backup"
	discoverystore "github.com/domicile-sso/domicile/discovery/store"
	"github.com/domicile-sso/domicile/portal"
	portalstore "github.com/domicile-sso/domicile/portal/store"
)

// A subject is the database of one role, seen as something to back up and restore.
type subject struct {
	header   backup.Header // what it is of; without the times
	location config.Secret
	schema   fs.FS
	tables   []backup.Table
	left     []string // tables that are not backed up
	secrets  [][]byte // the first authenticates backups, older ones are believed

	// restored finishes a restore in its transaction and says what to look after.
	restored func(context.Context, *sql.DB, *sql.Tx, backup.Header) (advice []string, err error)
}

func subjectOf(path string) (*subject, error) {
	c, err := config.Load(path)
	if err != nil {
		return nil, err
	}
	switch c := c.(type) {
	case *config.Portal:
		// Whoever stands in for a region works on that region's database.
		v := &subject{
			header:   backup.Header{Role: "portal", Region: c.Region.Home(), Jurisdiction: c.Region.Jurisdiction, Binary: version()},
			location: c.Database, schema: portalstore.Migrations, left: portalstore.Left(), secrets: c.Keys.DataKeys(),
		}
		for _, t := range portalstore.Kept() {
			v.tables = append(v.tables, backup.Table(t))
		}
		v.restored = func(ctx context.Context, db *sql.DB, tx *sql.Tx, h backup.Header) ([]string, error) {
			return afterRegion(ctx, c, db, tx, h)
		}
		return v, nil
	case *config.Discovery:
		v := &subject{
			header:   backup.Header{Role: "discovery", Binary: version()},
			location: c.Database, schema: discoverystore.Migrations, left: discoverystore.Left(), restored: afterDirectory,
		}
		for _, t := range discoverystore.Kept() {
			v.tables = append(v.tables, backup.Table(t))
		}
		v.secrets = c.CookieSecrets()
		return v, nil
	}
	return nil, fmt.Errorf("%s is of no role with a database", path)
}

func afterRegion(ctx context.Context, c *config.Portal, db *sql.DB, tx *sql.Tx, h backup.Header) ([]string, error) {
	keys, err := portal.NewVault(c.Keys.DataKeys()...)
	if err != nil {
		return nil, err
	}
	r, err := portalstore.New(db, keys, time.Now).Restored(ctx, tx, h.Taken)
	if err != nil {
		return nil, err
	}
	since := stamp(h.Taken)
	advice := []string{
		fmt.Sprintf("%s in %s. Everybody signs in anew; links sent by mail before are void.", counted(int(r.Accounts), "account"), counted(int(r.Portals), "portal")),
		"Who was disabled after " + since + " is enabled again: domicile account disable …",
		"Passwords, connections, domains and portals are as they were at " + since + ": what was changed since, change again.",
		"An audit head that was noted after " + since + " is not in the chain any more; the chain goes on with database.restored.",
	}
	if r.Temporary > 0 {
		advice = append(advice, fmt.Sprintf("%s void: invite these people again with domicile account invite …", counted(int(r.Temporary), "temporary password")))
	}
	return advice, nil
}

func afterDirectory(ctx context.Context, _ *sql.DB, tx *sql.Tx, h backup.Header) ([]string, error) {
	n, err := discoverystore.Restored(ctx, tx)
	return []string{
		fmt.Sprintf("%s will publish everything again as soon as a front door runs on this database.", counted(int(n), "region")),
		"Until a region has, who is not in the backup is told \"try again\".",
	}, err
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// open opens the database and completes the header.
func (v *subject) open(ctx context.Context) (*sql.DB, error) {
	db, err := sqldb.Options{Unhurried: true}.Open(ctx, v.location.Reveal())
	if err != nil {
		return nil, err
	}
	if v.header.Schema, err = sqldb.Version(ctx, db, v.schema); err != nil {
		_ = db.Close()
		return nil, err
	}
	if v.header.Region != "" {
		if err := portalstore.New(db, portal.Vault{}, time.Now).Belongs(ctx, v.header.Region, v.header.Jurisdiction); err != nil {
			_ = db.Close()
			return nil, err
		}
	}
	return db, nil
}

func backupCommand() *cobra.Command {
	var path, out string
	var recipients []string
	var plain, quiet bool
	c := &cobra.Command{
		Use:   "backup --config FILE --recipient KEY --out BACKUP",
		Short: "Write a backup of a region's database, or of the directory",
		Long: `Write a backup of a region's database, or of the directory.

The server may run: a backup holds what there was at one moment. It is encrypted
to the recipients, age keys such as "domicile region keygen backup" makes, given
as age1… or as a file with them. Whoever makes the backup cannot read it again:
that takes the private key, which belongs to a place that no server reaches.

The file is there whole, or not at all, and is never overwritten. Sessions,
links and sign-ins under way are not in it: what is used once stays used.`,
		Example: "  domicile backup --config eu.yaml --recipient keys/backup/backup.pub --out eu-$(date +%F).backup",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			to, err := parseRecipients(recipients)
			switch {
			case err != nil:
				return err
			case len(to) == 0 && !plain:
				return misused("--recipient is missing: the public key of whoever may read the backup")
			case len(to) > 0 && plain:
				return misused("--recipient and --dangerously-unencrypted exclude each other")
			}
			v, err := subjectOf(path)
			if err != nil {
				return err
			}
			return v.backup(cmd, out, to, newMeter(cmd.ErrOrStderr(), "backup", len(v.tables), quiet))
		},
	}
	c.Flags().StringVar(&path, "config", "", "configuration file of the server whose database it is")
	c.Flags().StringVar(&out, "out", "", "file to write")
	c.Flags().StringArrayVar(&recipients, "recipient", nil, "age1… or a file with such keys; may be given several times")
	c.Flags().BoolVar(&plain, "dangerously-unencrypted", false, "write it so that everybody who has the file can read all of it")
	c.Flags().BoolVar(&quiet, "quiet", false, "no progress")
	return required(c, "config", "out")
}

func parseRecipients(given []string) ([]age.Recipient, error) {
	var all []age.Recipient
	for _, r := range given {
		text := []byte(r)
		if !strings.HasPrefix(r, "age1") {
			var err error
			if text, err = os.ReadFile(r); err != nil {
				return nil, fmt.Errorf("read the recipients: %w", err)
			}
			if bytes.Contains(text, []byte("AGE-SECRET-KEY-")) {
				return nil, fmt.Errorf("%s is a private key: it belongs to where backups are restored, not here", r)
			}
		}
		some, err := age.ParseRecipients(bytes.NewReader(text))
		if err != nil {
			return nil, fmt.Errorf("--recipient: %w", err)
		}
		all = append(all, some...)
	}
	return all, nil
}

// backup writes a file beside the one wanted and gives it its name at the end.
func (v *subject) backup(cmd *cobra.Command, out string, to []age.Recipient, m *meter) (err error) {
	if _, err := os.Lstat(out); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is there already: a backup is never overwritten", out)
	}
	db, err := v.open(cmd.Context())
	if err != nil {
		return err
	}
	defer db.Close()
	f, err := os.CreateTemp(filepath.Dir(out), "."+filepath.Base(out)+".*") // mode 0600
	if err != nil {
		return fmt.Errorf("write the backup: %w", err)
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = os.Remove(f.Name())
		}
	}()
	sealed := io.WriteCloser(unclosed{f})
	if len(to) > 0 {
		if sealed, err = age.Encrypt(f, to...); err != nil {
			return fmt.Errorf("encrypt the backup: %w", err)
		}
	}
	v.header.Taken = time.Now().UTC().Truncate(time.Second)
	wrote, err := backup.Write(cmd.Context(), sealed, db, v.header, v.tables, v.secrets[0], m.note)
	m.done()
	if err != nil {
		return fmt.Errorf("write the backup: %w", err)
	}
	size, err := finish(f, sealed, out)
	if err != nil {
		return fmt.Errorf("write the backup: %w", err)
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s: %s, %s in %s, %s\n", out, what(v.header), counted(int(wrote.Rows), "row"), counted(wrote.Tables, "table"), bytesize(size))
	return nil
}

// unclosed is a file that somebody else closes.
type unclosed struct{ *os.File }

func (unclosed) Close() error { return nil }

// finish ends a file, on the disk and not only in memory, and names it.
func finish(f *os.File, sealed io.Closer, out string) (size int64, err error) {
	if err := sealed.Close(); err != nil {
		return 0, err
	}
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return 0, err
	}
	if err := os.Rename(f.Name(), out); err != nil {
		return 0, err
	}
	folder, err := os.Open(filepath.Dir(out))
	if err != nil {
		return 0, err
	}
	defer folder.Close()
	return info.Size(), folder.Sync()
}
