package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/domicile-sso/domicile/config"
	"github.com/domicile-sso/domicile/config/sqldb"
	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/discovery/store"
)

func directoryCommand() *cobra.Command {
	c := group("directory", "See what a front door's directory holds", directoryStatusCommand())
	c.PersistentFlags().String("config", "", "configuration file of the front door")
	return c
}

func directoryStatusCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show what the directory holds, and which keys it depends on",
		Long: `Show what the directory holds, and which keys it depends on.

It reads every row, as the front doors would: with the cookie keys and blind keys
of the configuration. It says which of them can be taken out: a cookie key when no
row carries its tag, a blind key when no entry is claimed under it. A hundred
million entries take some minutes; front doors are not held up.`,
		Example: "  domicile directory status --config discovery.yaml",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			path, err := cmd.Flags().GetString("config")
			if err != nil {
				return err
			}
			if path == "" {
				return misused("--config is missing: the configuration file of the front door")
			}
			return directoryStatus(cmd.Context(), cmd.OutOrStdout(), path)
		},
	}
}

func directoryStatus(ctx context.Context, out io.Writer, path string) error {
	c, err := config.LoadDiscovery(path)
	if err != nil {
		return err
	}
	tags, err := store.NewTagKey(c.CookieSecrets())
	if err != nil {
		return err
	}
	db, err := sqldb.Open(ctx, c.Database.Reveal())
	if err != nil {
		return err
	}
	defer db.Close()
	if err := sqldb.Check(ctx, db, store.Migrations); err != nil {
		return err
	}
	all, err := store.New(db, store.Options{Snapshot: new(discovery.Snapshot), Tags: tags}).Census(ctx)
	if err != nil {
		return err
	}
	t := &table{out: out}
	t.row("REGION", "LAST CLAIM", "POSITION", "PORTALS", "ROUTES", "ENTRIES BY BLIND KEY", "TO RETAG", "STATUS")
	for _, r := range all {
		t.row(r.Region, r.Applied.Format(time.RFC3339), count(r.Last), count(r.Portals), count(r.Routes), byVersion(r.Entries), count(r.Older), statusOf(r))
	}
	if err := t.done("No region has claimed anything yet."); err != nil || len(all) == 0 {
		return err
	}
	sayCookieKeys(out, len(c.CookieKeys), all)
	sayBlindKeys(out, c.BlindIDKeys, all)
	return nil
}

func statusOf(t store.Tally) string {
	switch {
	case t.Forged > 0:
		return fmt.Sprintf("%d rows are nobody's", t.Forged)
	case !t.Whole:
		return "publishing again"
	}
	return "good"
}

func byVersion(entries map[byte]int64) string {
	var parts []string
	for _, v := range slices.Sorted(maps.Keys(entries)) {
		parts = append(parts, fmt.Sprintf("v%d: %d", v, entries[v]))
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, ", ")
}

// sayCookieKeys says whether cookie keys behind the first are needed.
func sayCookieKeys(out io.Writer, keys int, all []store.Tally) {
	var older, forged int64
	for _, t := range all {
		older, forged = older+t.Older, forged+t.Forged
	}
	switch {
	case forged > 0:
		fmt.Fprintf(out, "Cookie keys: %d rows carry the tag of none of them. If a key is missing from the list, put it back before a front door drops the rows.\n", forged)
	case older > 0:
		fmt.Fprintf(out, "Cookie keys: %d rows carry the tag of an older key; front doors with the current key in front tag them anew.\n", older)
	case keys > 1:
		fmt.Fprintln(out, "Cookie keys: no row depends on any but the first.")
	default:
		fmt.Fprintln(out, "Cookie keys: there is one, and every row carries its tag.")
	}
}

// sayBlindKeys says under which of the versions that are looked up nothing is
// claimed, and under which something is claimed that is not looked up.
func sayBlindKeys(out io.Writer, keys []config.BlindIDKey, all []store.Tally) {
	claimed := map[byte]int64{}
	for _, t := range all {
		for v, n := range t.Entries {
			claimed[v] += n
		}
	}
	for _, k := range keys {
		switch n := claimed[k.Version]; {
		case n > 0:
			fmt.Fprintf(out, "Blind key version %d: %d entries.\n", k.Version, n)
		default:
			fmt.Fprintf(out, "Blind key version %d: no entry depends on it.\n", k.Version)
		}
		delete(claimed, k.Version)
	}
	for _, v := range slices.Sorted(maps.Keys(claimed)) {
		fmt.Fprintf(out, "Blind key version %d: %d entries that no lookup finds, since the key is not in the configuration.\n", v, claimed[v])
	}
}
