package main

import (
	"github.com/spf13/cobra"

	"github.com/domicile-sso/domicile/portal"
)

func appCommand() *cobra.Command {
	return group("app", "Apps and add-ins that people of a portal may activate", appAdd(), appList())
}

func appAdd() *cobra.Command {
	var a portal.App
	var kind string
	c := &cobra.Command{
		Use:   "add ID --portal ID --name NAME [--kind app|addin]",
		Short: "Offer an app or add-in to the people of a portal, or change its name",
		Long: `Offer an app or add-in to the people of a portal, or change its name.

From then on they find it on their page "Sessions and apps" and may activate it
for a device of theirs. An activation by itself opens nothing: the app has its
person sign in, and what it is given then counts until the person removes the
activation, or an administrator disables the account.

The kind says what people read: "app" is a program of its own, "addin" is part of
another one, such as a mail reader. It is fixed.`,
		Example: `  domicile app add desktop --config eu.yaml --portal acme --name "Acme Secure Mail"
  domicile app add outlook --config eu.yaml --portal acme --kind addin --name "Secure mail for Outlook"`,
		Args: takes("ID"),
		RunE: onRegion(func(r *operator, args []string) error {
			a.ID, a.Kind = args[0], portal.AppKind(kind)
			if !r.typed("kind") {
				all, err := r.store.Apps(r.ctx, a.Portal)
				if err != nil {
					return err
				}
				for _, old := range all {
					if old.ID == a.ID {
						a.Kind = old.Kind
					}
				}
			}
			changed, err := r.store.PutApp(r.ctx, a)
			if err != nil {
				return err
			}
			r.did(changed, "People of portal %s may activate %q (%s).", a.Portal, a.Name, a.Kind)
			return nil
		}),
	}
	f := c.Flags()
	f.StringVar(&a.Portal, "portal", "", "the portal")
	f.StringVar(&a.Name, "name", "", "name shown to people")
	f.StringVar(&kind, "kind", string(portal.OwnApp), "app (a program of its own) or addin (part of another one)")
	return required(c, "portal", "name")
}

func appList() *cobra.Command {
	var id string
	c := &cobra.Command{
		Use:     "list --portal ID",
		Short:   "List the apps and add-ins of a portal",
		Example: "  domicile app list --config eu.yaml --portal acme",
		Args:    noArgs,
		RunE: onRegion(func(r *operator, _ []string) error {
			if _, err := r.store.PortalByID(r.ctx, id); err != nil {
				return err
			}
			all, err := r.store.Apps(r.ctx, id)
			if err != nil {
				return err
			}
			t := r.table("ID", "KIND", "NAME")
			for _, a := range all {
				t.row(a.ID, string(a.Kind), a.Name)
			}
			return t.done("Portal " + id + " offers no apps yet.")
		}),
	}
	c.Flags().StringVar(&id, "portal", "", "the portal")
	return required(c, "portal")
}
