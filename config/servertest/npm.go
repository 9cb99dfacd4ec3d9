package servertest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"
)

// npmFile finds a file of an npm package that .ci/setup installed.
func npmFile(t testing.TB, name string) string {
	t.Helper()
	root, err := repository()
	if err != nil {
		t.Fatalf("servertest: %v", err)
	}
	path := filepath.Join(root, ".cache", "npm", "node_modules", filepath.FromSlash(name))
	if _, err := os.Stat(path); err != nil {
		absent(t, "the npm package of "+name+" is not installed")
	}
	return path
}

// repository is the folder with go.mod, at or above the one the test runs in.
func repository() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", fmt.Errorf("no go.mod at or above the working directory")
		}
		dir = up
	}
}

// Axe returns the source of axe-core, which checks a page for barriers when it
// is run in that page.
func Axe(t testing.TB) string {
	t.Helper()
	source, err := os.ReadFile(npmFile(t, "axe-core/axe.min.js"))
	if err != nil {
		t.Fatalf("servertest: %v", err)
	}
	return string(source)
}

// returns200 probes a page.
func returns200(url string) func(context.Context) error {
	return func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		defer res.Body.Close()
		if res.StatusCode != http.StatusOK {
			return fmt.Errorf("GET %s: %s", url, res.Status)
		}
		return nil
	}
}

// subject is a person's lasting name at an identity provider: like a real one,
// it does not change with, and does not tell, the address.
func subject(email string) string {
	sum := sha256.Sum256([]byte(email))
	return "sub-" + hex.EncodeToString(sum[:8])
}
