//go:build !unix

package config

import "io/fs"

func rootOwns(fs.FileInfo) bool { return false }
