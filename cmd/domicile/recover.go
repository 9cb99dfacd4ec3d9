package main

import (
	"github.com/spf13/cobra"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/portal"
)

func accountRecover() *cobra.Command {
	var id string
	c := &cobra.Command{
		Use:   "recover ADDRESS --portal ID",
		Short: "Let in a last owner who has lost every second factor",
		Long: `Let in a last owner who has lost every second factor.

This is for the one person whom no administrator of the portal may help; all
others are helped in its console. First make sure by other means, by telephone or
in person, that it is really them who ask: this command stands for the
administrator's word.

A mail with a link is queued for the person, good for 24 hours. Behind it they
sign in once more as usual, with their password or at their organisation. Then
all second factors, recovery codes, trusted browsers, pending addresses and
sessions of the account are gone, and every address of it is told. Neither the
link alone nor the password alone lets anybody in, and nobody but the person
sees the link. It is all in the audit log.`,
		Example: "  domicile account recover iris@initech.example --config ca.yaml --portal initech",
		Args:    takes("ADDRESS"),
		RunE: onRegion(func(r *operator, args []string) error {
			a, err := discovery.ParseAddress(args[0])
			if err != nil {
				return err
			}
			if err := r.store.RecoverByOperator(r.ctx, id, portal.Visitor{}, a); err != nil {
				return err
			}
			r.say("Allowed. The mail is queued. The link in it is good for %d hours.", int(portal.RecoveryLink.Hours()))
			return nil
		}),
	}
	c.Flags().StringVar(&id, "portal", "", "the portal")
	return required(c, "portal")
}
