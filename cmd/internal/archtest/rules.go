// Package archtest checks what the compiler does not: who may import whom, and
// the few habits that keep the code of one kind. It reads the sources with
// go/parser, so that the result is never a cached one.
//
// Each rule carries its reason, which is what the person who breaks it reads.
package archtest

import (
	"path"
	"regexp"
	"strings"
)

// A rule forbids some imports to some packages.
type rule struct {
	from string // pattern of our packages
	to   string // pattern of import paths; ours are relative to the module
	but  []string
	when files
	why  string
}

// files says which files of a package a rule is about.
type files int

const (
	all     files = iota
	product       // neither _test.go files nor packages named …test
)

// A pattern is a path, or a path and "/..." for everything below it as well, or
// "…/x" for every package whose last element is x. "ours" is any package of
// this module.
func match(pattern, pkg string, ours bool) bool {
	if pattern == "ours" {
		return ours
	}
	if last, ok := strings.CutPrefix(pattern, "…/"); ok {
		return path.Base(pkg) == last && ours
	}
	if root, ok := strings.CutSuffix(pattern, "/..."); ok {
		return pkg == root || strings.HasPrefix(pkg, root+"/")
	}
	return pkg == pattern
}

// never lists the imports that DESIGN rules out.
var never = []rule{
	{from: "discovery/...", to: "portal/...",
		why: "the global front end must not link code that reads people"},
	{from: "discovery/...", to: "federation/...",
		why: "people are authenticated in their region, never at the front door"},
	{from: "federation/...", to: "portal/...",
		why: "protocol code knows nothing of accounts: state comes in, a verdict goes out"},
	{from: "federation/...", to: "discovery/...",
		why: "protocol code knows nothing of routing"},
	{from: "federation/...", to: "regions/...",
		why: "a connection does not depend on where its portal lives"},
	{from: "federation/...", to: "database/sql",
		why: "protocol code is pure: state comes in, a verdict goes out"},
	{from: "regions/...", to: "ours", but: []string{"regions/...", "config/..."},
		why: "the map of regions is the bottom: both planes stand on it"},
	{from: "regions/consul", to: "ours", but: []string{"regions"}, when: product,
		why: "a carrier of records knows the records and nothing of who reads them"},
	{from: "discovery/...", to: "github.com/hashicorp/consul/...",
		why: "what Consul says is believed nowhere; regions/consul carries it to where signatures are verified"},
	{from: "portal/...", to: "github.com/hashicorp/consul/...",
		why: "a region does not depend on Consul; cmd registers its processes"},
	{from: "config/...", to: "ours", but: []string{"config/..."},
		why: "configuration is values; cmd turns them into packages"},
	{from: "portal/...", to: "discovery/...",
		but: []string{"discovery", "discovery/client", "discovery/page", "discovery/page/pagetest", "discovery/page/locale/...", "discovery/span"},
		why: "a region stands alone: of the front door it knows the words, in all languages, the way to publish, the look and what a trace may hold"},
	{from: "ours", to: "discovery/page/pagetest", when: product,
		why: "it reads pages for tests; the product only writes them"},
	{from: "ours", to: "discovery/page/locale/localetest", when: product,
		why: "it reads the sources for texts without a translation; the product has the translations"},
	{from: "ours", to: "portal/passkeytest", when: product,
		why: "it is a passkey whose key anybody can read: the product only looks at what one says"},
	{from: "discovery/page/locale", to: "ours", when: product,
		why: "phrases and dates are of no site: whoever has something to say stands on them"},
	{from: "portal/sms", to: "ours", but: []string{"portal"}, when: product,
		why: "what carries codes knows a number and a text, and nothing of whose they are"},
	{from: "…/store", to: "net/http",
		why: "storage does not speak HTTP"},
	{from: "…/store", to: "…/web",
		why: "imports run from pages to storage"},
	{from: "…/store", to: "discovery/page",
		why: "storage does not know how anything looks"},
	{from: "portal", to: "database/sql",
		why: "the root of a folder is vocabulary and rules without I/O"},
	{from: "portal", to: "ours", but: []string{"portal", "discovery", "federation/...", "regions/..."}, when: product,
		why: "the root of a folder is vocabulary and rules; its other packages stand on it"},
	{from: "discovery", to: "database/sql",
		why: "the root of a folder is vocabulary and rules without I/O"},
	{from: "discovery", to: "ours", but: []string{"discovery", "regions/..."}, when: product,
		why: "the root of a folder is vocabulary and rules; its other packages stand on it"},
	{from: "ours", to: "github.com/crewjam/saml/samlsp",
		why: "it believes more than the signature covered; federation/saml has the gate"},
	{from: "ours", to: "github.com/gorilla/csrf",
		why: "open CVE; cmd/internal/serve uses net/http.CrossOriginProtection"},
}

// Two rules that are not about one folder. Tests, which open databases and start
// servers, may use some parts of config.
const (
	onlyCmd = "packages take values, not the configuration: only cmd imports config"
	onlyTop = "nothing stands on cmd: it is where everything is put together"
)

// onlySpan is about the modules of OpenTelemetry.
const onlySpan = "spans are made by discovery/span alone, which says what may stand in one"

// forTests are the parts of config that a test, or a package of tests, may use.
var forTests = []string{"config/servertest", "config/sqldb", "config/sqldb/backup", "config/sqldb/sqltest"}

// folders are the only ones at the top that hold code.
var folders = []string{"cmd", "config", "regions", "discovery", "federation", "portal"}

// vague are package names that say where code was put instead of what it is.
var vague = regexp.MustCompile(`^(utils?|common|helpers?|managers?|models?|misc|shared|base|lib|services?|types|interfaces?)$`)

// clockless packages are given the time: their tests say what time it is.
var clockless = []string{"federation", "federation/saml", "federation/oidc", "portal", "portal/store",
	"discovery", "discovery/store", "regions", "regions/consul", "regions/ticket"}

// mostLines is how long a source file may be. Whoever needs more has two
// subjects.
const mostLines = 600

// texts are what no file of the repository may contain. The patterns are put
// together from pieces because this file is one of them.
var texts = []struct {
	bad *regexp.Regexp
	why string
}{
	{regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|XX` + `X|HA` + `CK)\b`),
		"work is done or it is not; a marker in the code is neither"},
	{regexp.MustCompile(`\b(registry|proxy|sum|index)\.(npmjs|yarnpkg|golang|docker|crates)\.\w+|\bregistry\.[a-z0-9-]+\.[a-z]|"resol` + `ved": *"http|deb\.debian\.` + `org`),
		"registries are the business of whoever builds, by their own settings"},
	{regexp.MustCompile(`(^|[^\w.~/-])/(work|root|home|Users)/[\w.]`),
		"a path of one machine means nothing on the next"},
}
