package attacks

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"net/http"
	"testing"

	"github.com/domicile-sso/domicile/discovery"
)

// TestREG02StolenDirectory: who has the directory and a dictionary of addresses
// finds nobody in it without the blinding key, which is not in it. Whoever has
// the key finds everybody: this test would notice.
func TestREG02StolenDirectory(t *testing.T) {
	w := shared(t)
	dictionary := []string{pat, pam}
	for _, name := range []string{"stolen-a", "stolen-b"} {
		guest := name + "@partner.example"
		w.guest(t, gamma, guest, "")
		dictionary = append(dictionary, guest)
	}
	w.published(t)
	stolen := map[discovery.BlindID]bool{}
	found, err := w.FrontDB.QueryContext(t.Context(), `SELECT blind FROM entries`)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = found.Close() }()
	for found.Next() {
		var id []byte
		if err := found.Scan(&id); err != nil {
			t.Fatal(err)
		}
		stolen[discovery.BlindID(id)] = true
	}
	if err := found.Err(); err != nil || len(stolen) < len(dictionary) {
		t.Fatalf("%d entries, %v", len(stolen), err)
	}
	for _, who := range dictionary {
		if !stolen[w.blind.Current(addressOf(who))] {
			t.Errorf("with the key, %s is not found", who)
		}
		// All that is in the directory or public, as a key; and none.
		for _, key := range [][]byte{make([]byte, 32), random(), bytes.Repeat([]byte{1}, 32), digest("domicile"), digest(frontDoor), digest(who)} {
			if stolen[discovery.BlindKeys{discovery.NewBlindKey(1, key)}.Current(addressOf(who))] {
				t.Errorf("%s is found with the key %x", who, key)
			}
			mac := hmac.New(sha256.New, key)
			mac.Write([]byte(who))
			w.unmatched(t, stolen, mac.Sum(nil))
		}
		long := sha512.Sum512([]byte(who))
		w.unmatched(t, stolen, digest(who), long[:], digest("acme\x00"+who), digest(who+"\x00acme"))
	}
	text := w.dump(t)
	if bytes.Contains(text, w.blinding) || !bytes.Contains(text, []byte("acme.example")) {
		t.Error("the directory holds the blinding key, or was not read")
	}
}

func digest(s string) []byte {
	sum := sha256.Sum256([]byte(s))
	return sum[:]
}

// unmatched looks for any part of a hash that could be a blind ID or its hash
// after the version.
func (w *world) unmatched(t testing.TB, stolen map[discovery.BlindID]bool, hashes ...[]byte) {
	t.Helper()
	for _, h := range hashes {
		for id := range stolen {
			if bytes.Contains(h, id[1:9]) {
				t.Errorf("a hash without the key is in the directory: %x", h)
			}
		}
	}
}

// dump is every row of the directory.
func (w *world) dump(t testing.TB) (text []byte) {
	t.Helper()
	for _, l := range w.looks(t, w.FrontDB) {
		rows, err := l.stmt.QueryContext(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		columns, err := rows.Columns()
		if err != nil {
			t.Fatal(err)
		}
		values, to := make([][]byte, len(columns)), make([]any, len(columns))
		for i := range values {
			to[i] = &values[i]
		}
		for rows.Next() {
			if err := rows.Scan(to...); err != nil {
				t.Fatal(err)
			}
			text = append(text, bytes.Join(values, []byte{0})...)
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
		_ = rows.Close()
	}
	return text
}

// TestREG09MovedSecrets: what a region sealed opens in its own row of its own
// region. Moved to another row, or brought from another jurisdiction with its
// row, it signs nobody in, sends nothing out, and says nothing.
func TestREG09MovedSecrets(t *testing.T) {
	w := newWorld(t)
	eu := w.home(acme).DB
	var foreign []byte
	if err := w.home(gamma).DB.QueryRowContext(t.Context(), `SELECT key_pair FROM connections WHERE id = 'gamma-saml'`).Scan(&foreign); err != nil {
		t.Fatal(err)
	}
	for _, moved := range []struct {
		name, connection, query string
		args                    []any
	}{
		{"another row", "acme-oidc", `UPDATE connections SET secret = (SELECT secret FROM connections WHERE id = 'beta-oidc') WHERE id = 'acme-oidc'`, nil},
		{"another row's key", "acme-saml", `UPDATE connections SET key_pair = (SELECT key_pair FROM connections WHERE id = 'beta-saml') WHERE id = 'acme-saml'`, nil},
		{"another jurisdiction's key", "acme-saml", `UPDATE connections SET key_pair = $1 WHERE id = 'acme-saml'`, []any{foreign}},
	} {
		t.Run(moved.name, func(t *testing.T) {
			before := w.browser(t) // whose sign-in is under way
			trip := before.depart(acme, moved.connection)
			var secret, key []byte
			if err := eu.QueryRowContext(t.Context(), `SELECT secret, key_pair FROM connections WHERE id = $1`, moved.connection).Scan(&secret, &key); err != nil {
				t.Fatal(err)
			}
			if _, err := eu.ExecContext(t.Context(), moved.query, moved.args...); err != nil {
				t.Fatal(err)
			}
			calls := w.IdPs.calls.Load()
			w.refused(t, acme, refusal{Status: http.StatusServiceUnavailable}, func() *answer { return w.browser(t).get(acme + "/login/" + moved.connection) })
			if trip.Connection == "acme-oidc" {
				back := trip.authorise(w.IdPs.Person(t, "acme-oidc.example"))
				calls = w.IdPs.calls.Load()
				w.refused(t, acme, refusal{Status: http.StatusServiceUnavailable}, func() *answer { return before.crossGet(back.String()) })
			}
			if n := w.IdPs.calls.Load() - calls; n != 0 {
				t.Errorf("%d requests to the provider", n)
			}
			if _, err := eu.ExecContext(t.Context(), `UPDATE connections SET secret = $1, key_pair = $2 WHERE id = $3`, append([]byte{}, secret...), append([]byte{}, key...), moved.connection); err != nil {
				t.Fatal(err)
			}
			w.browser(t).depart(acme, moved.connection) // put back, it opens
		})
	}
}
