package servertest

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"text/template"
	"time"
)

// A SAMLIdP is a running SimpleSAMLphp.
type SAMLIdP struct {
	URL         string // with a trailing slash
	EntityID    string
	MetadataURL string

	t   testing.TB
	dir string
}

// trustNobody is what the identity provider knows of service providers before
// the first Trust.
const trustNobody = `<md:EntitiesDescriptor xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata"></md:EntitiesDescriptor>`

// SimpleSAMLphp starts a SAML identity provider whose login page is a form with
// the fields "username" (an address) and "password". It signs responses and
// assertions, insists on signed requests, and sends persistent name IDs and the
// attributes mail, displayName, givenName and sn by their OIDs.
func SimpleSAMLphp(t testing.TB, people []Person) *SAMLIdP {
	t.Helper()
	php, ok := find("php")
	if !ok {
		absent(t, "PHP is not installed")
	}
	const base = "/usr/share/simplesamlphp"
	if _, err := os.Stat(filepath.Join(base, "www", "saml2", "idp", "SSOService.php")); err != nil {
		absent(t, "SimpleSAMLphp is not installed")
	}
	idp := &SAMLIdP{t: t}
	err := onFreePort(func(port int) error {
		dir, err := folder("simplesamlphp", nil)
		if err != nil {
			return err
		}
		idp.dir = dir
		idp.URL = named(port) + "/"
		idp.MetadataURL = idp.URL + "saml2/idp/metadata.php"
		idp.EntityID = idp.MetadataURL
		if err := idp.configure(people); err != nil {
			return err
		}
		// Without opcache a changed configuration is seen at once. No more than
		// one worker: PHP's server leaves the others behind when it is stopped.
		p, err := start(dir, "TERM", nil, []string{"SIMPLESAMLPHP_CONFIG_DIR=" + dir},
			php, "-d", "opcache.enable=0", "-d", "session.save_path="+dir, "-S", loopback(port), "-t", filepath.Join(base, "www"))
		if err != nil {
			return err
		}
		if err := p.ready(returns200(idp.MetadataURL)); err != nil {
			p.stop()
			return err
		}
		t.Cleanup(p.stop)
		t.Cleanup(func() {
			if t.Failed() {
				t.Logf("SimpleSAMLphp wrote:\n%s", p.log())
			}
		})
		return nil
	})
	if err != nil {
		t.Fatalf("servertest: starting SimpleSAMLphp: %v", err)
	}
	return idp
}

// Trust makes the service provider of a metadata document known to the
// identity provider, in place of any before.
func (i *SAMLIdP) Trust(metadata []byte) {
	i.t.Helper()
	if err := replace(filepath.Join(i.dir, "sp.xml"), metadata); err != nil {
		i.t.Fatalf("servertest: %v", err)
	}
}

// configure writes SimpleSAMLphp's configuration folder.
func (i *SAMLIdP) configure(people []Person) error {
	key, cert, err := selfSigned()
	if err != nil {
		return err
	}
	type person struct {
		Person
		Subject string
	}
	rows := make([]person, len(people))
	for n, p := range people {
		rows[n] = person{p, subject(p.Email)}
	}
	values := map[string]any{"Dir": i.dir, "URL": i.URL, "EntityID": i.EntityID, "People": rows}
	files := map[string][]byte{"idp.key": key, "idp.crt": cert, "sp.xml": []byte(trustNobody)}
	for name, text := range samlFiles {
		var out bytes.Buffer
		tmpl := template.Must(template.New(name).Funcs(template.FuncMap{"php": phpString}).Parse(text))
		if err := tmpl.Execute(&out, values); err != nil {
			return err
		}
		files[name] = out.Bytes()
	}
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(i.dir, name), data, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// samlFiles are SimpleSAMLphp's settings, reduced to what an identity provider
// on plain loopback HTTP needs.
var samlFiles = map[string]string{
	"config.php": `<?php
$config = [
    'baseurlpath' => {{php .URL}},
    'certdir' => {{php .Dir}}.'/', 'metadatadir' => {{php .Dir}}.'/', 'datadir' => {{php .Dir}}.'/',
    'tempdir' => {{php .Dir}}.'/', 'loggingdir' => {{php .Dir}}.'/',
    'logging.handler' => 'errorlog', 'logging.level' => SimpleSAML\Logger::WARNING,
    'secretsalt' => 'servertest', 'auth.adminpassword' => bin2hex(random_bytes(16)),
    'technicalcontact_name' => 'servertest', 'technicalcontact_email' => 'servertest@example.org',
    'timezone' => 'UTC', 'showerrors' => true, 'admin.checkforupdates' => false,
    'enable.saml20-idp' => true,
    'module.enable' => ['exampleauth' => true, 'core' => true, 'saml' => true],
    'store.type' => 'phpsession',
    'session.phpsession.savepath' => {{php .Dir}}, 'session.phpsession.cookiename' => 'SimpleSAML',
    'session.cookie.secure' => false, 'session.cookie.samesite' => null, 'language.cookie.secure' => false,
    'metadata.sources' => [['type' => 'flatfile'], ['type' => 'xml', 'file' => {{php .Dir}}.'/sp.xml']],
];
`,
	"authsources.php": `<?php
$config = [
    'people' => ['exampleauth:UserPass',
{{- range .People}}
        {{php (printf "%s:%s" .Email .Password)}} => [
            'uid' => [{{php .Subject}}],
            'urn:oid:0.9.2342.19200300.100.1.3' => [{{php .Email}}],
            'urn:oid:2.16.840.1.113730.3.1.241' => [{{php (printf "%s %s" .GivenName .FamilyName)}}],
            'urn:oid:2.5.4.42' => [{{php .GivenName}}],
            'urn:oid:2.5.4.4' => [{{php .FamilyName}}],
        ],
{{- end}}
    ],
];
`,
	"saml20-idp-hosted.php": `<?php
$metadata[{{php .EntityID}}] = [
    'host' => '__DEFAULT__',
    'privatekey' => 'idp.key', 'certificate' => 'idp.crt',
    'auth' => 'people',
    'validate.authnrequest' => true,
    'saml20.sign.response' => true, 'saml20.sign.assertion' => true,
    'attributes.NameFormat' => 'urn:oasis:names:tc:SAML:2.0:attrname-format:uri',
    'NameIDFormat' => 'urn:oasis:names:tc:SAML:2.0:nameid-format:persistent',
    'authproc' => [
        10 => ['class' => 'saml:AttributeNameID', 'attribute' => 'uid',
               'Format' => 'urn:oasis:names:tc:SAML:2.0:nameid-format:persistent'],
    ],
];
`,
}

// phpString is a PHP literal.
func phpString(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
}

// selfSigned makes a key and a certificate in PEM.
func selfSigned() (key, cert []byte, err error) {
	pair, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, nil, err
	}
	now := time.Now()
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "servertest"},
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &pair.PublicKey, pair)
	if err != nil {
		return nil, nil, err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(pair)
	if err != nil {
		return nil, nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}),
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), nil
}

// replace writes a file so that a reader sees the old text or the new.
func replace(path string, data []byte) error {
	if err := os.WriteFile(path+".new", data, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
