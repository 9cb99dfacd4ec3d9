package servertest

import "testing"

// SystemdAnalyze returns the path of systemd's own checker of units, which needs no
// systemd at work.
func SystemdAnalyze(t testing.TB) string {
	t.Helper()
	path, ok := find("systemd-analyze")
	if !ok {
		absent(t, "systemd-analyze is not installed")
	}
	return path
}
