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
	var s signing
	var valid string
	var publish bool
	var at consulFlags
	c := &cobra.Command{
		Use:   "sign FILE.yaml --root root.key --out CATALOGUE",
		Short: "Sign a region's description and put it into the catalogue",
		Long: `Sign a region's description and put it into the catalogue.

The region's line is added, or replaced by one of the next version; the lines of
other regions stay. When the line already says the same, and has more than half
of its time left, nothing is done, so that the command may be repeated.

The root key is needed for a moment only: keep it off the servers. When it has
replaced another, --trust names the other's public half: records that it signed
are replaced, in the same order of versions.

With --publish, the record then goes to Consul, where front doors read it within
a second. It never takes the place of a higher version there. The token needs
only this policy: key_prefix "domicile/regions/" { policy = "write" }.`,
		Example: `  domicile region sign eu-central.yaml --root root.key --out catalogue
  domicile region sign eu-central.yaml --root root.key --out catalogue --valid 30d --renew
  domicile region sign eu-central.yaml --root new/root.key --trust old/root.pub --out catalogue
  domicile region sign eu-central.yaml --root root.key --out catalogue --publish \
      --consul https://consul.internal:8501 --token-file signer.token`,
		Args: takes("the region's description (FILE.yaml)"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if s.rootFile == "" || s.out == "" {
				return misused("--root and --out are needed")
			}
			life, err := config.ParseDuration(valid)
			if err != nil || life < time.Hour {
				return misused("--valid: want a time of an hour or more, such as 90d")
			}
			if s.atLeast < 1 || s.atLeast > maxAtLeast {
				return misused("--version-at-least: want 1 to %d", maxAtLeast)
			}
			if publish != (at.address != "") {
				return misused("--publish and --consul go together")
			}
			if publish { // what is wrong with the flags should be known before anything is signed
				if _, err := at.client(nil); err != nil {
					return err
				}
			}
			s.file, s.life = args[0], life
			signed, err := s.sign(cmd.OutOrStdout())
			if err != nil || !publish {
				return err
			}
			c, err := at.client(s.trusted)
			if err != nil {
				return err
			}
			return publishRegion(cmd.Context(), cmd.OutOrStdout(), c, signed, s.trusted)
		},
	}
	at.add(c)
	c.Flags().BoolVar(&publish, "publish", false, "put the record into Consul as well")
	c.Flags().StringVar(&s.rootFile, "root", "", "file of the root key")
	c.Flags().StringVar(&s.out, "out", "", "catalogue to add the record to; made when it is not there")
	c.Flags().StringVar(&valid, "valid", "90d", "how long the record is valid")
	c.Flags().Int64Var(&s.atLeast, "version-at-least", 1, "for a catalogue that was lost: the version that must not be fallen below")
	c.Flags().BoolVar(&s.renew, "renew", false, "sign again even when nothing has changed")
	c.Flags().StringArrayVar(&s.trust, "trust", nil, "public half of a root key whose records this one may replace: its file or its text; may be given several times")
	return c
}

// maxAtLeast is more than anybody has signed, and leaves room for what will be: no
// version is ever lowered, so that a slip of the finger would stay.
const maxAtLeast = 1_000_000_000

// A signing is one run of "region sign".
type signing struct {
	file          string // the region's description
	rootFile, out string
	life          time.Duration
	atLeast       int64
	renew         bool
	trust         []string

	root    ed25519.PrivateKey
	trusted []ed25519.PublicKey // root keys that records in the catalogue may be signed with, the own one last
}

