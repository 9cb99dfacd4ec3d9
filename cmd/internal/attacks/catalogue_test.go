package attacks

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/discovery/client"
	"github.com/domicile-sso/domicile/regions"
)

// TestCatalogue attacks what tells the front door where regions are: the
// catalogue's file, the regions' claims, the directory.
func TestCatalogue(t *testing.T) {
	w := newWorld(t)
	w.published(t)
	file := filepath.Join(w.dir, "regions.jws")
	good, err := regions.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	europeAt := slices.IndexFunc(good, func(s string) bool { return strings.Contains(payload(t, s), europe) })
	sign := func(change func(*regions.Record)) string {
		t.Helper()
		r := w.Regions[europe].Record
		r.Version = 2
		change(&r)
		signed, err := regions.Sign(r, w.root)
		if err != nil {
			t.Fatal(err)
		}
		return signed
	}
	evil := func(r *regions.Record) { r.Hosts = []string{"*.evil.example"} }
	_, attacker := newKeys(t)
	forged, err := regions.Sign(func() regions.Record { r := w.Regions[europe].Record; r.Version = 9; evil(&r); return r }(), attacker)
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(good[europeAt], ".")
	edited := base64.RawURLEncoding.EncodeToString([]byte(strings.ReplaceAll(payload(t, good[europeAt]), "eu.domicile.example", "eu.domicile.evil.tes")))

	// still asks for people of both regions, and insists that they are sent where
	// they always were.
	still := func(t *testing.T, name string) {
		t.Helper()
		for who, want := range map[string]string{"ann@acme.example": acme, "gil@gamma.example": gamma} {
			w.Clock.Pass(time.Second)
			a := w.browser(t).post(frontDoor+"/", url.Values{"email": {who}})
			if to := a.leads(); to.Scheme+"://"+to.Host != want {
				t.Errorf("%s: %s is sent to %s", name, who, to.Host)
			}
		}
	}
	put := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		w.Front.Reload()
	}
	for name, record := range map[string]string{
		"CON-01 another root key":      forged,
		"CON-01 an edited payload":     parts[0] + "." + edited + "." + parts[2],
		"CON-01 a signature taken off": parts[0] + "." + parts[1] + ".",
		"CON-01 alg none":              base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + edited + ".",
		"CON-01 the same version":      sign(func(r *regions.Record) { r.Version = 1; evil(r) }),
		"CON-01 another territory":     sign(func(r *regions.Record) { r.Jurisdiction = "US" }),
		"CON-02 expired": sign(func(r *regions.Record) {
			evil(r)
			r.Issued, r.Expires = r.Issued.AddDate(-2, 0, 0), r.Issued.AddDate(-1, 0, 0)
		}),
		"CON-02 not yet": sign(func(r *regions.Record) {
			evil(r)
			r.Issued, r.Expires = r.Issued.AddDate(0, 1, 0), r.Issued.AddDate(1, 1, 0)
		}),
		"CON-01 noise":         "nonsense",
		"CON-01 half a record": good[europeAt][:len(good[europeAt])/2],
		"CON-01 binary":        "\x00\x01\xff\xfe",
	} {
		t.Run(name, func(t *testing.T) {
			before := w.total(t, "domicile_catalogue_refusals_total")
			put(record + "\n")
			still(t, name)
			if after := w.total(t, "domicile_catalogue_refusals_total"); after <= before {
				t.Error("no metric rose")
			}
		})
	}
	t.Run("CON-05 an empty file, and none", func(t *testing.T) {
		put("")
		still(t, "empty")
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		before := w.total(t, "domicile_catalogue_refusals_total")
		w.Front.Reload()
		still(t, "gone")
		if w.total(t, "domicile_catalogue_refusals_total") <= before {
			t.Error("no metric rose")
		}
	})
	t.Run("CON-02 rolled back", func(t *testing.T) {
		put(sign(func(r *regions.Record) { r.Hosts = append(r.Hosts, "*.also.example") }) + "\n")
		before := w.total(t, "domicile_catalogue_refusals_total")
		put(good[europeAt] + "\n")
		if w.total(t, "domicile_catalogue_refusals_total") <= before {
			t.Error("no metric rose")
		}
		kept, err := regions.ReadFile(filepath.Join(w.dir, "regions"))
		if err != nil || !slices.ContainsFunc(kept, func(s string) bool { return strings.Contains(payload(t, s), "also.example") }) {
			t.Errorf("the newer record is not what is kept: %v", err)
		}
		still(t, "rolled back")
	})
	t.Run("CON-04 claims outside the record", func(t *testing.T) { w.foreignClaims(t, still) })
	t.Run("CON-04 a changed directory", func(t *testing.T) { w.changedDirectory(t, still) })
}

