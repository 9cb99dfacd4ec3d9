package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/domicile-sso/domicile/cmd/internal/planttest"
	"github.com/domicile-sso/domicile/config/servertest"
)

// pair gives the plant a Consul, and its region in the EU a standby there: other
// processes on the same database.
func (p *plant) pair() (west *region) {
	p.t.Helper()
	ports := planttest.Free(p.t, 2)
	west = &region{plant: p, name: "eu-west", jurisdiction: "EU", zone: "eu-west", port: ports[0], probe: ports[1]}
	planttest.Run(p.t, "region", "keygen", "region", west.name, "--jurisdiction", "EU", "--name", "Dublin",
		"--host", fmt.Sprintf("*.eu-west.localhost:%d", west.port), "--out", p.path(west.name))
	p.append("eu-central/eu-central.yaml", "standbys: [eu-west]\n")
	for _, r := range []*region{west, p.eu} {
		planttest.Run(p.t, "region", "sign", p.path(r.name, r.name+".yaml"), "--root", p.path("root", "root.key"), "--out", p.path("catalogue"))
	}
	p.region(west, "database: sqlite:eu-central/region.db")
	p.rewrite("eu-west.yaml", "region: {name: eu-west, jurisdiction: EU}",
		"region: {name: eu-west, jurisdiction: EU, title: Dublin, stands_in_for: eu-central, stands_in_for_title: Frankfurt}")
	p.rewrite("eu-west.yaml", "data_key_files: [eu-west/data.key]", "data_key_files: [eu-central/data.key]")

	consul := servertest.Consul(p.t)
	p.consul = consul
	token := func(name, rules string) string {
		file := name + ".token"
		p.write(file, "%s\n", consul.Token(p.t, rules))
		return file
	}
	section := "consul: {address: \"http://%s\", token_file: %s%s}\n"
	p.append("front.yaml", section, consul.Addr, token("front", `key_prefix "domicile/regions/" { policy = "read" }
service_prefix "domicile-portal-" { policy = "read" }
node_prefix "" { policy = "read" }`), "")
	for _, r := range []*region{p.eu, west} {
		p.append(r.name+".yaml", section, consul.Addr, token(r.name, `service "domicile-portal-`+r.name+`" { policy = "write" }`),
			fmt.Sprintf(", advertise: %q", planttest.Loopback(r.port)))
	}
	for _, file := range []string{"front.yaml", "eu-central.yaml", "eu-west.yaml"} {
		planttest.Run(p.t, "check", p.path(file))
	}
	return west
}

func (p *plant) append(name, format string, args ...any) {
	p.t.Helper()
	f, err := os.OpenFile(p.path(name), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		p.t.Fatal(err)
	}
	_, err = fmt.Fprintf(f, format, args...)
	if err := f.Close(); err != nil {
		p.t.Fatal(err)
	}
	if err != nil {
		p.t.Fatal(err)
	}
}

// becomes waits until the front door says that the first portal of an address is
// served so: "", "standby" or "down".
func (p *plant) becomes(address, status string) {
	p.t.Helper()
	planttest.Until(p.t, fmt.Sprintf("%s being led to a portal whose status is %q", address, status), func() bool {
		res, err := client(p.t).Post(p.url+"/v1/discover", "application/json", strings.NewReader(fmt.Sprintf(`{"email":%q}`, address)))
		if err != nil {
			return false
		}
		defer res.Body.Close()
		var answer struct {
			Portals []struct{ Status, Jurisdiction string }
		}
		body, err := io.ReadAll(res.Body)
		return err == nil && res.StatusCode == http.StatusOK && json.Unmarshal(body, &answer) == nil &&
			len(answer.Portals) > 0 && answer.Portals[0].Status == status
	})
}

// TestStandby walks through a region's loss, in processes: its people are led to
// the stand-in and told so, told what is going on once that is lost as well, and
// led home again.
func TestStandby(t *testing.T) {
	const own = "their-own-Password-1"
	p := build(t)
	west := p.pair()
	acme := p.eu.portal("acme", "Acme Corporation")
	standby := fmt.Sprintf("http://acme.eu-west.localhost:%d", west.port)
	p.eu.do("portal", "create", "acme", "--url", acme, "--standby", "eu-west="+standby)
	p.us.portal("globex", "Globex")
	p.eu.do("account", "invite", ian, "--portal", "acme", "--given-name", "Ian")
	p.eu.do("account", "invite", consultant, "--portal", "acme", "--given-name", "Max")
	p.us.do("account", "invite", consultant, "--portal", "globex", "--given-name", "Max")
	p.startFront()
	p.eu.start()
	west.start()
	p.us.start()
	p.knows(ian, "acme")
	temporary := planttest.TemporaryPassword(p.smtp.Letter(t, ian, "Your temporary password"))
	p.becomes(ian, "")

	b := browser(t, true)
	find := func(address string) {
		t.Helper()
		b.open(p.url + "/")
		b.fill("email", address)
		b.press("Next")
	}
	signIn := func(password string) {
		t.Helper()
		b.fill("password", password)
		b.press("Sign in")
	}
	find(ian)
	b.at(acme, "/login/password")
	b.mustNotSay("stand-in")

	p.eu.Kill()
	p.becomes(ian, "standby")
	find(ian)
	b.at(standby, "/login/password")
	b.sees("You are at the stand-in for Frankfurt")
	b.look("standby-password")
	signIn(temporary)
	for field, value := range map[string]string{"temporary": temporary, "new": own, "confirm": own} {
		b.fill(field, value)
	}
	b.look("standby-change")
	b.press("Save and sign in")
	b.sees("You are signed in to")
	b.at(standby, "/")
	b.look("standby-home")
	b.open(standby + "/nowhere")
	b.sees("You are at the stand-in for Frankfurt")
	b.look("standby-error")
	find(consultant)
	b.sees("Dublin stands in for City of EU")
	b.look("chooser-standby")

	west.Kill()
	p.becomes(ian, "down")
	find(ian)
	b.sees("Acme Corporation is not answering right now")
	b.sees("Its data stays in EU")
	b.look("down")
	if b.answer() != http.StatusServiceUnavailable {
		t.Errorf("the page has status %d", b.answer())
	}
	b.press("Try again")
	b.sees("Acme Corporation is not answering right now")
	down := b.another()
	down.open(p.url + "/")
	down.fill("email", consultant)
	down.press("Next")
	down.sees("not answering right now")
	down.look("chooser-down")

	p.eu.start()
	p.becomes(ian, "")
	b.press("Try again")
	b.at(acme, "/login/password")
	b.mustNotSay("stand-in")
	signIn(own)
	b.sees("You are signed in to")
	b.at(acme, "/")

	rows := p.eu.do("audit", "--portal", "acme")
	for _, want := range []string{"SERVED BY", "eu-west"} {
		if !strings.Contains(rows, want) {
			t.Errorf("the audit log does not say %s:\n%s", want, rows)
		}
	}
	p.eu.do("audit", "--verify")
	if shown := p.eu.do("portal", "list"); !strings.Contains(shown, "eu-west="+standby) {
		t.Errorf("portal list:\n%s", shown)
	}
}
