package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"filippo.io/age"
	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"

	"github.com/domicile-sso/domicile/config"
	"github.com/domicile-sso/domicile/regions"
	"github.com/domicile-sso/domicile/regions/ticket"
)

// A keyFile is one file that keygen writes.
type keyFile struct {
	name   string
	remark string
	text   string
	secret bool
}

func regionKeygenCommand() *cobra.Command {
	c := group("keygen", "Make the keys of one party",
		keygenCommand("root", "Make the operator's root key, which signs regions",
			"root.key signs region records: keep it offline. root.pub goes into every front door's\nconfiguration (catalogue.root_keys).", rootFiles),
		keygenCommand("front-door", "Make the keys of a front door",
			"front-door.key signs inside tickets, cookie.key protects the front door's cookies;\nboth stay there. front-door.pub goes into every region's configuration\n(front_door.ticket_keys).", frontDoorFiles),
		keygenCommand("blind-id", "Make a key that blinds addresses",
			"blind-id.key must be the same on the front door and in every region: copy it there\nby a way you trust (blind_id_keys). Without it, the directory tells nobody anything.", blindIDFiles),
		keygenCommand("backup", "Make a key pair for backups",
			"backup.pub encrypts backups and may lie on every server (domicile backup --recipient).\nbackup.key reads them: keep it offline, and not in one place only, since without it\nthere is no restoring. Both are keys of age-encryption.org, and resist quantum\ncomputers.", backupFiles),
		keygenRegionCommand(),
		keygenCommand("cookie", "Make a cookie key of a front door, to take over from another",
			"cookie.key goes to every front door on the same database: first behind the older one\nunder cookie_key_files, then in front of it.", cookieFiles),
		keygenCommand("signing", "Make a key that signs inside tickets, to take over from another",
			"front-door.key takes the place of the front door's ticket_key_file, once front-door.pub\nstands in every region's configuration (front_door.ticket_keys) beside the older one.", signingFiles),
		keygenCommand("ticket", "Make a region's key that opens tickets, to take over from another",
			"ticket.key goes in front of the older one under keys.ticket_key_files; then the line\nof ticket.pub goes in front under ticket_keys of the region's description, which is\nsigned again.", ticketFiles),
		keygenCommand("publishing", "Make a region's key that signs claims, to take over from another",
			"The line of publishing.pub goes under publishing_keys of the region's description,\nwhich is signed again; then publishing.key takes the place of the region's\nkeys.publishing_key_file.", publishingFiles),
		keygenCommand("data", "Make a region's data key, to take over from another",
			"data.key goes to every server of the region: first behind the older one under\nkeys.data_key_files, then in front of it. Then: domicile keys reseal.", dataFiles))
	c.Long = `Make the keys of one party, or a single key that takes over from another.

Private keys are written for their owner alone (mode 0600). No file is ever
overwritten: to roll a key over, write to another folder. docs/operating.md says
under "Rotating keys" step by step where a new one goes and when the old one may
be destroyed.`
	return c
}

func keygenCommand(name, short, long string, files func() ([]keyFile, error)) *cobra.Command {
	var out string
	c := &cobra.Command{
		Use:     name + " --out DIR",
		Short:   short,
		Long:    short + ".\n\n" + long,
		Example: "  domicile region keygen " + name + " --out keys/" + name,
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if out == "" {
				return misused("--out is needed: the folder to write to")
			}
			fs, err := files()
			if err != nil {
				return err
			}
			return writeKeys(cmd.OutOrStdout(), out, fs)
		},
	}
	c.Flags().StringVar(&out, "out", "", "folder to write to; made when it is not there")
	return c
}