// sign returns the region's record, signed now or earlier, which is in the
// catalogue.
func (s *signing) sign(w io.Writer) (string, error) {
	if err := s.readKeys(); err != nil {
		return "", err
	}
	described, err := config.LoadRegion(s.file)
	if err != nil {
		return "", err
	}
	lines, err := regions.ReadFile(s.out)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	now := time.Now().UTC().Truncate(time.Second)
	r := record(described, now, now.Add(s.life))
	at, unsigned, err := s.place(r, lines)
	if err != nil {
		return "", err
	}
	r.Version = max(1, s.atLeast)
	did := "replaced"
	if at == len(lines) {
		lines, did = append(lines, ""), "added"
	} else {
		old, err := regions.Inspect(lines[at], s.trusted)
		if err != nil {
			return "", err
		}
		if s.stands(lines[at], old, r) {
			fmt.Fprintf(w, "%s is unchanged: version %d, valid until %s\n", r.Region, old.Version, day(old.Expires))
			return lines[at], nil
		}
		r.Version = max(old.Version+1, s.atLeast)
	}
	if lines[at], err = regions.Sign(r, s.root); err != nil {
		return "", err
	}
	if err := regions.WriteFile(s.out, lines); err != nil {
		return "", err
	}
	fmt.Fprintf(w, "%s %s (%s) in %s: version %d, valid until %s\n", did, r.Region, r.Jurisdiction, s.out, r.Version, day(r.Expires))
	for _, name := range unsigned {
		fmt.Fprintf(w, "%s stands in for nobody yet: sign its record as well\n", name)
	}
	return lines[at], nil
}

func (s *signing) readKeys() error {
	seed, err := readKey(config.RootKey, s.rootFile)
	if err != nil {
		return err
	}
	s.root = ed25519.NewKeyFromSeed(seed)
	if s.trusted, err = publicRoots(s.trust); err != nil {
		return err
	}
	s.trusted = append(s.trusted, s.root.Public().(ed25519.PublicKey))
	return nil
}

// place says which line of the catalogue is r's, the next one when none is yet,
// and which standbys of r no line is of. It refuses an r that cannot stand beside
// the other lines.
func (s *signing) place(r regions.Record, lines []string) (at int, unsigned []string, err error) {
	at, unsigned = len(lines), slices.Clone(r.Standbys)
	for i, line := range lines {
		other, err := regions.Inspect(line, s.trusted)
		var refused *regions.Refusal
		switch {
		case errors.As(err, &refused) && refused.Region == r.Region:
			return 0, nil, fmt.Errorf("%s holds a record of %s that this root key did not sign: name the one that did with --trust, or take the line out, and sign with --version-at-least", s.out, r.Region)
		case errors.As(err, &refused):
			// Signed by another root key, and none of this command's business.
		case other.Region != r.Region:
			if err := errors.Join(apart(r, other), standsIn(r, other), standsIn(other, r)); err != nil {
				return 0, nil, err
			}
			unsigned = slices.DeleteFunc(unsigned, func(name string) bool { return name == other.Region })
		case other.Jurisdiction != r.Jurisdiction:
			return 0, nil, fmt.Errorf("%s is in jurisdiction %s: a region cannot move to %s; give the one there another name", r.Region, other.Jurisdiction, r.Jurisdiction)
		default:
			at = i
		}
	}
	return at, unsigned, nil
}

// stands reports whether the line of old will do: it says the same as r under the
// same root key, and has more than half of its time left.
func (s *signing) stands(line string, old, r regions.Record) bool {
	_, foreign := regions.Inspect(line, s.trusted[len(s.trusted)-1:])
	return !s.renew && foreign == nil && old.Version >= s.atLeast && same(old, r) && old.Expires.Sub(r.Issued) > s.life/2
}

