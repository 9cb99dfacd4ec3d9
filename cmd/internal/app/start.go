package app

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/domicile-sso/domicile/config/sqldb"
	"github.com/domicile-sso/domicile/discovery/store"
)

// A front door is started with whatever is there. What it must know before its
// first request are regions, which their signatures make true wherever they come
// from, and portals with their routes: from the database, else from the snapshot
// that an earlier run has kept. An answer of the database that waiting does not
// change (another schema, a refused password) ends the start: somebody is there
// to mend it, and the front doors that are not restarted yet go on meanwhile.

// The files of the snapshot folder.
const (
	keptRegions   = "regions"
	keptDirectory = "directory"
)

// A database may accept connections and say nothing. This is how long its schema
// is waited for, at the start and each time it is tried again, and all that a
// start asks it.
const (
	schemaWait = 3 * time.Second
	firstWait  = 5 * time.Second
)

// openDirectory makes the store on a database that may be away.
func (d *Discovery) openDirectory(o DiscoveryOptions) error {
	options := store.Options{Snapshot: d.snapshot, Room: o.Room, Log: d.Log, Metrics: d.Registry, Now: d.Now}
	var err error
	options.Cache, err = store.NewCache(store.CacheOptions{Secrets: o.Secrets, Redis: o.Redis, Size: o.Near, Log: d.Log, Metrics: d.Registry, Now: d.Now})
	if err != nil {
		return err
	}
	if options.Tags, err = store.NewTagKey(o.Secrets); err != nil {
		return err
	}
	db, err := sqldb.Options{Connections: d.Connections}.OpenLazy(d.Database)
	if err != nil {
		return err
	}
	d.undo = append(d.undo, db.Close)
	d.Registry.MustRegister(collectors.NewDBStatsCollector(db, "domicile"))
	if o.Replica != "" {
		options.Replica, err = sqldb.Options{Connections: d.Connections, Replica: true}.OpenLazy(o.Replica)
		if err != nil {
			return fmt.Errorf("replica: %w", err)
		}
		d.undo = append(d.undo, options.Replica.Close)
		d.Registry.MustRegister(collectors.NewDBStatsCollector(options.Replica, "domicile_replica"))
	}
	if o.Snapshot != "" {
		if options.File, err = store.NewSnapshotFile(filepath.Join(o.Snapshot, keptDirectory), o.Secrets); err != nil {
			return err
		}
		d.job(func(ctx context.Context) { d.store.Keep(ctx, time.Second) })
	}
	options.Check = func(ctx context.Context) error { return d.schema(ctx, db) }
	d.store = store.New(db, options)
	d.job(func(ctx context.Context) { d.store.Watch(ctx, time.Second) })
	d.job(d.store.Retag)
	d.job(options.Cache.Listen)
	d.note("database", d.databaseNote)
	return nil
}

// schema reports why the database may not be used.
func (d *Discovery) schema(ctx context.Context, db *sql.DB) error {
	if d.Migrate {
		return sqldb.Migrate(ctx, db, store.Migrations)
	}
	ctx, cancel := context.WithTimeout(ctx, schemaWait)
	defer cancel()
	return sqldb.Check(ctx, db, store.Migrations)
}

// begin comes to know all that is needed before the first request.
func (d *Discovery) begin(ctx context.Context) error {
	d.remember()
	if err := d.meet(ctx); err != nil {
		return err
	}
	if d.store.State().Away.IsZero() {
		quick, cancel := context.WithTimeout(ctx, firstWait)
		known, err := d.store.LoadRecords(quick)
		cancel()
		if err != nil {
			d.Log.Error("what the database knows of regions is not known yet", "err", err)
		}
		d.believe(known) // before the catalogue, which may have been set back
	}
	return d.firstRecords(ctx)
}

// meet asks the database for the first time, and does without it when it can.
func (d *Discovery) meet(ctx context.Context) error {
	first := ctx
	if !d.Migrate {
		var cancel context.CancelFunc
		first, cancel = context.WithTimeout(ctx, firstWait)
		defer cancel()
	}
	err := d.store.Refresh(first)
	if err == nil || ctx.Err() != nil {
		return err
	}
	checked := d.store.State().Checked
	if !checked && !sqldb.Away(err) {
		return err
	}
	if replica := d.store.LoadReplica(ctx); replica == nil {
		d.Log.Error("the database does not answer: starting from its replica; who is not found there is told to try again", "err", err)
		return nil
	}
	switch kept := d.store.LoadFile(); {
	case kept == nil:
		portals, routes := d.snapshot.Len()
		d.Log.Error("the database does not answer: starting from the snapshot; domains lead on, people found by their own address alone are told to try again",
			"as_of", d.snapshot.AsOf(), "portals", portals, "routes", routes, "err", err)
	case checked:
		d.Log.Error("the directory cannot be read yet; it is tried again", "err", err)
	case d.folder == "":
		return fmt.Errorf("the database does not answer, and no snapshot is configured to start from: %w", err)
	case errors.Is(kept, fs.ErrNotExist):
		return fmt.Errorf("the database does not answer, and there is no snapshot to start from yet: %w", err)
	default:
		return fmt.Errorf("the database does not answer, and the snapshot is not believed: %w", errors.Join(err, kept))
	}
	return nil
}

// databaseNote says how the front door does without its database, or "".
func (d *Discovery) databaseNote() string {
	st := d.store.State()
	if st.Away.IsZero() {
		return ""
	}
	from := "read by this process"
	switch st.Source {
	case store.FromDisk:
		from = "from the snapshot on disk"
	case store.FromReplica:
		from = "from the replica"
	}
	now := d.Now()
	return fmt.Sprintf("away since %s: %v; portals and routes are %v old, %s",
		st.Away.UTC().Format(time.RFC3339), st.Err, now.Sub(st.AsOf).Round(time.Second), from)
}

// leads reports why a front door cannot lead anybody anywhere. Its database is
// not asked: without it, domains and the last good snapshot still lead people on,
// and a load balancer that took every front door out would help nobody.
func (d *Discovery) leads() []check {
	return []check{
		{"snapshot", func(context.Context) error {
			if !d.snapshot.Ready() {
				return errors.New("nothing read from the database yet")
			}
			return nil
		}},
		{"catalogue", func(context.Context) error {
			if len(d.catalogue.Regions()) == 0 {
				return errors.New("no region has a valid record")
			}
			return nil
		}},
	}
}
