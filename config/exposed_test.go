//go:build unix

package config

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// lent is a file as root would hand it to us.
type lent struct {
	mode fs.FileMode
	uid  uint32
}

func (l lent) Name() string       { return "secret" }
func (l lent) Size() int64        { return 1 }
func (l lent) Mode() fs.FileMode  { return l.mode }
func (l lent) ModTime() time.Time { return time.Time{} }
func (l lent) IsDir() bool        { return false }
func (l lent) Sys() any           { return &syscall.Stat_t{Uid: l.uid} }

func TestExposed(t *testing.T) {
	root := os.Geteuid() == 0
	for _, tt := range []struct {
		mode fs.FileMode
		uid  uint32
		want bool
	}{
		{0o600, 1000, false}, {0o400, 0, false}, {0o644, 0, true}, {0o444, 0, true}, {0o640, 1000, true},
		{0o440, 0, root}, {0o640, 0, root}, // to root itself nobody lends
		{0o460, 0, true}, {0o450, 0, true},
	} {
		if got := Exposed(lent{tt.mode, tt.uid}); got != tt.want {
			t.Errorf("mode %04o of user %d: %t, want %t", tt.mode, tt.uid, got, tt.want)
		}
	}
	path := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, nil, 0o604); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o604); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || !Exposed(info) {
		t.Errorf("a file that all can read: %v", err)
	}
}
