package main

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/domicile-sso/domicile/config"
	"github.com/domicile-sso/domicile/regions"
)

func regionCommand() *cobra.Command {
	c := group("region", "Make keys, sign regions, list them",
		regionKeygenCommand(), regionSignCommand(), regionListCommand())
	c.Long = `Make keys, sign regions, list them.

The front door believes about a region only what the operator's root key signed:
its jurisdiction, the hosts its portals may have, and its public keys. Signed
records stand in a catalogue, a text file with one a line, which may be copied
about freely: altering it does no more harm than losing it.`
	c.Example = `  domicile region keygen root --out keys/root
  domicile region keygen region eu-central --jurisdiction EU --name Frankfurt \
      --host '*.eu.example.com' --out keys/eu-central
  domicile region sign keys/eu-central/eu-central.yaml \
      --root keys/root/root.key --out catalogue
  domicile region list catalogue --root-key keys/root/root.pub`
	return c
}

func regionSignCommand() *cobra.Command {
	var rootFile, out, valid string
	var atLeast int64
	var renew bool
	c := &cobra.Command{
		Use:   "sign FILE.yaml --root root.key --out CATALOGUE",
		Short: "Sign a region's description and put it into the catalogue",
		Long: `Sign a region's description and put it into the catalogue.

The region's line is added, or replaced by one of the next version; the lines of
other regions stay. When the line already says the same, and has more than half
of its time left, nothing is done, so that the command may be repeated.

The root key is needed for a moment only: keep it off the servers.`,
		Example: `  domicile region sign eu-central.yaml --root root.key --out catalogue
  domicile region sign eu-central.yaml --root root.key --out catalogue --valid 30d --renew`,
		Args: takes("the region's description (FILE.yaml)"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if rootFile == "" || out == "" {
				return misused("--root and --out are needed")
			}
			life, err := config.ParseDuration(valid)
			if err != nil || life < time.Hour {
				return misused("--valid: want a time of an hour or more, such as 90d")
			}
			return signRegion(cmd.OutOrStdout(), args[0], rootFile, out, life, atLeast, renew)
		},
	}
	c.Flags().StringVar(&rootFile, "root", "", "file of the root key")
	c.Flags().StringVar(&out, "out", "", "catalogue to add the record to; made when it is not there")
	c.Flags().StringVar(&valid, "valid", "90d", "how long the record is valid")
	c.Flags().Int64Var(&atLeast, "version-at-least", 1, "for a catalogue that was lost: the version that must not be fallen below")
	c.Flags().BoolVar(&renew, "renew", false, "sign again even when nothing has changed")
	return c
}

func signRegion(w io.Writer, file, rootFile, out string, life time.Duration, atLeast int64, renew bool) error {
	seed, err := readKey(config.RootKey, rootFile)
	if err != nil {
		return err
	}
	root := ed25519.NewKeyFromSeed(seed)
	described, err := config.LoadRegion(file)
	if err != nil {
		return err
	}
	lines, err := regions.ReadFile(out)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	now := time.Now().UTC().Truncate(time.Second)
	r := record(described, now, now.Add(life))
	r.Version = max(1, atLeast)

	at := len(lines) // where the record goes
	for i, line := range lines {
		other, err := regions.Inspect(line, []ed25519.PublicKey{root.Public().(ed25519.PublicKey)})
		var refused *regions.Refusal
		if errors.As(err, &refused) {
			if refused.Region == r.Region {
				return fmt.Errorf("%s holds a record of %s that this root key did not sign: take the line out, and sign with --version-at-least", out, r.Region)
			}
			continue // signed by another root key, and none of this command's business
		}
		if other.Region != r.Region {
			if err := apart(r, other); err != nil {
				return err
			}
			continue
		}
		if other.Jurisdiction != r.Jurisdiction {
			return fmt.Errorf("%s is in jurisdiction %s: a region cannot move to %s; give the one there another name", r.Region, other.Jurisdiction, r.Jurisdiction)
		}
		if !renew && other.Version >= atLeast && same(other, r) && other.Expires.Sub(now) > life/2 {
			fmt.Fprintf(w, "%s is unchanged: version %d, valid until %s\n", r.Region, other.Version, day(other.Expires))
			return nil
		}
		r.Version = max(other.Version+1, atLeast)
		at = i
	}

	signed, err := regions.Sign(r, root)
	if err != nil {
		return err
	}
	did := "replaced"
	if at == len(lines) {
		lines, did = append(lines, ""), "added"
	}
	lines[at] = signed
	if err := regions.WriteFile(out, lines); err != nil {
		return err
	}
	fmt.Fprintf(w, "%s %s (%s) in %s: version %d, valid until %s\n", did, r.Region, r.Jurisdiction, out, r.Version, day(r.Expires))
	return nil
}

func record(f *config.RegionFile, issued, expires time.Time) regions.Record {
	r := regions.Record{
		Region:       f.Region,
		Jurisdiction: f.Jurisdiction,
		Name:         f.Name,
		Issued:       issued,
		Expires:      expires,
		Hosts:        f.Hosts,
	}
	for _, k := range f.TicketKeys {
		r.TicketKeys = append(r.TicketKeys, regions.TicketKey{ID: regions.KeyID(k), Public: k})
	}
	for _, k := range f.PublishingKeys {
		r.PublishingKeys = append(r.PublishingKeys, regions.PublishingKey{ID: regions.KeyID(k), Public: k})
	}
	return r
}

