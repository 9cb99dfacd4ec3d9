package main

import "github.com/spf13/cobra"

func publishCommand() *cobra.Command {
	var all bool
	c := &cobra.Command{
		Use:   "publish --all",
		Short: "Tell the front door everything about the region again",
		Long: `Tell the front door everything about the region again.

Changes are published by themselves within a second. A full re-publish is for a
front door whose directory was lost or is in doubt: it claims everything anew and
then has the front door forget what was not claimed. People can sign in all the
while. The region's server does the work; this command asks it to.`,
		Example: "  domicile publish --all --config eu.yaml",
		Args:    noArgs,
		RunE: onRegion(func(r *operator, _ []string) error {
			if !all {
				return misused("publish needs --all: changes are published by themselves")
			}
			if err := r.store.Republish(r.ctx); err != nil {
				return err
			}
			r.say("Everything in region %s is queued for publishing.", r.name)
			return nil
		}),
	}
	c.Flags().BoolVar(&all, "all", false, "publish everything again")
	return c
}
