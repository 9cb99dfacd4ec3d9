//go:build unix

package config

import (
	"io/fs"
	"syscall"
)

func rootOwns(info fs.FileInfo) bool {
	s, ok := info.Sys().(*syscall.Stat_t)
	return ok && s.Uid == 0
}