// apart reports what two regions share that only one may have.
func apart(r, other regions.Record) error {
	for _, k := range r.TicketKeys {
		if slices.ContainsFunc(other.TicketKeys, func(o regions.TicketKey) bool { return o.ID == k.ID }) {
			return fmt.Errorf("ticket key %s is %s's: a ticket must open in one region only, so make %s a key of its own", k.ID, other.Region, r.Region)
		}
	}
	for _, k := range r.PublishingKeys {
		if slices.ContainsFunc(other.PublishingKeys, func(o regions.PublishingKey) bool { return o.ID == k.ID }) {
			return fmt.Errorf("publishing key %s is %s's: make %s a key of its own", k.ID, other.Region, r.Region)
		}
	}
	for _, h := range r.Hosts {
		if slices.Contains(other.Hosts, h) {
			return fmt.Errorf("host %s is %s's already: a host belongs to one region", h, other.Region)
		}
	}
	return nil
}

// same reports whether two records differ in version and times only.
func same(a, b regions.Record) bool {
	ticketID := func(k regions.TicketKey, o regions.TicketKey) bool { return k.ID == o.ID }
	publishID := func(k regions.PublishingKey, o regions.PublishingKey) bool { return k.ID == o.ID }
	return a.Name == b.Name && slices.Equal(a.Hosts, b.Hosts) &&
		slices.EqualFunc(a.TicketKeys, b.TicketKeys, ticketID) &&
		slices.EqualFunc(a.PublishingKeys, b.PublishingKeys, publishID)
}

func regionListCommand() *cobra.Command {
	var rootKeys []string
	c := &cobra.Command{
		Use:   "list CATALOGUE --root-key root.pub",
		Short: "Show what a catalogue says, and whether to believe it",
		Long: `Show what a catalogue says, and whether to believe it.

Every line is verified as a front door would. The exit code is 1 when a line is
refused or has expired. A record that ends within two weeks is marked "ends soon".`,
		Example: `  domicile region list catalogue --root-key root.pub
  domicile region list catalogue --root-key domicile-root-public:F3W…`,
		Args: takes("the catalogue"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(rootKeys) == 0 {
				return misused("--root-key is needed: without it nothing can be believed")
			}
			var roots []ed25519.PublicKey
			for _, k := range rootKeys {
				key, err := readPublic(config.RootPublic, k)
				if err != nil {
					return err
				}
				roots = append(roots, key)
			}
			return listRegions(cmd.OutOrStdout(), args[0], roots)
		},
	}
	c.Flags().StringArrayVar(&rootKeys, "root-key", nil, "public root key, or the file of one; may be given several times")
	return c
}

func listRegions(w io.Writer, catalogue string, roots []ed25519.PublicKey) error {
	lines, err := regions.ReadFile(catalogue)
	if err != nil {
		return err
	}
	now := time.Now()
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "REGION\tJURISDICTION\tNAME\tVERSION\tVALID UNTIL\tSTATUS")
	bad := 0
	for _, line := range lines {
		r, err := regions.Inspect(line, roots)
		if err == nil {
			err = r.Current(now)
		}
		status := "good"
		var refused *regions.Refusal
		switch {
		case errors.As(err, &refused):
			bad++
			status = "refused: " + string(refused.Code)
		case r.Expires.Sub(now) < 14*24*time.Hour:
			status = "ends soon"
		}
		if r.Region == "" { // its signature is not one of ours, so neither are its words
			fmt.Fprintf(table, "%s?\t\t\t\t\t%s\n", refused.Region, status)
			continue
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%s\t%s\n", r.Region, r.Jurisdiction, r.Name, r.Version, day(r.Expires), status)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if bad > 0 {
		return fmt.Errorf("%d of %d records would be refused", bad, len(lines))
	}
	return nil
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// readKey reads the file of a private key, which must be its owner's alone.
func readKey(kind config.Kind, path string) ([]byte, error) {
	if strings.HasPrefix(path, "domicile-") {
		return nil, misused("want the file of a %s, not the key itself: a command line is there for all to read", kind)
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read key: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("read key: others can read %s (mode %04o): chmod 600 it", path, info.Mode().Perm())
	}
	return readPublic(kind, path)
}

// readPublic reads a key that is given as its text or as the path of its file.
// What looks like a text is never taken for a path, nor repeated: it may be a
// private key by mistake.
func readPublic(kind config.Kind, given string) ([]byte, error) {
	if strings.HasPrefix(given, "domicile-") {
		key, err := config.DecodeKey(kind, given)
		if err != nil {
			return nil, fmt.Errorf("read key: %w", err)
		}
		return key, nil
	}
	data, err := os.ReadFile(given)
	if err != nil {
		return nil, fmt.Errorf("read key: %w", err)
	}
	key, err := config.DecodeKey(kind, string(data))
	if err != nil {
		return nil, fmt.Errorf("read key: %s: %w", given, err)
	}
	return key, nil
}
