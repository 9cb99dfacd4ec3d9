// Package store keeps a region's people: its portals, connections, domains,
// accounts, sessions, tokens and audit log, in SQLite or Postgres.
//
// A method is one use case in one transaction. It gathers facts, asks the pure
// rule in package portal, writes what the rule said, and appends to the audit
// log and to the outbox of the directory before it commits: when the audit row
// cannot be written, nothing happened. A refusal commits too, because tries
// have to be counted and audited.
//
// What happens in one portal happens one after the other: a transaction that
// changes anything takes the head of the portal's audit chain first, which
// makes "read, decide, write" safe on both databases without further locks.
//
// A database is one region's for good: [Store.Settle]. After a backup is put
// back, [Store.Restored] voids what may have been used meanwhile.
package store

import (
	"database/sql"
	"embed"
	"io/fs"
	"time"

	"github.com/domicile-sso/domicile/portal"
)

//go:embed migrations/*.sql
var files embed.FS

// Migrations are the schema, numbered, forward only; the same SQL for SQLite
// and Postgres.
var Migrations fs.FS = must(fs.Sub(files, "migrations"))

func must(f fs.FS, err error) fs.FS {
	if err != nil {
		panic(err) // the folder is part of this package
	}
	return f
}

// A Store is safe for use by many goroutines.
type Store struct {
	db     *sql.DB
	vault  portal.Vault
	now    func() time.Time
	hasher *portal.Hasher

	// Lifetimes of sessions, to be set before the store is used. Zero: the usual.
	Lifetimes portal.Lifetimes

	// StandIn is the region whose processes use the store when they stand in for
	// the region that the database is of, to be set before the store is used.
	// Portals are found by their hosts there, links lead there, and every row of
	// the audit log says so. Empty: the region's own processes.
	StandIn string

	// Texts says whether this region can send text messages, to be set before the
	// store is used. Without, no factor that needs them is offered.
	Texts bool

	changed chan struct{} // the outbox has new rows
	posted  chan struct{} // the mail queue has new letters
}

// New needs a migrated database.
func New(db *sql.DB, vault portal.Vault, now func() time.Time) *Store {
	return &Store{
		db: db, vault: vault, now: now, hasher: portal.NewHasher(0),
		changed: make(chan struct{}, 1), posted: make(chan struct{}, 1),
	}
}

// Changed receives after a change that the directory has to hear about.
func (s *Store) Changed() <-chan struct{} { return s.changed }

// LetterQueued receives after a letter was queued.
func (s *Store) LetterQueued() <-chan struct{} { return s.posted }
