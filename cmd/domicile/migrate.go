package main

import (
	"database/sql"
	"fmt"
	"io/fs"
	"strings"

	"github.com/spf13/cobra"

	"github.com/domicile-sso/domicile/config"
	"github.com/domicile-sso/domicile/config/sqldb"
	discoverystore "github.com/domicile-sso/domicile/discovery/store"
	portalstore "github.com/domicile-sso/domicile/portal/store"
)

func migrateCommand() *cobra.Command {
	c := group("migrate", "Bring a database's schema in step with this binary",
		migrateStepCommand("status FILE", "Say whether the database is in step",
			"The exit code is 0 when it is, and 1 when a server would refuse to start on it.", migrateStatus),
		migrateStepCommand("up FILE", "Bring the database forward",
			"It is safe to repeat, and to run from several machines at once. There is no way\nback: keep a backup.", migrateUp))
	c.Long = `Bring a database's schema in step with this binary.

FILE is the configuration of the server whose database it is. A server refuses
to start on a database that is behind or ahead of it.`
	return c
}

func migrateStepCommand(use, short, long string, step func(*cobra.Command, *sql.DB, fs.FS) error) *cobra.Command {
	name, _, _ := strings.Cut(use, " ")
	return &cobra.Command{
		Use:     use,
		Short:   short,
		Long:    short + ".\n\n" + long,
		Example: "  domicile migrate " + name + " /etc/domicile/portal.yaml",
		Args:    takes("the configuration (FILE)"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := config.Load(args[0])
			if err != nil {
				return err
			}
			var location config.Secret
			var migrations fs.FS
			switch c := c.(type) {
			case *config.Discovery:
				location, migrations = c.Database, discoverystore.Migrations
			case *config.Portal:
				location, migrations = c.Database, portalstore.Migrations
			}
			db, err := sqldb.Options{Unhurried: true}.Open(cmd.Context(), location.Reveal())
			if err != nil {
				return err
			}
			defer db.Close()
			return step(cmd, db, migrations)
		},
	}
}

func migrateStatus(cmd *cobra.Command, db *sql.DB, migrations fs.FS) error {
	have, want, err := sqldb.Versions(cmd.Context(), db, migrations)
	if err != nil {
		return err
	}
	fmt.Fprintf(cmd.OutOrStdout(), "the database is at version %d\nthis binary needs       %d\n", have, want)
	if have != want {
		return &sqldb.VersionError{Have: have, Want: want}
	}
	fmt.Fprintln(cmd.OutOrStdout(), "the database is in step")
	return nil
}

func migrateUp(cmd *cobra.Command, db *sql.DB, migrations fs.FS) error {
	have, want, err := sqldb.Versions(cmd.Context(), db, migrations)
	switch {
	case err != nil:
		return err
	case have == want:
		fmt.Fprintf(cmd.OutOrStdout(), "nothing to do: the database is at version %d, in step\n", have)
		return nil
	}
	if err := sqldb.Migrate(cmd.Context(), db, migrations); err != nil {
		return err
	}
	fmt.Fprintf(cmd.OutOrStdout(), "brought the database from version %d to %d\n", have, want)
	return nil
}
