package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/domicile-sso/domicile/cmd/internal/serve"
	"github.com/domicile-sso/domicile/config"
	"github.com/domicile-sso/domicile/config/sqldb"
	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/federation/fetch"
	"github.com/domicile-sso/domicile/federation/saml"
	"github.com/domicile-sso/domicile/portal"
	"github.com/domicile-sso/domicile/portal/store"
)

// An operator works on a region's database beside the server that runs on it,
// which notices what changed within a second.
type operator struct {
	ctx      context.Context
	out      io.Writer
	name     string // of the region
	store    *store.Store
	outbound *http.Client // for addresses the operator types
	metadata []saml.MetadataOption
	now      func() time.Time
	typed    func(flag string) bool // whether a flag is on the command line
}

// onRegion makes a command that works on the region of a configuration file.
func onRegion(do func(*operator, []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		path, err := cmd.Flags().GetString("config")
		if err != nil {
			return err
		}
		if path == "" {
			return misused("--config is missing: the configuration file of the region's portals")
		}
		r, done, err := openRegion(cmd.Context(), path)
		if err != nil {
			return err
		}
		defer done()
		r.out, r.typed = cmd.OutOrStdout(), cmd.Flags().Changed
		return do(r, args)
	}
}

// openRegion opens what a server of the region works on. The caller calls done.
func openRegion(ctx context.Context, path string) (_ *operator, done func(), err error) {
	c, err := config.LoadPortal(path)
	if err != nil {
		return nil, nil, err
	}
	vault, err := portal.NewVault(c.Keys.DataKeys()...)
	if err != nil {
		return nil, nil, err
	}
	db, err := sqldb.Open(ctx, c.Database.Reveal())
	if err != nil {
		return nil, nil, err
	}
	if err := sqldb.Check(ctx, db, store.Migrations); err != nil {
		_ = db.Close()
		return nil, nil, err
	}
	people := store.New(db, vault, time.Now)
	if err := people.Settle(ctx, c.Region.Home(), c.Region.Jurisdiction); err != nil {
		_ = db.Close()
		return nil, nil, err
	}
	r := &operator{
		ctx: ctx, name: c.Region.Name, now: time.Now,
		store: people,
		outbound: fetch.New(fetch.Options{
			DangerouslyAllowLoopback: c.Fetch.DangerouslyAllowLoopback,
			Log:                      serve.Logger("text", slog.LevelInfo),
		}),
	}
	if c.Fetch.DangerouslyAllowLoopback {
		r.metadata = append(r.metadata, saml.DangerouslyAllowLoopback())
	}
	return r, func() { _ = db.Close() }, nil
}

// say prints one line of result.
func (r *operator) say(format string, args ...any) {
	fmt.Fprintf(r.out, format+"\n", args...)
}

// did says what holds now, and whether that is new.
func (r *operator) did(changed bool, format string, args ...any) {
	s := fmt.Sprintf(format, args...)
	if !changed {
		s += " Nothing changed: it was so already."
	}
	r.say("%s", s)
}

// unless gives a setting whose flag was not typed the value it has already: who
// repeats a command to change one thing must not undo another unawares.
func unless[T any](r *operator, flag string, setting *T, old T) {
	if !r.typed(flag) {
		*setting = old
	}
}

// unknown reports whether err says no more than that there is nothing of that
// name yet.
func unknown(err error) bool {
	var e *discovery.Error
	return errors.As(err, &e) && e.Kind == discovery.NotFound
}

// A table lines up what a list command found.
type table struct {
	out  io.Writer
	rows []string
}

func (r *operator) table(columns ...string) *table {
	t := &table{out: r.out}
	t.row(columns...)
	return t
}

func (t *table) row(cells ...string) { t.rows = append(t.rows, strings.Join(cells, "\t")) }

// done prints the table, or says that there was nothing to put into it.
func (t *table) done(empty string) error {
	if len(t.rows) == 1 {
		_, err := fmt.Fprintln(t.out, empty)
		return err
	}
	w := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', 0)
	for _, row := range t.rows {
		fmt.Fprintln(w, row)
	}
	return w.Flush()
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func date(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.DateOnly)
}

// required marks flags that must be there, and says so as a matter of usage.
func required(c *cobra.Command, names ...string) *cobra.Command {
	inner := c.RunE
	c.RunE = func(cmd *cobra.Command, args []string) error {
		for _, name := range names {
			if !cmd.Flags().Changed(name) {
				return misused("--%s is missing", name)
			}
		}
		return inner(cmd, args)
	}
	return c
}
