package main

import (
	"strconv"

	"github.com/spf13/cobra"
)

func keysCommand() *cobra.Command {
	c := group("keys", "See which keys a region's database depends on, and rotate its data key",
		keysStatusCommand(), keysResealCommand())
	c.Long = `See which keys a region's database depends on, and rotate its data key.

docs/operating.md says under "Rotating keys" how every key is replaced, step by
step.`
	return c
}

func keysStatusCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show what depends on older data keys, and which blind keys are claimed under",
		Long: `Show what depends on older data keys, and which blind keys are claimed under.

The keys are those of the configuration, the first of data_key_files being the
current one. An older data key may be destroyed when nothing depends on it, all
servers of the region have the current one in front, and no backup is needed that
was made before. What is unknown was sealed by a key that is not in the list, and
does not open: put that key back.`,
		Example: "  domicile keys status --config eu.yaml",
		Args:    noArgs,
		RunE: onRegion(func(r *operator, _ []string) error {
			all, err := r.store.SealedValues(r.ctx)
			if err != nil {
				return err
			}
			t := r.table("SEALED", "BY THE CURRENT KEY", "BY OLDER KEYS", "UNKNOWN")
			var older, unknown int64
			for _, v := range all {
				t.row(v.What, count(v.Current), count(v.Older), count(v.Unknown))
				older, unknown = older+v.Older, unknown+v.Unknown
			}
			if err := t.done("Nothing is sealed."); err != nil {
				return err
			}
			versions, waiting, err := r.store.Published(r.ctx)
			if err != nil {
				return err
			}
			switch {
			case unknown > 0:
				r.say("%d values do not open: a data key is missing from the list.", unknown)
			case older > 0:
				r.say("%d values depend on older data keys: domicile keys reseal", older)
			default:
				r.say("Nothing depends on older data keys.")
			}
			if versions == "" {
				r.say("No server of the region has published yet.")
				return nil
			}
			r.say("Addresses are claimed under blind key versions %s; %d changes wait for the front door.", versions, waiting)
			return nil
		}),
	}
}

func keysResealCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "reseal",
		Short: "Seal anew what older data keys have sealed",
		Long: `Seal anew what older data keys have sealed.

The first of data_key_files seals; all of them open. It may run beside the
region's servers, be ended at any time and be repeated: it is done when it finds
nothing more. Run it once all servers have the new key in front of the list.`,
		Example: "  domicile keys reseal --config eu.yaml",
		Args:    noArgs,
		RunE: onRegion(func(r *operator, _ []string) error {
			n, err := r.store.Reseal(r.ctx)
			r.did(n > 0 || err != nil, "%d values are sealed anew.", n)
			return err
		}),
	}
}

func count(n int64) string { return strconv.FormatInt(n, 10) }