func record(f *config.RegionFile, issued, expires time.Time) regions.Record {
	r := regions.Record{
		Region:       f.Region,
		Jurisdiction: f.Jurisdiction,
		Name:         f.Name,
		Issued:       issued,
		Expires:      expires,
		Hosts:        f.Hosts,
		Standbys:     f.Standbys,
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

// standsIn reports that home names a standby that lies elsewhere: front doors
// would never send anybody there.
func standsIn(home, standby regions.Record) error {
	if slices.Contains(home.Standbys, standby.Region) && home.Jurisdiction != standby.Jurisdiction {
		return fmt.Errorf("%s (%s) names %s (%s) as a standby: one must lie in the same jurisdiction", home.Region, home.Jurisdiction, standby.Region, standby.Jurisdiction)
	}
	return nil
}

// same reports whether two records differ in version and times only.
func same(a, b regions.Record) bool {
	ticketID := func(k regions.TicketKey, o regions.TicketKey) bool { return k.ID == o.ID }
	publishID := func(k regions.PublishingKey, o regions.PublishingKey) bool { return k.ID == o.ID }
	return a.Name == b.Name && slices.Equal(a.Hosts, b.Hosts) && slices.Equal(a.Standbys, b.Standbys) &&
		slices.EqualFunc(a.TicketKeys, b.TicketKeys, ticketID) &&
		slices.EqualFunc(a.PublishingKeys, b.PublishingKeys, publishID)
}

func regionListCommand() *cobra.Command {
	var rootKeys []string
	var at consulFlags
	c := &cobra.Command{
		Use:   "list {CATALOGUE | --consul URL} --root-key root.pub",
		Short: "Show what a catalogue says, and whether to believe it",
		Long: `Show what a catalogue says, and whether to believe it.

Every line is verified as a front door would. The exit code is 1 when a line is
refused or has expired. A record that ends within two weeks is marked "ends soon".

With --consul, what Consul holds is shown instead, with the processes of each
region as they report themselves. The token needs what a front door's has.`,
		Example: `  domicile region list catalogue --root-key root.pub
  domicile region list catalogue --root-key domicile-root-public:F3W…
  domicile region list --consul http://127.0.0.1:8500 --token-file front.token --root-key root.pub`,
		Args: func(cmd *cobra.Command, args []string) error {
			if at.address != "" {
				return noArgs(cmd, args)
			}
			return takes("the catalogue")(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(rootKeys) == 0 {
				return misused("--root-key is needed: without it nothing can be believed")
			}
			roots, err := publicRoots(rootKeys)
			if err != nil {
				return err
			}
			if at.address == "" {
				return listRegions(cmd.OutOrStdout(), args[0], roots)
			}
			c, err := at.client(roots)
			if err != nil {
				return err
			}
			return listConsul(cmd.Context(), cmd.OutOrStdout(), c, roots)
		},
	}
	at.add(c)
	c.Flags().StringArrayVar(&rootKeys, "root-key", nil, "public root key, or the file of one; may be given several times")
	return c
}

func listRegions(w io.Writer, catalogue string, roots []ed25519.PublicKey) error {
	lines, err := regions.ReadFile(catalogue)
	if err != nil {
		return err
	}
	return listRecords(w, lines, roots, nil)
}

// listRecords verifies and shows records, and what health, if it is there, says
// of their regions.
func listRecords(w io.Writer, lines []string, roots []ed25519.PublicKey, health func(regions.Record) string) error {
	now := time.Now()
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	title, last := "", func(regions.Record) string { return "" }
	if health != nil {
		title, last = "\tPROCESSES", func(r regions.Record) string { return "\t" + health(r) }
	}
	fmt.Fprintln(table, "REGION\tJURISDICTION\tNAME\tVERSION\tVALID UNTIL\tSTATUS"+title)
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
		fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%s\t%s%s\n", r.Region, r.Jurisdiction, r.Name, r.Version, day(r.Expires), status, last(r))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if bad > 0 {
		return fmt.Errorf("%d of %d records would be refused", bad, len(lines))
	}
	return nil
}

// publicRoots reads root keys that are given as texts or files.
func publicRoots(given []string) ([]ed25519.PublicKey, error) {
	var roots []ed25519.PublicKey
	for _, k := range given {
		key, err := readPublic(config.RootPublic, k)
		if err != nil {
			return nil, err
		}
		roots = append(roots, key)
	}
	return roots, nil
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// readKey reads the file of a private key, which must be its owner's alone.
func readKey(kind config.Kind, path string) ([]byte, error) {
	if strings.HasPrefix(path, "domicile-") {
		return nil, misused("want the file of a %s, not the key itself: a command line is there for all to read", kind)
	}
	if err := keptSecret(path); err != nil {
		return nil, fmt.Errorf("read key: %w", err)
	}
	return readPublic(kind, path)
}

// keptSecret refuses a secret's file that others can read, by the rule of config.
func keptSecret(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if info.Mode().IsRegular() && config.Exposed(info) {
		return fmt.Errorf("others can read %s (mode %04o): chmod 600 it", path, info.Mode().Perm())
	}
	return nil
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
