package sqldb_test

import (
	"context"
	"database/sql"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/domicile-sso/domicile/config/servertest"
	"github.com/domicile-sso/domicile/config/sqldb"
)

func opened(t *testing.T, o sqldb.Options, location string) *sql.DB {
	t.Helper()
	db, err := o.Open(t.Context(), location)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func TestSettings(t *testing.T) {
	location := servertest.Postgres(t)
	for name, c := range map[string]struct {
		o     sqldb.Options
		query string
		want  [4]string
	}{
		"usual":                {sqldb.Options{}, "", [4]string{"30s", "10s", "30s", "off"}},
		"the location wins":    {sqldb.Options{}, "&statement_timeout=7s&options=-c%20lock_timeout%3D3s", [4]string{"7s", "3s", "30s", "off"}},
		"not sent to a pooler": {sqldb.Options{}, "&statement_timeout=&lock_timeout=&jit=", [4]string{"0", "0", "30s", "on"}},
		"unhurried":            {sqldb.Options{Unhurried: true}, "", [4]string{"0", "0", "0", "on"}},
	} {
		t.Run(name, func(t *testing.T) {
			db := opened(t, c.o, location+c.query)
			var got [4]string
			if err := db.QueryRow(`SELECT current_setting('statement_timeout'), current_setting('lock_timeout'), current_setting('idle_in_transaction_session_timeout'), current_setting('jit')`).
				Scan(&got[0], &got[1], &got[2], &got[3]); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
	db := opened(t, sqldb.Options{Connections: 3}, location+"&statement_timeout=50ms")
	if n := db.Stats().MaxOpenConnections; n != 3 {
		t.Errorf("%d connections", n)
	}
	if _, err := db.Exec(`SELECT pg_sleep(60)`); err == nil || !strings.Contains(err.Error(), "statement timeout") {
		t.Errorf("a statement without end: %v", err)
	}
}

// Front doors and portals that start together bring one database forward.
func TestMigrateAtOnce(t *testing.T) {
	location := servertest.Postgres(t)
	var all sync.WaitGroup
	for range 6 {
		db := opened(t, sqldb.Options{Connections: 3}, location)
		all.Go(func() {
			if err := sqldb.Migrate(t.Context(), db, migrations(2)); err != nil {
				t.Error(err)
			}
			if err := sqldb.Check(t.Context(), db, migrations(2)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	have, want, err := sqldb.Versions(t.Context(), opened(t, sqldb.Options{}, location), migrations(2))
	if err != nil || have != 2 || want != 2 {
		t.Errorf("at %d of %d, %v", have, want, err)
	}
}

// between is the location with those servers.
func between(t *testing.T, location string, hosts ...string) string {
	t.Helper()
	u, err := url.Parse(location)
	if err != nil {
		t.Fatal(err)
	}
	u.Host = strings.Join(hosts, ",")
	return u.String()
}

func TestSeveralHosts(t *testing.T) {
	location := servertest.Postgres(t)
	u, err := url.Parse(location)
	if err != nil {
		t.Fatal(err)
	}
	silent, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	db := opened(t, sqldb.Options{}, between(t, location, "127.0.0.1:1", silent.Addr().String(), u.Host))
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := db.PingContext(ctx); err != nil {
		t.Error(err)
	}
}

// A standby takes over, and the pool finds it by itself.
func TestFailOver(t *testing.T) {
	primary, standby := servertest.PostgresPair(t)
	both := between(t, primary.URL, standby.Addr, primary.Addr)
	db := opened(t, sqldb.Options{}, both)
	if _, err := db.Exec(`CREATE TABLE kept (n BIGINT)`); err != nil {
		t.Fatalf("of two servers the one that takes writes is not the one used: %v", err)
	}
	anyone := opened(t, sqldb.Options{Replica: true}, both)
	var standing bool
	if err := anyone.QueryRow(`SELECT pg_is_in_recovery()`).Scan(&standing); err != nil || !standing {
		t.Errorf("a reader is not sent to the first server: %v, %v", standing, err)
	}
	reads := opened(t, sqldb.Options{Replica: true}, standby.URL)
	for there := false; !there; {
		if err := reads.QueryRowContext(t.Context(), `SELECT to_regclass('kept') IS NOT NULL`).Scan(&there); err != nil {
			t.Fatal(err)
		}
	}
	primary.Kill()
	if _, err := db.Exec(`INSERT INTO kept VALUES (1)`); err == nil {
		t.Error("written while there is no primary")
	}
	if _, err := reads.Exec(`SELECT pg_promote()`); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(`INSERT INTO kept VALUES (1)`); err != nil {
		t.Errorf("the standby has taken over, and the pool does not find it: %v", err)
	}
}
