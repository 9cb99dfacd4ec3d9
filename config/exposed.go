package config

import (
	"io/fs"
	"os"
)

// Exposed reports whether others may read a file that holds a secret. Its owner
// alone should; but a file that root lends to a process of less rights may be
// read by that process's group, which is how systemd (LoadCredential) and
// Kubernetes (a Secret with fsGroup) hand secrets over.
func Exposed(info fs.FileInfo) bool {
	perm := info.Mode().Perm()
	if perm&0o077 == 0 {
		return false
	}
	lent := perm&0o037 == 0 && rootOwns(info) && os.Geteuid() != 0
	return !lent
}
