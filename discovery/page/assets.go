package page

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/domicile-sso/domicile/discovery"
)

//go:embed assets/style.css assets/icon.svg assets/passkey.js
var assetFiles embed.FS

// PasskeyScript is the one script there is: see [AllowScript].
const PasskeyScript = "passkey.js"

type asset struct {
	name string // "style.css"
	url  string // "/assets/style.0123456789abcdef.css"
	mime string
	body []byte
}

// loadAssets names every file by its content, so that it may be kept for ever.
func loadAssets() []asset {
	var all []asset
	for name, mime := range map[string]string{
		"style.css": "text/css; charset=utf-8", "icon.svg": "image/svg+xml", PasskeyScript: "text/javascript; charset=utf-8",
	} {
		body, err := assetFiles.ReadFile("assets/" + name)
		if err != nil {
			panic(err) // embedded: cannot happen in a binary that was built
		}
		sum := sha256.Sum256(body)
		ext := path.Ext(name)
		url := "/assets/" + strings.TrimSuffix(name, ext) + "." + hex.EncodeToString(sum[:8]) + ext
		all = append(all, asset{name, url, mime, body})
	}
	return all
}

// Asset is the address of a file of ours.
func Asset(name string) string {
	for _, a := range loadAssets() {
		if a.name == name {
			return a.url
		}
	}
	return ""
}

// Assets serves GET /assets/…: the style sheet, the icon and the script,
// immutable under names that change with their content. Any other path is the set's own 404.
func (s *Set) Assets() http.Handler {
	byURL := map[string]asset{}
	for _, a := range loadAssets() {
		byURL[a.url] = a
	}
	return s.Handle(func(w http.ResponseWriter, r *http.Request) error {
		a, ok := byURL[r.URL.Path]
		if !ok {
			return &discovery.Error{Kind: discovery.NotFound, Code: "no_asset"}
		}
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			return &discovery.Error{Kind: discovery.NotAllowed, Code: "method_not_allowed"}
		}
		w.Header().Set("Content-Type", a.mime)
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
		r.Header.Del("Range") // whole or not at all: so small, and a range may be refused
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(a.body))
		return nil
	})
}