// changedDirectory writes to the directory's database what no region has claimed,
// all within signed hosts and across territories: nobody is sent anywhere by it,
// and what was there comes back by itself.
func (w *world) changedDirectory(t *testing.T, still func(*testing.T, string)) {
	blind := w.blind.Current(addressOf("gil@gamma.example"))
	before := w.total(t, "domicile_directory_rows_refused_total")
	for _, change := range []string{
		fmt.Sprintf(`INSERT INTO entries (blind, portal, region, sign_in, seq, tag)
			SELECT X'%x', 'acme', '%s', sign_in, seq, tag FROM entries LIMIT 1`, blind[:], europe),
		`UPDATE routes SET portal = 'acme', region = '` + europe + `', connection = '' WHERE domain = 'gamma.example'`,
		`UPDATE portals SET region = '` + america + `', url = 'https://evil.us.domicile.example' WHERE id = 'acme'`,
		`UPDATE changes SET n = n + 1`,
	} {
		if res, err := w.FrontDB.ExecContext(t.Context(), change); err != nil {
			t.Fatal(err)
		} else if n, err := res.RowsAffected(); err != nil || n == 0 {
			t.Fatalf("%s changes nothing: %v", change, err)
		}
	}
	// right asks for both; each is where they belong, or not known now once the
	// rows were seen.
	right := func() (known bool) {
		known = true
		for who, want := range map[string]string{"ann@acme.example": acme, "gil@gamma.example": gamma} {
			a := w.browser(t).ask(email(who))
			if a.Status != http.StatusOK && a.Status != http.StatusServiceUnavailable {
				t.Fatalf("%s is answered %d", who, a.Status)
			}
			other := map[string]string{acme: gamma, gamma: acme}[want]
			if strings.Contains(a.Body, "evil") || strings.Contains(a.Body, other) || strings.Contains(a.Body, `"portals":[]`) {
				t.Fatalf("%s is led to %s", who, a.Body)
			}
			known = known && a.Status == http.StatusOK
		}
		return known
	}
	w.settled(t, func() bool {
		w.Clock.Pass(time.Minute) // what the cache remembers ends
		right()
		return w.total(t, "domicile_directory_rows_refused_total") > before
	})
	w.settled(t, func() bool {
		w.Clock.Pass(time.Second)
		return right() && w.browser(t).ask(email("nobody@nowhere.example")).Status == http.StatusOK
	})
	still(t, "healed")
}

// foreignClaims publishes, as each region could, what is not that region's to
// say.
func (w *world) foreignClaims(t *testing.T, still func(*testing.T, string)) {
	publishing := w.Regions[america].options.Publishing
	var last int64
	if err := w.FrontDB.QueryRowContext(t.Context(), `SELECT last FROM progress WHERE region = $1`, america).Scan(&last); err != nil {
		t.Fatal(err)
	}
	c := client.Client{URL: "http://" + w.Front.Claims(), FrontDoor: frontDoor, Region: america, Key: publishing, Now: w.Clock.Now}
	say := func(claims ...discovery.Claim) {
		for i := range claims {
			claims[i].Seq = last + int64(i) + 1
		}
		r, err := c.Publish(t.Context(), discovery.Batch{After: last, Claims: claims})
		if err == nil {
			last = r.Last
		}
	}
	portalAt := func(id, at, region string) discovery.Claim {
		return discovery.Claim{Portal: &discovery.Portal{ID: id, Name: "Evil", URL: at, Disclosure: discovery.Listed, Region: region}}
	}
	say(portalAt("acme", "https://evil.us.domicile.example", america)) // Europe's portal
	say(portalAt("acme", acme, europe))
	say(portalAt("bad", "https://evil.example", america), discovery.Claim{Route: &discovery.Route{Domain: "bad.example", Portal: "bad", SignIn: []discovery.SignIn{discovery.Password}}})
	say(discovery.Claim{Route: &discovery.Route{Domain: "sub.acme.example", Portal: "acme", SignIn: []discovery.SignIn{discovery.Password}}})
	say(discovery.Claim{Entry: &discovery.Entry{Blind: w.blind.Current(addressOf("ann@acme.example")), Portal: "acme", SignIn: []discovery.SignIn{discovery.Password}}})
	still(t, "claims of another region")
	for _, who := range []string{"ann@acme.example", "x@bad.example", "x@sub.acme.example"} {
		w.Clock.Pass(time.Second)
		if a := w.browser(t).ask(email(who)); strings.Contains(a.Body, "evil") {
			t.Errorf("%s: %s", who, a.Body)
		}
	}
	_, stranger := newKeys(t)
	for name, forger := range map[string]client.Client{
		"a stranger's key":       {URL: c.URL, FrontDoor: frontDoor, Region: europe, Key: stranger, Now: w.Clock.Now},
		"another region's key":   {URL: c.URL, FrontDoor: frontDoor, Region: europe, Key: publishing, Now: w.Clock.Now},
		"a region nobody signed": {URL: c.URL, FrontDoor: frontDoor, Region: "ca-central", Key: publishing, Now: w.Clock.Now},
		"yesterday":              {URL: c.URL, FrontDoor: frontDoor, Region: america, Key: publishing, Now: func() time.Time { return w.Clock.Now().AddDate(0, 0, -1) }},
	} {
		if _, err := forger.Publish(t.Context(), discovery.Batch{Claims: []discovery.Claim{portalAt("acme", "https://evil.eu.domicile.example", europe)}}); err == nil {
			t.Errorf("%s: claims were taken", name)
		}
	}
	still(t, "forged claims")
}

// settled waits until something is so.
func (w *world) settled(t testing.TB, so func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !so() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("it never happened")
		}
	}
}

func payload(t testing.TB, jws string) string {
	t.Helper()
	parts := strings.Split(jws, ".")
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || !json.Valid(text) {
		t.Fatalf("not a record: %v", err)
	}
	return string(text)
}

// total is the sum of a counter of the front door over its labels, as its private
// listener tells it.
func (w *world) total(t testing.TB, name string) (sum float64) {
	t.Helper()
	for line := range strings.Lines(w.metrics(t, w.Front.Addr("private"))) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok && strings.HasPrefix(key, name) {
			n, err := strconv.ParseFloat(value, 64)
			if err != nil {
				t.Fatal(err)
			}
			sum += n
		}
	}
	return sum
}

// metrics is everything a private listener tells.
func (w *world) metrics(t testing.TB, addr string) string {
	t.Helper()
	res, err := http.Get("http://" + addr + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
