package faults

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"sync"

	"github.com/domicile-sso/domicile/cmd/internal/planttest"
	"github.com/domicile-sso/domicile/config"
	"github.com/domicile-sso/domicile/config/sqldb"
	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/portal"
)

// change does in every region what operators do all day: somebody is invited,
// somebody is disabled, a domain is routed. It returns who must be found after
// it, and those without a portal who must not.
func (p *plant) change(n int) []person {
	p.t.Helper()
	portals := map[*region]string{p.central: "acme", p.west: "umbrella", p.east: "globex"}
	var mu sync.Mutex
	var all sync.WaitGroup
	var changed []person
	for r, id := range portals {
		all.Go(func() {
			leaving := p.invite(r, id, fmt.Sprintf("leaving%d", n))
			staying := p.invite(r, id, fmt.Sprintf("staying%d", n))
			p.do(r, "account", "disable", leaving.address, "--portal", id)
			domain := fmt.Sprintf("subsidiary%d-%s.example", n, id)
			p.do(r, "domain", "route", domain, "--portal", id)
			routed := staying
			routed.address = "anybody@" + domain
			mu.Lock()
			defer mu.Unlock()
			changed = append(changed, staying, routed, person{address: leaving.address})
		})
	}
	all.Wait()
	if p.t.Failed() {
		p.t.FailNow()
	}
	return changed
}

// found waits until both front doors know of every change.
func (p *plant) found(changed []person) {
	p.t.Helper()
	for _, who := range changed {
		p.knows(who)
	}
}

// equal waits until the directory holds what the regions do: the same entries,
// and the same place in the sequence of claims.
func (p *plant) equal() {
	p.t.Helper()
	directory, err := sqldb.Open(p.t.Context(), p.primary.URL)
	if err != nil {
		p.t.Fatal(err)
	}
	defer directory.Close()
	for _, r := range p.regions {
		db, err := sqldb.Open(p.t.Context(), r.database)
		if err != nil {
			p.t.Fatal(err)
		}
		defer db.Close()
		var why string
		if !planttest.Met(func() bool {
			why = p.difference(r, directory, db)
			return why == ""
		}) {
			p.t.Fatalf("the directory is not what %s holds: %s", r.name, why)
		}
	}
}

// difference says how the directory differs from a region, or nothing.
func (p *plant) difference(r *region, directory, db *sql.DB) string {
	ctx := p.t.Context()
	var waiting, last, acked, applied int64
	err := db.QueryRowContext(ctx, `SELECT (SELECT count(*) FROM outbox), last, acked FROM outbox_counter`).Scan(&waiting, &last, &acked)
	if err == nil {
		err = directory.QueryRowContext(ctx, `SELECT last FROM progress WHERE region = $1`, r.name).Scan(&applied)
	}
	switch {
	case err != nil:
		return err.Error()
	case waiting > 0 || acked != applied:
		return fmt.Sprintf("%d changes wait, %d of %d are confirmed, %d applied", waiting, acked, last, applied)
	}
	want, err := p.held(ctx, db)
	if err != nil {
		return err.Error()
	}
	have := map[string]bool{}
	rows, err := directory.QueryContext(ctx, `SELECT blind, portal FROM entries WHERE region = $1`, r.name)
	if err != nil {
		return err.Error()
	}
	defer rows.Close()
	for rows.Next() {
		var blind []byte
		var portal string
		if err := rows.Scan(&blind, &portal); err != nil {
			return err.Error()
		}
		have[fmt.Sprintf("%x %s", blind, portal)] = true
	}
	if err := rows.Err(); err != nil {
		return err.Error()
	}
	if !maps.Equal(have, want) {
		return fmt.Sprintf("%d entries, and %d in the region", len(have), len(want))
	}
	return ""
}

// held is what a region has to claim, entry by entry.
func (p *plant) held(ctx context.Context, db *sql.DB) (map[string]bool, error) {
	key, err := config.DecodeKey(config.BlindKey, planttest.PublicKey(p.t, p.path("blind", "blind-id.key")))
	if err != nil {
		return nil, err
	}
	keys := discovery.BlindKeys{discovery.NewBlindKey(1, key)}
	rows, err := db.QueryContext(ctx, `SELECT h.address, h.portal, a.status FROM addresses h JOIN accounts a ON a.id = h.account WHERE h.confirmed > 0`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	held := map[string]bool{}
	for rows.Next() {
		var text, id, status string
		if err := rows.Scan(&text, &id, &status); err != nil {
			return nil, err
		}
		address, err := discovery.ParseAddress(text)
		if err != nil {
			return nil, err
		}
		if portal.Findable(portal.Status(status), true) {
			blind := keys.Current(address)
			held[fmt.Sprintf("%x %s", blind[:], id)] = true
		}
	}
	return held, rows.Err()
}
