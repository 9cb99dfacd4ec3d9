package main

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/portal"
)

func portalCommand() *cobra.Command {
	return group("portal", "Portals of a region", portalCreate(), portalList())
}

func portalCreate() *cobra.Command {
	var p portal.Portal
	var disclosure string
	var standbys []string
	c := &cobra.Command{
		Use:   "create ID --url URL --name NAME",
		Short: "Create a portal, or change its name, disclosure, contact, sign-in switch or standbys",
		Long: `Create a portal, or change its name, disclosure, contact, sign-in switch or standbys.

A portal is one organisation's space. Its ID is unique over all regions, and its
URL is fixed: identity providers and people's bookmarks keep it, also when the
portal moves to another region. The hosts of the region's signed record must cover
it: else front doors refuse the portal, and the region logs "claim refused".
Running the command again changes what its flags
say, and leaves the rest as it is.

A standby is a region of the same jurisdiction and the URL at which its processes
serve the portal while the portal's own region is down. It has an effect once the
region's signed record names that region, and that one's record has the host. The
IdPs of the portal have to be told the further address: "domicile connection list"
shows it. --standby "" takes all standbys off.`,
		Example: `  domicile portal create acme --config eu.yaml \
      --url https://acme.eu.example.com --name "Acme Corporation" \
      --contact "the service desk, extension 4711"`,
		Args: takes("ID"),
		RunE: onRegion(func(r *operator, args []string) error {
			p.ID, p.Disclosure = args[0], discovery.Disclosure(disclosure)
			p.Standbys = parseStandbys(standbys)
			old, err := r.store.PortalByID(r.ctx, p.ID)
			switch {
			case err == nil:
				unless(r, "name", &p.Name, old.Name)
				unless(r, "disclosure", &p.Disclosure, old.Disclosure)
				unless(r, "contact", &p.Contact, old.Contact)
				unless(r, "keep-signed-in", &p.KeepSigned, old.KeepSigned)
				if !r.typed("standby") {
					p.Standbys = old.Standbys
				}
			case !unknown(err):
				return err
			}
			if p.Name == "" {
				p.Name = p.ID
			}
			changed, err := r.store.CreatePortal(r.ctx, p)
			if err != nil {
				return err
			}
			r.did(changed, "Portal %s is at %s.", p.ID, p.URL)
			for _, s := range p.Standbys {
				r.say("While its region is down: %s at %s.", s.Region, s.URL)
			}
			return nil
		}),
	}
	f := c.Flags()
	f.StringVar(&p.URL, "url", "", "where the portal is: scheme and host, no path")
	f.StringVar(&p.Name, "name", "", "name shown to people; the ID by default")
	f.StringVar(&disclosure, "disclosure", string(discovery.Listed), "who may hear of it at the front door: listed (whoever types an address of it) or proven")
	f.StringVar(&p.Contact, "contact", "", "whom to ask for an invitation; shown on the sign-in page")
	f.BoolVar(&p.KeepSigned, "keep-signed-in", true, `offer "keep me signed in"`)
	f.StringArrayVar(&standbys, "standby", nil, "REGION=URL where the portal is served while its region is down; may be given several times, the first choice first")
	return required(c, "url")
}

// parseStandbys leaves what is wrong with them to the rules for portals.
func parseStandbys(typed []string) []discovery.Standby {
	var standbys []discovery.Standby
	for _, t := range typed {
		if t == "" {
			continue
		}
		region, url, _ := strings.Cut(t, "=")
		standbys = append(standbys, discovery.Standby{Region: region, URL: url})
	}
	return standbys
}

func portalList() *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List the portals of the region",
		Example: "  domicile portal list --config eu.yaml",
		Args:    noArgs,
		RunE: onRegion(func(r *operator, _ []string) error {
			all, err := r.store.Portals(r.ctx)
			if err != nil {
				return err
			}
			t := r.table("ID", "URL", "NAME", "DISCLOSURE", "STANDBYS")
			for _, p := range all {
				t.row(p.ID, p.URL, p.Name, string(p.Disclosure), cmp.Or(discovery.StandbyText(p.Standbys), "-"))
			}
			return t.done(fmt.Sprintf("Region %s has no portals yet.", r.name))
		}),
	}
}
