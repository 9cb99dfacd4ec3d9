package store_test

import (
	"context"
	"database/sql"
	"testing"
	"time"

	"github.com/domicile-sso/domicile/config/sqldb/sqltest"
	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/discovery/store"
)

// A front door ended after it had applied a batch and before it told anybody what
// to drop. The region sends the batch again, to another one, which skips it: the
// answer from before it must go all the same.
func TestCAC40WhoAppliedItHasEnded(t *testing.T) {
	sqltest.Each(t, store.Migrations, func(t *testing.T, db *sql.DB) {
		ended := newFront(t, db, nil, nil)
		ended.apply(0, acme(1))
		other := newFront(t, db, nil, newCache(t, nil))
		other.wantPortals(max, "")
		ended.apply(1, entryOf(t, 2, max, "acme"))
		other.wantPortals(max, "") // remembered, or there would be nothing to drop
		other.apply(1, entryOf(t, 2, max, "acme"))
		other.wantPortals(max, "acme")
	})
}

// A clock that is set back does not make what was last known of the directory newer
// than it is: that something is not there is not known (law 5).
func TestLaw5ClockSetBack(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	snapshot := new(discovery.Snapshot)
	db := sqltest.SQLite(t, store.Migrations)
	f := store.New(db, store.Options{Snapshot: snapshot, Tags: tagKey(1), Now: func() time.Time { return now }})
	if err := f.Refresh(t.Context()); err != nil || snapshot.Doubtful() {
		t.Fatal(err)
	}
	now = now.Add(-time.Hour)
	_ = db.Close()
	if err := f.Refresh(t.Context()); err == nil {
		t.Fatal("the database answers")
	}
	if !snapshot.Doubtful() {
		t.Error("believed to be all there is")
	}
}

// A primary that falls silent when it is asked how far it is does not hold up
// whoever looks at it, and nothing is known for certain then: the replica may be
// behind it.
func TestLaw5SilentPosition(t *testing.T) {
	db := sqltest.Postgres(t, store.Migrations)
	now, snapshot := time.Unix(1_800_000_000, 0), new(discovery.Snapshot)
	f := store.New(db, store.Options{Snapshot: snapshot, Tags: tagKey(1), Replica: db, Now: func() time.Time { return now }})
	if err := f.Refresh(t.Context()); err != nil || snapshot.Doubtful() {
		t.Fatal(err)
	}
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	if _, err := tx.ExecContext(t.Context(), `LOCK TABLE progress IN ACCESS EXCLUSIVE MODE`); err != nil {
		t.Fatal(err)
	}
	now = now.Add(time.Minute)
	long, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := f.Refresh(long); err == nil || long.Err() != nil {
		t.Errorf("%v, %v", err, long.Err())
	}
	if !snapshot.Doubtful() {
		t.Error("what the replica does not have is believed not to be there")
	}
}
