package store

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"time"

	"github.com/domicile-sso/domicile/discovery"
)

// A TagKey makes and checks the tags of rows: a front door believes a row of the
// database for its tag alone, which was made when a region's signed claim came in.
// All front doors on one database share it, and the database never holds it.
//
// It makes tags with its first key, and accepts those of all.
type TagKey struct{ keys [][sha256.Size]byte }

// NewTagKey derives a TagKey from the secrets of the front door.
func NewTagKey(secrets discovery.Secrets) (TagKey, error) {
	keys, err := secrets.Keys("domicile directory rows")
	if err != nil {
		return TagKey{}, fmt.Errorf("tag key: %w", err)
	}
	return TagKey{keys}, nil
}

func (TagKey) String() string   { return "<secret>" }
func (TagKey) GoString() string { return "<secret>" }

// tag is the tag that r gets now.
func (k TagKey) tag(r row) []byte { return tagUnder(k.keys[0], r) }

// made reports whether a claim has made this tag of r. The second key is tried
// only where the first did not make it.
func (k TagKey) made(r row, tag []byte) bool { return k.which(r, tag) >= 0 }

// which is the place in the list of the key that made the tag, or -1.
func (k TagKey) which(r row, tag []byte) int {
	for i, key := range k.keys {
		if hmac.Equal(tag, tagUnder(key, r)) {
			return i
		}
	}
	return -1
}

func tagUnder(key [sha256.Size]byte, r row) []byte {
	t := tagging{hmac.New(sha256.New, key[:])}
	r.write(t)
	return t.sum()
}

// tagSize is 128 bits of HMAC-SHA-256.
const tagSize = 16

// A tagging is the tag of one row in the making: the table's name and every
// column, each with its length in front.
type tagging struct{ mac hash.Hash }

func (t tagging) bytes(b []byte) {
	var length [8]byte
	binary.BigEndian.PutUint64(length[:], uint64(len(b)))
	t.mac.Write(length[:])
	t.mac.Write(b)
}

func (t tagging) text(s string) { t.bytes([]byte(s)) }

func (t tagging) number(n int64) {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(n))
	t.bytes(b[:])
}

func (t tagging) sum() []byte { return t.mac.Sum(nil)[:tagSize] }

// The rows of the tables, with every column but the tag.
type (
	row interface {
		write(tagging)
		forged(tag []byte) *forgery
	}
	portalRow struct {
		id, region, name, url, disclosure, standbys string
		gone                                        bool
		seq                                         int64
	}
	routeRow struct {
		domain, portal, region, connection, signIn string
		seq                                        int64
	}
	entryRow struct {
		blind                  []byte
		portal, region, signIn string
		seq                    int64
	}
)

func (r portalRow) write(t tagging) {
	t.text("portals")
	for _, s := range []string{r.id, r.region, r.name, r.url, r.disclosure, r.standbys} {
		t.text(s)
	}
	gone := int64(0)
	if r.gone {
		gone = 1
	}
	t.number(gone)
	t.number(r.seq)
}

func (r routeRow) write(t tagging) {
	t.text("routes")
	for _, s := range []string{r.domain, r.portal, r.region, r.connection, r.signIn} {
		t.text(s)
	}
	t.number(r.seq)
}

func (r entryRow) write(t tagging) {
	t.text("entries")
	t.bytes(r.blind)
	for _, s := range []string{r.portal, r.region, r.signIn} {
		t.text(s)
	}
	t.number(r.seq)
}

// A forgery is a row whose tag is not ours: somebody else wrote to the database,
// or the key is another now. It names the row for forget, and says nothing of
// what is in it.
type forgery struct {
	table string
	where string // the row's own key and tag, so that a row written since stays
	args  []any
}

func (f *forgery) Error() string { return "a row of " + f.table + " has not the tag of a claim" }

func (r portalRow) forged(tag []byte) *forgery {
	return &forgery{"portals", `id = $1 AND tag = $2`, []any{r.id, tag}}
}

func (r routeRow) forged(tag []byte) *forgery {
	return &forgery{"routes", `domain = $1 AND portal = $2 AND region = $3 AND tag = $4`, []any{r.domain, r.portal, r.region, tag}}
}

func (r entryRow) forged(tag []byte) *forgery {
	return &forgery{"entries", `blind = $1 AND portal = $2 AND region = $3 AND tag = $4`, []any{r.blind, r.portal, r.region, tag}}
}

// repairTime bounds the dropping of rows, which may be all of them.
const repairTime = time.Minute

// forget drops rows that nobody claimed and has every region publish everything
// again, since no such row can be believed about whose it was. Until a region has
// done so, what it has not claimed is not known, rather than not there.
func (s *Store) forget(ctx context.Context, rows []*forgery) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), repairTime)
	defer cancel()
	dropped, err := s.drop(ctx, rows)
	if err != nil {
		return fmt.Errorf("drop what nobody claimed: %w", err)
	}
	for table, n := range dropped {
		s.metrics.forged.WithLabelValues(table).Add(float64(n))
		s.log.Error("rows without the tag of a claim are dropped; the regions publish everything again", "table", table, "rows", n)
	}
	return nil
}

// forgetOf is forget for the row that an error is about, if it is about one.
func (s *Store) forgetOf(ctx context.Context, err error) error {
	var f *forgery
	if !errors.As(err, &f) {
		return nil
	}
	if err := s.forget(ctx, []*forgery{f}); err != nil {
		return err
	}
	return s.Refresh(ctx)
}

// drop takes its locks in the order of Apply: progress, rows, changes. A region
// that is publishing again is left to it, so that lookups cannot keep it from
// ever being done.
func (s *Store) drop(ctx context.Context, rows []*forgery) (map[string]int, error) {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer func() { _ = tx.Rollback() }() // nothing to undo after Commit
	if _, err := tx.ExecContext(ctx, `UPDATE progress SET last = 0, whole = $1, changed = changed + 1 WHERE whole AND last > 0`, false); err != nil {
		return nil, err
	}
	dropped := map[string]int{}
	for _, f := range rows {
		res, err := tx.ExecContext(ctx, `DELETE FROM `+f.table+` WHERE `+f.where, f.args...)
		if err != nil {
			return nil, err
		}
		n, err := res.RowsAffected()
		if err != nil {
			return nil, err
		}
		if n > 0 {
			dropped[f.table]++
		}
	}
	if len(dropped) == 0 {
		return nil, nil // somebody else was here before
	}
	if _, err := tx.ExecContext(ctx, `UPDATE changes SET n = n + 1 WHERE id = 1`); err != nil {
		return nil, err
	}
	return dropped, tx.Commit()
}
