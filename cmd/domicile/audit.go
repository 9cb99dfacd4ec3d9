package main

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/domicile-sso/domicile/portal"
)

// ofRegion is what the region's own chain is called beside those of portals.
const ofRegion = "(region)"

func auditCommand() *cobra.Command {
	var q auditQuery
	c := &cobra.Command{
		Use:   "audit [--portal ID] [--reference REF] [--account ID] [--since 24h]",
		Short: "Look up what happened in a region, and why something was refused",
		Long: `Look up what happened in a region, and why something was refused.

A person who is refused sees a reference, such as K3XQ-7MTA, and nothing else. The
row with that reference has the reason as a code. Rows name accounts by ID, as
"domicile account list" does, and clients by their network. Without --portal, all
portals of the region are looked through; the newest rows are shown, oldest first.
SERVED BY is the region whose processes stood in when it happened; mostly none did.

With --verify the rows are not shown but checked: each one is chained to the one
before, so that a row which was edited, deleted or moved is found. Whoever can
write to the database could also cut rows off at the end and put the head back.
That shows only against a head kept elsewhere: the command prints the heads; keep
them away from the database, and give them to --anchor the next time.

The exit code is 0 when it was done, also when no row was found; 1 when a chain
is broken or the database could not be read; 2 when the command was not understood.`,
		Example: `  domicile audit --config eu.yaml --reference K3XQ-7MTA
  domicile audit --config eu.yaml --portal acme --since 24h --limit 50
  domicile audit --config eu.yaml --verify > heads.txt
  domicile audit --config eu.yaml --verify --anchor heads.txt`,
		Args: noArgs,
		RunE: onRegion(func(r *operator, _ []string) error {
			if q.limit < 1 || q.limit > 1000 {
				return misused("--limit has to be from 1 to 1000")
			}
			if q.since < 0 {
				return misused("--since has to be a time ago, such as 24h")
			}
			if q.anchor != "" && !q.verify {
				return misused("--anchor goes with --verify")
			}
			portals, err := r.auditedPortals(q.portal)
			if err != nil {
				return err
			}
			if q.verify {
				return r.verifyAudit(portals, q.anchor)
			}
			return r.showAudit(portals, q)
		}),
	}
	f := c.Flags()
	f.StringVar(&q.portal, "portal", "", "only this portal")
	f.StringVar(&q.reference, "reference", "", "only what a person was shown this reference for")
	f.StringVar(&q.account, "account", "", "only this account, by ID")
	f.DurationVar(&q.since, "since", 0, "only what happened since this long ago, such as 24h")
	f.IntVar(&q.limit, "limit", 100, "at most so many rows, the newest, up to 1000")
	f.BoolVar(&q.verify, "verify", false, "check that no row was changed, removed or moved")
	f.StringVar(&q.anchor, "anchor", "", "file of heads that --verify printed earlier")
	return c
}

type auditQuery struct {
	portal, reference, account string
	since                      time.Duration
	limit                      int
	verify                     bool
	anchor                     string
}

// auditedPortals is the portal asked for, or all there are and "", the region.
func (r *operator) auditedPortals(id string) ([]string, error) {
	if id != "" {
		_, err := r.store.PortalByID(r.ctx, id)
		return []string{id}, err
	}
	ids := []string{""}
	all, err := r.store.Portals(r.ctx)
	for _, p := range all {
		ids = append(ids, p.ID)
	}
	return ids, err
}

func (r *operator) showAudit(portals []string, q auditQuery) error {
	filter := portal.EventFilter{
		Account: q.account, Reference: portal.SpelledReference(q.reference), Limit: q.limit, Newest: true,
	}
	if q.since > 0 {
		filter.Since = r.now().Add(-q.since)
	}
	var rows []portal.Link
	for _, id := range portals {
		found, err := r.store.Events(r.ctx, id, filter)
		if err != nil {
			return err
		}
		rows = append(rows, found...)
	}
	slices.SortStableFunc(rows, func(a, b portal.Link) int {
		if c := a.At.Compare(b.At); c != 0 {
			return c
		}
		return int(a.Seq - b.Seq)
	})
	rows = rows[max(0, len(rows)-q.limit):]

	t := r.table("TIME", "PORTAL", "ACTION", "CODE", "METHOD", "TARGET", "ACCOUNT", "SERVED BY", "CLIENT", "REFERENCE")
	for _, l := range rows {
		cells := []string{l.At.UTC().Format(time.RFC3339), cmp.Or(l.Portal, ofRegion)}
		for _, s := range []string{l.Action, l.Code, l.Method, l.Target, l.Account, l.Via, l.Client, l.Reference} {
			cells = append(cells, cmp.Or(s, "-"))
		}
		t.row(cells...)
	}
	return t.done("Nothing of the kind is on record.")
}

// verifyAudit checks every chain before it says that one is broken.
func (r *operator) verifyAudit(portals []string, anchor string) error {
	noted, err := readHeads(anchor)
	if err != nil {
		return err
	}
	var broken []error
	check := func(id string, err error) bool {
		if err != nil {
			broken = append(broken, fmt.Errorf("portal %s: %w", cmp.Or(id, ofRegion), err))
		}
		return err == nil
	}
	t := r.table("PORTAL", "ROWS", "HEAD")
	for _, id := range portals {
		last, err := r.store.CheckAudit(r.ctx, id)
		if !check(id, err) {
			continue
		}
		if h, ok := noted[id]; ok && !check(id, r.store.AuditHas(r.ctx, id, h.seq, h.hash)) {
			continue
		}
		t.row(cmp.Or(id, ofRegion), strconv.FormatInt(last.Seq, 10), cmp.Or(last.Hash, "-"))
	}
	for _, id := range slices.Sorted(maps.Keys(noted)) {
		if all := portals[0] == ""; all && !slices.Contains(portals, id) {
			check(id, fmt.Errorf("it is gone: %w", portal.ErrChain))
		}
	}
	if err := t.done("No chain is whole."); err != nil {
		return err
	}
	if len(broken) > 0 {
		return errors.Join(broken...)
	}
	if anchor == "" {
		r.say("\nNo row was changed, removed or moved. Rows cut off at the end show only against\nheads kept elsewhere: keep the above, and give it to --anchor the next time.")
		return nil
	}
	r.say("\nNo row was changed, removed or moved, and none was cut off of those in %s.", anchor)
	return nil
}

type head struct {
	seq  int64
	hash string
}

// readHeads reads what verifyAudit printed; lines that are no heads do not count.
func readHeads(path string) (map[string]head, error) {
	if path == "" {
		return nil, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	heads := make(map[string]head)
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) != 3 || len(f[2]) != 64 {
			continue
		}
		seq, err := strconv.ParseInt(f[1], 10, 64)
		if err != nil || seq < 1 {
			continue
		}
		if f[0] == ofRegion {
			f[0] = ""
		}
		heads[f[0]] = head{seq, f[2]}
	}
	if len(heads) == 0 {
		return nil, fmt.Errorf("there is no head in %s: want what domicile audit --verify printed", path)
	}
	return heads, nil
}