func keygenRegionCommand() *cobra.Command {
	var out, jurisdiction, name string
	var hosts, standbys []string
	c := &cobra.Command{
		Use:   "region REGION --jurisdiction EU --name Frankfurt --host '*.eu.example.com' --out DIR",
		Short: "Make the keys of a region, and its description to be signed",
		Long: `Make the keys of a region, and its description to be signed.

ticket.key opens tickets, publishing.key signs what the region tells the
directory, data.key seals secrets in its database; they stay in the region.
REGION.yaml holds the public halves and is what "domicile region sign" signs.`,
		Example: `  domicile region keygen region eu-central --jurisdiction EU --name Frankfurt \
      --host '*.eu.example.com' --host login.acme.example --out keys/eu-central`,
		Args: takes("the region's name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if out == "" || jurisdiction == "" || name == "" || len(hosts) == 0 {
				return misused("--jurisdiction, --name, --host and --out are needed")
			}
			files, err := regionFiles(regions.Record{Region: args[0], Jurisdiction: jurisdiction, Name: name, Hosts: hosts, Standbys: standbys})
			if err != nil {
				return err
			}
			return writeKeys(cmd.OutOrStdout(), out, files)
		},
	}
	c.Flags().StringVar(&out, "out", "", "folder to write to; made when it is not there")
	c.Flags().StringVar(&jurisdiction, "jurisdiction", "", "legal territory, such as EU")
	c.Flags().StringVar(&name, "name", "", "what people read, such as Frankfurt")
	c.Flags().StringArrayVar(&standbys, "standby", nil, "region of the same jurisdiction that stands in for this one, the first choice first; may be given several times")
	c.Flags().StringArrayVar(&hosts, "host", nil, "host of portals, or '*.' and a domain; may be given several times")
	return c
}

// signingPair makes an Ed25519 pair in the text form of two kinds.
func signingPair(private, public config.Kind) (secret, open string, err error) {
	pub, priv, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return "", "", fmt.Errorf("make key: %w", err)
	}
	return config.EncodeKey(private, priv.Seed()), config.EncodeKey(public, pub), nil
}

func random(kind config.Kind) string {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // it never fails: see crypto/rand
	return config.EncodeKey(kind, key)
}

func rootFiles() ([]keyFile, error) {
	private, public, err := signingPair(config.RootKey, config.RootPublic)
	return []keyFile{
		{"root.key", "The operator's root key. Keep it offline.", private, true},
		{"root.pub", "The operator's root key, public half.", public, false},
	}, err
}

func frontDoorFiles() ([]keyFile, error) {
	private, public, err := signingPair(config.FrontDoorKey, config.FrontDoorPub)
	return []keyFile{
		{"front-door.key", "Signs inside tickets. It stays on the front door.", private, true},
		{"front-door.pub", "Verifies tickets. It goes into every region's configuration.", public, false},
		{"cookie.key", "Protects the front door's cookies. It stays there.", random(config.CookieKey), true},
	}, err
}

func blindIDFiles() ([]keyFile, error) {
	return []keyFile{
		{"blind-id.key", "Blinds addresses. The same on the front door and in every region.", random(config.BlindKey), true},
	}, nil
}

func backupFiles() ([]keyFile, error) {
	k, err := age.GenerateHybridIdentity()
	if err != nil {
		return nil, fmt.Errorf("make key: %w", err)
	}
	return []keyFile{
		{"backup.key", "Reads backups. Keep it offline, in more than one place.", k.String(), true},
		{"backup.pub", "Encrypts backups.", k.Recipient().String(), false},
	}, nil
}

func cookieFiles() ([]keyFile, error) {
	return []keyFile{{"cookie.key", "Protects the front door's cookies. It stays there.", random(config.CookieKey), true}}, nil
}

func signingFiles() ([]keyFile, error) {
	files, err := frontDoorFiles()
	return files[:2], err
}

func ticketFiles() ([]keyFile, error) {
	opener, err := ticket.GenerateKey()
	if err != nil {
		return nil, err
	}
	return []keyFile{
		{"ticket.key", "Opens tickets. It stays in the region.", opener.Text(), true},
		{"ticket.pub", "Seals tickets. It goes into the region's description.", config.EncodeKey(config.TicketPublic, opener.Public().Public), false},
	}, nil
}

