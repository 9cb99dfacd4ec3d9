package sqldb

import (
	"database/sql"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// What a session tells Postgres unless the location says otherwise: no question
// of ours takes as long, and whoever asked has long gone. A lock that somebody
// else holds is waited for less than that; a transaction that does nothing would
// hold its own for ever. And none of ours takes as long as it takes to compile it.
var settings = map[string]string{
	"statement_timeout":                   "30s",
	"lock_timeout":                        "10s",
	"idle_in_transaction_session_timeout": "30s",
	"jit":                                 "off",
}

func (o Options) openPostgres(location string) (*sql.DB, error) {
	c, err := pgx.ParseConfig(location)
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err) // pgx leaves the password out
	}
	if c.DefaultQueryExecMode == pgx.QueryExecModeSimpleProtocol {
		// Quoting on the client's side is where CVE-2026-41889 lived.
		return nil, errors.New("open database: the simple protocol is not supported")
	}
	if c.RuntimeParams["application_name"] == "" {
		c.RuntimeParams["application_name"] = "domicile"
	}
	o.set(c)
	several := severalHosts(c)
	if several && !o.Replica && !names(location, "target_session_attrs") {
		c.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	}
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = 5 * time.Second
		if several { // of each: who waits for an answer must still get it from the last
			c.ConnectTimeout = 800 * time.Millisecond
		}
	}
	// A server that vanished without a word is noticed within ten seconds.
	c.DialFunc = (&net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 4 * time.Second, Interval: 2 * time.Second, Count: 3}}).DialContext
	db := stdlib.OpenDB(*c)
	conns := postgresConns
	if o.Connections > 0 {
		conns = o.Connections
	}
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	db.SetConnMaxIdleTime(5 * time.Minute)
	db.SetConnMaxLifetime(10 * time.Minute) // follow a fail-over behind a DNS name
	return db, nil
}

// set sets what the location does not. A parameter that stands there without a
// value is not sent at all, for a pooler that refuses it.
func (o Options) set(c *pgx.ConnConfig) {
	for name, value := range settings {
		given, there := c.RuntimeParams[name]
		switch {
		case there && given == "":
			delete(c.RuntimeParams, name)
		case there, strings.Contains(c.RuntimeParams["options"], name):
		case !o.Unhurried:
			c.RuntimeParams[name] = value
		}
	}
}

// severalHosts reports whether the location names more than one server; one may
// be tried in several ways.
func severalHosts(c *pgx.ConnConfig) bool {
	for _, f := range c.Fallbacks {
		if f.Host != c.Host || f.Port != c.Port {
			return true
		}
	}
	return false
}

func names(location, parameter string) bool {
	_, query, _ := strings.Cut(location, "?")
	set, err := url.ParseQuery(query)
	return err == nil && set.Has(parameter)
}
