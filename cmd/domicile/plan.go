package main

import (
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/domicile-sso/domicile/portal"
)

func planCommand() *cobra.Command {
	return group("plan", "What a portal has licences of", planSet(), planList())
}

func planSet() *cobra.Command {
	p := portal.Plan{Cap: 10_000}
	var kind string
	var features []string
	c := &cobra.Command{
		Use:   "set ID --portal ID",
		Short: "Add a plan to a portal, or change one",
		Long: `Add a plan to a portal, or change one.

What is not on the command line stays as it is; 0 means without a limit or
without an end. A new portal has the plans guest, professional and pro. New
members get the professional plan with the lowest place, guests the guest plan;
where every seat is taken nobody can be invited. A disabled account takes no
seat. Fewer seats than are taken take nobody's licence away: nobody gets another
one until there is room.

The cap is there against abuse. It bounds what one person sends in a month,
whatever the plan includes, and the person is shown it. A changed term counts
for licences assigned from then on.

Features: pro (return protection), self-release (people may give their own
licence back). --feature none takes all of them away.`,
		Example: `  domicile plan set professional --config eu.yaml --portal acme --seats 250
  domicile plan set pro --config eu.yaml --portal acme --seats 20 --months 12 --feature pro
  domicile plan set trial --config eu.yaml --portal acme --name Trial --kind professional --messages 50 --months 1 --place 1`,
		Args: takes("ID"),
		RunE: onRegion(func(r *operator, args []string) error {
			p.ID, p.Kind, p.Features = args[0], portal.LicenceKind(kind), typedFeatures(features)
			if _, err := r.store.PortalByID(r.ctx, p.Portal); err != nil {
				return err
			}
			plans, err := r.store.Plans(r.ctx, p.Portal)
			if err != nil {
				return err
			}
			known := false
			for _, old := range plans {
				if old.ID == p.ID {
					known = true
					keepPlan(r, &p, old.Plan)
				}
			}
			if !known && (!r.typed("name") || !r.typed("kind")) {
				return misused("portal %s has no plan %s: to add it, give it a --name and a --kind", p.Portal, p.ID)
			}
			changed, err := r.store.PutPlan(r.ctx, p)
			if err != nil {
				return err
			}
			r.did(changed, "Portal %s has the plan %s (%s): %s seats.", p.Portal, p.ID, p.Kind, orUnlimited(p.Seats))
			for _, old := range plans {
				if old.ID == p.ID && p.Seats > 0 && old.Used > p.Seats {
					r.say("%d seats are taken. Nobody loses a licence, and nobody gets another one until there is room.", old.Used)
				}
			}
			return nil
		}),
	}
	f := c.Flags()
	f.StringVar(&p.Portal, "portal", "", "the portal")
	f.StringVar(&p.Name, "name", "", "name shown to people")
	f.StringVar(&kind, "kind", "", "professional or guest")
	f.Int64Var(&p.Seats, "seats", 0, "how many accounts may have it; 0: any number")
	f.Int64Var(&p.Messages, "messages", 0, "messages included in a month; 0: without a limit by the plan")
	f.Int64Var(&p.Cap, "cap", p.Cap, "messages a month that are never exceeded, against abuse")
	f.IntVar(&p.Months, "months", 0, "length of a term; 0: without an end")
	f.Int64Var(&p.Place, "place", 0, "which plan is an upgrade of which: the one with the higher place")
	f.StringSliceVar(&features, "feature", nil, "what only some plans have: pro, self-release, or none")
	return required(c, "portal")
}

func planList() *cobra.Command {
	var id string
	c := &cobra.Command{
		Use:     "list --portal ID",
		Short:   "List the plans of a portal, and how many seats are taken",
		Example: "  domicile plan list --config eu.yaml --portal acme",
		Args:    noArgs,
		RunE: onRegion(func(r *operator, _ []string) error {
			if _, err := r.store.PortalByID(r.ctx, id); err != nil {
				return err
			}
			plans, err := r.store.Plans(r.ctx, id)
			if err != nil {
				return err
			}
			t := r.table("ID", "NAME", "KIND", "TAKEN", "SEATS", "MESSAGES", "CAP", "MONTHS", "PLACE", "FEATURES")
			for _, p := range plans {
				t.row(p.ID, p.Name, string(p.Kind), strconv.FormatInt(p.Used, 10), orUnlimited(p.Seats), orUnlimited(p.Messages),
					strconv.FormatInt(p.Cap, 10), orUnlimited(int64(p.Months)), strconv.FormatInt(p.Place, 10), p.FeatureText())
			}
			return t.done("Portal " + id + " has no plans.")
		}),
	}
	c.Flags().StringVar(&id, "portal", "", "the portal")
	return required(c, "portal")
}

// keepPlan gives what was not typed the value it has already.
func keepPlan(r *operator, p *portal.Plan, old portal.Plan) {
	unless(r, "name", &p.Name, old.Name)
	unless(r, "kind", &p.Kind, old.Kind)
	unless(r, "seats", &p.Seats, old.Seats)
	unless(r, "messages", &p.Messages, old.Messages)
	unless(r, "cap", &p.Cap, old.Cap)
	unless(r, "months", &p.Months, old.Months)
	unless(r, "place", &p.Place, old.Place)
	unless(r, "feature", &p.Features, old.Features)
}

// typedFeatures are the features of the command line; none is none of them.
func typedFeatures(names []string) []portal.Feature {
	if len(names) == 1 && names[0] == "none" {
		return nil
	}
	return portal.ParseFeatures(strings.Join(names, " "))
}

func orUnlimited(n int64) string {
	if n == 0 {
		return "unlimited"
	}
	return strconv.FormatInt(n, 10)
}
