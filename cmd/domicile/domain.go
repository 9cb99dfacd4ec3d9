package main

import (
	"cmp"
	"github.com/spf13/cobra"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/portal"
)

func domainCommand() *cobra.Command {
	return group("domain", "E-mail domains of portals and how people in them sign in", domainRoute(), domainList())
}

func domainRoute() *cobra.Command {
	var d portal.Domain
	c := &cobra.Command{
		Use:   "route DOMAIN --portal ID [--connection ID] [--password] [--jit]",
		Short: "Lead addresses of a domain to a portal",
		Long: `Lead addresses of a domain to a portal.

By this command the operator vouches that the domain belongs to the portal's
organisation: from then on its identity provider may sign in addresses of it.
"*.example.com" stands for every name below example.com, not for example.com
itself; the most specific domain wins.

Without --connection people use a password of the portal. With --connection they
go to their identity provider; with --password as well, they may choose.`,
		Example: `  domicile domain route acme.example --config eu.yaml --portal acme --connection acme-saml --jit
  domicile domain route '*.acme.example' --config eu.yaml --portal acme --connection acme-saml
  domicile domain route initech.example --config ca.yaml --portal initech`,
		Args: takes("DOMAIN"),
		RunE: onRegion(func(r *operator, args []string) error {
			name, err := discovery.ParseRouteDomain(args[0])
			if err != nil {
				return err
			}
			d.Name, d.Proof, d.Proven = name, "operator", r.now()
			if d.Connection == "" {
				d.Password = true
			}
			changed, err := r.store.PutDomain(r.ctx, d)
			if err != nil {
				return err
			}
			r.did(changed, "Addresses in %s lead to portal %s %s.", d.Name, d.Portal, way(d))
			return nil
		}),
	}
	f := c.Flags()
	f.StringVar(&d.Portal, "portal", "", "the portal")
	f.StringVar(&d.Connection, "connection", "", "the connection that signs these people in")
	f.BoolVar(&d.Password, "password", false, "allow a password of the portal besides the connection")
	f.BoolVar(&d.JIT, "jit", false, "make an account at a person's first sign-in through the connection")
	return required(c, "portal")
}

func way(d portal.Domain) string {
	switch {
	case d.Connection == "":
		return "and sign in with a password"
	case d.Password:
		return "and sign in through " + d.Connection + " or with a password"
	}
	return "and sign in through " + d.Connection
}

func domainList() *cobra.Command {
	var id string
	c := &cobra.Command{
		Use:     "list --portal ID",
		Short:   "List the domains of a portal",
		Example: "  domicile domain list --config eu.yaml --portal acme",
		Args:    noArgs,
		RunE: onRegion(func(r *operator, _ []string) error {
			if _, err := r.store.PortalByID(r.ctx, id); err != nil {
				return err
			}
			all, err := r.store.Domains(r.ctx, id)
			if err != nil {
				return err
			}
			t := r.table("DOMAIN", "CONNECTION", "PASSWORD", "JIT", "PROOF", "SINCE")
			for _, d := range all {
				t.row(d.Name, cmp.Or(d.Connection, "-"), yes(d.Password), yes(d.JIT), d.Proof, date(d.Proven))
			}
			return t.done("Portal " + id + " has no domains yet.")
		}),
	}
	c.Flags().StringVar(&id, "portal", "", "the portal")
	return required(c, "portal")
}
