package main

import (
	"cmp"
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/portal"
)

func accountCommand() *cobra.Command {
	return group("account", "People in a portal", accountInvite(),
		accountSwitch("disable", "Disable a person's account and end their sessions", "disabled: they cannot sign in, and their sessions have ended"),
		accountSwitch("enable", "Enable a disabled account again", "enabled: they can sign in"),
		accountRole(), accountList(), accountRecover())
}

func accountInvite() *cobra.Command {
	var inv portal.Invitation
	var role string
	c := &cobra.Command{
		Use:   "invite ADDRESS --portal ID [--role ROLE]",
		Short: "Invite a person to a portal by mail",
		Long: `Invite a person to a portal by mail.

Two mails are queued: one with the link, and one with the address to use and a
temporary password, which has to be changed on the way in. A person whose domain
signs in through a connection gets the link only. The region's server sends
them. Inviting somebody again who has not come yet replaces the invitation;
inviting somebody who has changes nothing.

The first person of a portal is best invited as its owner: everybody else can then
be invited and given their roles in the administrator's console, at /admin.`,
		Example: `  domicile account invite ian@initech.example --config ca.yaml --portal initech --given-name Ian
  domicile account invite iris@initech.example --config ca.yaml --portal initech --role owner`,
		Args: takes("ADDRESS"),
		RunE: onRegion(func(r *operator, args []string) (err error) {
			if inv.Address, err = discovery.ParseAddress(args[0]); err != nil {
				return err
			}
			if inv.Role, err = parseRole(role); err != nil {
				return err
			}
			changed, err := r.store.Invite(r.ctx, portal.Visitor{}, inv)
			if err != nil {
				return err
			}
			if changed {
				r.say("Invited. The mail is queued. A link and a temporary password in it are good for %d hours.", int(portal.ForInvitation.Life().Hours()))
			} else {
				r.say("Nothing changed: this person has an account already.")
			}
			return nil
		}),
	}
	f := c.Flags()
	f.StringVar(&inv.Portal, "portal", "", "the portal")
	f.StringVar(&inv.GivenName, "given-name", "", "first name, for the mail")
	f.StringVar(&inv.FamilyName, "family-name", "", "last name")
	f.StringVar(&role, "role", string(portal.Member), "what they may do: "+roleNames())
	return required(c, "portal")
}

func roleNames() string {
	var names []string
	for _, r := range portal.Roles() {
		names = append(names, string(r))
	}
	return strings.Join(names, ", ")
}

func parseRole(s string) (portal.Role, error) {
	r, err := portal.ParseRole(s)
	if err != nil {
		return "", misused("--role has to be one of %s", roleNames())
	}
	return r, nil
}

func accountRole() *cobra.Command {
	var id, role string
	c := &cobra.Command{
		Use:   "role ADDRESS --portal ID --role ROLE",
		Short: "Say what a person may do in a portal",
		Long: `Say what a person may do in a portal.

The roles are ` + roleNames() + `; docs/roles.md says what each of them may
do. Their sessions end: they sign in again for what they may do now. Somebody who
was invited and has not come yet keeps their invitation.

A portal that has an owner keeps one: the last owner who can sign in is refused
another role until there is a second.`,
		Example: "  domicile account role iris@initech.example --config ca.yaml --portal initech --role owner",
		Args:    takes("ADDRESS"),
		RunE: onRegion(func(r *operator, args []string) error {
			to, err := parseRole(role)
			if err != nil {
				return err
			}
			address, err := discovery.ParseAddress(args[0])
			if err != nil {
				return err
			}
			if _, err := r.store.PortalByID(r.ctx, id); err != nil {
				return err
			}
			a, ok, err := r.store.AccountByAddress(r.ctx, id, address)
			if err != nil {
				return err
			}
			if !ok {
				return errors.New("there is no account with this address in this portal")
			}
			changed, err := r.store.SetRole(r.ctx, id, portal.Visitor{}, portal.RoleChange{Account: a.ID, To: to})
			if err != nil {
				return err
			}
			r.did(changed, "The role is %s.", to)
			return nil
		}),
	}
	f := c.Flags()
	f.StringVar(&id, "portal", "", "the portal")
	f.StringVar(&role, "role", "", "one of "+roleNames())
	return required(c, "portal", "role")
}

func accountSwitch(name, short, done string) *cobra.Command {
	var id string
	c := &cobra.Command{
		Use:     name + " ADDRESS --portal ID",
		Short:   short,
		Example: "  domicile account " + name + " ian@initech.example --config ca.yaml --portal initech",
		Args:    takes("ADDRESS"),
		RunE: onRegion(func(r *operator, args []string) error {
			a, err := discovery.ParseAddress(args[0])
			if err != nil {
				return err
			}
			var do func(context.Context, string, portal.Visitor, discovery.Address) (bool, error) = r.store.Enable
			if name == "disable" {
				do = r.store.Disable
			}
			changed, err := do(r.ctx, id, portal.Visitor{}, a)
			if err != nil {
				return err
			}
			r.did(changed, "The account is %s.", done)
			return nil
		}),
	}
	c.Flags().StringVar(&id, "portal", "", "the portal")
	return required(c, "portal")
}

func accountList() *cobra.Command {
	var id string
	var addresses bool
	c := &cobra.Command{
		Use:   "list --portal ID [--addresses]",
		Short: "List the accounts of a portal",
		Long: `List the accounts of a portal.

Accounts are shown by their IDs, as in the audit log. Addresses are shown only
with --addresses: a listing tends to end up in a ticket.`,
		Example: "  domicile account list --config ca.yaml --portal initech",
		Args:    noArgs,
		RunE: onRegion(func(r *operator, _ []string) error {
			if _, err := r.store.PortalByID(r.ctx, id); err != nil {
				return err
			}
			all, err := r.store.Accounts(r.ctx, id)
			if err != nil {
				return err
			}
			columns := []string{"ID", "STATUS", "ROLE", "CREATED", "LAST SIGN-IN"}
			if addresses {
				columns = append(columns, "ADDRESS")
			}
			t := r.table(columns...)
			for _, a := range all {
				cells := []string{a.ID, string(a.Status), string(a.Role), date(a.Created), cmp.Or(date(a.LastSignIn), "never")}
				if addresses {
					cells = append(cells, a.Primary.Clear())
				}
				t.row(cells...)
			}
			return t.done("Portal " + id + " has no accounts yet.")
		}),
	}
	c.Flags().StringVar(&id, "portal", "", "the portal")
	c.Flags().BoolVar(&addresses, "addresses", false, "show people's addresses")
	return required(c, "portal")
}
