package main

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/domicile-sso/domicile/cmd/internal/serve"
	"github.com/domicile-sso/domicile/regions"
	"github.com/domicile-sso/domicile/regions/consul"
)

// consulTime is how long a command waits for Consul.
const consulTime = 15 * time.Second

// consulFlags say where Consul is.
type consulFlags struct{ address, tokenFile, prefix, datacenter, caFile string }

func (f *consulFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.address, "consul", "", "origin of a Consul agent, such as http://127.0.0.1:8500")
	c.Flags().StringVar(&f.tokenFile, "token-file", "", "file of the ACL token for Consul")
	c.Flags().StringVar(&f.prefix, "prefix", "domicile", "prefix of keys and services in Consul")
	c.Flags().StringVar(&f.datacenter, "datacenter", "", "datacenter of Consul; the agent's own when left out")
	c.Flags().StringVar(&f.caFile, "consul-ca", "", "file of the authorities to believe instead of the system's")
}

// client prepares a client that believes records of roots.
func (f *consulFlags) client(roots []ed25519.PublicKey) (*consul.Client, error) {
	u, err := url.Parse(f.address)
	if err != nil || u.Scheme != "https" && !(u.Scheme == "http" && onThisMachine(u.Hostname())) {
		return nil, misused("--consul: want https://host:port; http is only for this machine")
	}
	o := consul.Options{Address: f.address, Prefix: f.prefix, Datacenter: f.datacenter, Roots: roots, Now: time.Now}
	if f.tokenFile != "" {
		if o.Token, err = readToken(f.tokenFile); err != nil {
			return nil, err
		}
	}
	if f.caFile != "" {
		if o.CA, err = serve.Authorities(f.caFile); err != nil {
			return nil, fmt.Errorf("--consul-ca: %w", err)
		}
	}
	return consul.New(o)
}

func onThisMachine(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// readToken reads a file that must be its owner's alone.
func readToken(path string) (string, error) {
	if err := keptSecret(path); err != nil {
		return "", fmt.Errorf("read token: %w", err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read token: %w", err)
	}
	return strings.TrimSpace(string(data)), nil
}

// publishRegion puts a signed record into Consul and says what it did.
func publishRegion(ctx context.Context, w io.Writer, c *consul.Client, signed string, roots []ed25519.PublicKey) error {
	ctx, cancel := context.WithTimeout(ctx, consulTime)
	defer cancel()
	r, err := regions.Inspect(signed, roots)
	if err != nil {
		return err
	}
	changed, err := c.Publish(ctx, signed)
	var refused *regions.Refusal
	switch {
	case errors.As(err, &refused) && (refused.Code == regions.RolledBack || refused.Code == regions.Equivocation):
		return fmt.Errorf("%w; nothing is published: sign with --version-at-least", err)
	case err != nil:
		return err
	case changed:
		fmt.Fprintf(w, "published %s in Consul: version %d\n", r.Region, r.Version)
	default:
		fmt.Fprintf(w, "%s is in Consul already: version %d\n", r.Region, r.Version)
	}
	return nil
}

// listConsul shows what Consul holds: records like a catalogue's, and the
// processes of each region.
func listConsul(ctx context.Context, w io.Writer, c *consul.Client, roots []ed25519.PublicKey) error {
	ctx, cancel := context.WithTimeout(ctx, consulTime)
	defer cancel()
	records, err := c.Records(ctx)
	if err != nil {
		return err
	}
	var processes []string
	var problems []error
	health := func(r regions.Record) string {
		registered, err := c.Processes(ctx, r.Region)
		if err != nil {
			problems = append(problems, err)
			return "not known"
		}
		own, ready := 0, 0
		for _, p := range registered {
			state := standing(p, r)
			processes = append(processes, r.Region+"\t"+p.At()+"\t"+state)
			if p.StandsInFor != "" || p.Jurisdiction != r.Jurisdiction {
				continue
			}
			own++
			if p.Ready {
				ready++
			}
		}
		if own == 0 {
			return "no process"
		}
		return fmt.Sprintf("%d of %d ready", ready, own)
	}
	listed := listRecords(w, records, roots, health)
	if len(processes) > 0 {
		table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "\nREGION\tPROCESS\tSTATE")
		for _, p := range processes {
			fmt.Fprintln(table, p)
		}
		if err := table.Flush(); err != nil {
			return err
		}
	}
	return errors.Join(append(problems, listed)...)
}

// standing is how a process is, and whether it counts.
func standing(p consul.Process, r regions.Record) string {
	state := "not ready"
	if p.Ready {
		state = "ready"
	}
	switch {
	case p.Jurisdiction != r.Jurisdiction:
		return "does not count: it claims to be in another jurisdiction"
	case p.StandsInFor != "":
		return state + ", stands in for " + p.StandsInFor
	}
	return state
}