func publishingFiles() ([]keyFile, error) {
	private, public, err := signingPair(config.PublishingKey, config.PublishPublic)
	return []keyFile{
		{"publishing.key", "Signs claims. It stays in the region.", private, true},
		{"publishing.pub", "Verifies claims. It goes into the region's description.", public, false},
	}, err
}

func dataFiles() ([]keyFile, error) {
	return []keyFile{{"data.key", "Seals secrets in the database. It stays in the region.", random(config.DataKey), true}}, nil
}

func regionFiles(r regions.Record) ([]keyFile, error) {
	opener, err := ticket.GenerateKey()
	if err != nil {
		return nil, err
	}
	private, public, err := signingPair(config.PublishingKey, config.PublishPublic)
	if err != nil {
		return nil, err
	}
	// What could not be signed later is refused now.
	r.Version = 1
	if err := signable(r, opener.Public(), public); err != nil {
		return nil, err
	}
	described := yaml.MapSlice{
		{Key: "region", Value: r.Region},
		{Key: "jurisdiction", Value: r.Jurisdiction},
		{Key: "name", Value: r.Name},
		{Key: "hosts", Value: r.Hosts},
		{Key: "ticket_keys", Value: []string{config.EncodeKey(config.TicketPublic, opener.Public().Public)}},
		{Key: "publishing_keys", Value: []string{public}},
	}
	if len(r.Standbys) > 0 {
		described = append(described, yaml.MapItem{Key: "standbys", Value: r.Standbys})
	}
	description, err := yaml.Marshal(described)
	if err != nil {
		return nil, fmt.Errorf("describe region: %w", err)
	}
	return []keyFile{
		{"ticket.key", "Opens tickets. It stays in " + r.Region + ".", opener.Text(), true},
		{"publishing.key", "Signs claims. It stays in " + r.Region + ".", private, true},
		{"data.key", "Seals secrets in the database. It stays in " + r.Region + ".", random(config.DataKey), true},
		{r.Region + ".yaml", "Sign this with: domicile region sign", strings.TrimSpace(string(description)), false},
	}, nil
}

// signable reports why a record of r with these keys could not be signed. A key
// of the moment tries it.
func signable(r regions.Record, opener regions.TicketKey, publishing string) error {
	public, err := config.DecodeKey(config.PublishPublic, publishing)
	if err != nil {
		return err
	}
	r.TicketKeys = []regions.TicketKey{opener}
	r.PublishingKeys = []regions.PublishingKey{{Public: public}}
	r.Issued = time.Unix(1, 0)
	r.Expires = r.Issued.Add(time.Hour)
	_, try, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return fmt.Errorf("make key: %w", err)
	}
	_, err = regions.Sign(r, try)
	return err
}

// writeKeys writes all files or none.
func writeKeys(w io.Writer, dir string, files []keyFile) error {
	for _, f := range files {
		path := filepath.Join(dir, f.name)
		switch _, err := os.Lstat(path); {
		case err == nil:
			return fmt.Errorf("%s is there already: keys are never overwritten", path)
		case !errors.Is(err, fs.ErrNotExist): // such as a file where the folder should be
			return fmt.Errorf("write keys: %w", err)
		}
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("write keys: %w", err)
	}
	for _, f := range files {
		path := filepath.Join(dir, f.name)
		mode, what := fs.FileMode(0o644), "public"
		if f.secret {
			mode, what = 0o600, "secret"
		}
		if err := writeNew(path, "# "+f.remark+"\n"+f.text+"\n", mode); err != nil {
			return fmt.Errorf("write keys: %w", err)
		}
		fmt.Fprintf(w, "wrote %s (%s)\n", path, what)
	}
	return nil
}

func writeNew(path, text string, mode fs.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Sync(), f.Close())
}
