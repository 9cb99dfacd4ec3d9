package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/domicile-sso/domicile/config/servertest"
)

// TestUnitsBySystemd has systemd itself read the units: it knows every setting of
// theirs, and rates the exposure of each at most at 2 of 10.
func TestUnitsBySystemd(t *testing.T) {
	analyze := servertest.SystemdAnalyze(t)
	ourselves, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	units, err := filepath.Glob(deploy + "systemd/domicile-*")
	if err != nil || len(units) != 4 {
		t.Fatalf("units %q, %v", units, err)
	}
	run := func(args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), analyze, args...)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "SYSTEMD_UNIT_PATH="+dir+":", "SYSTEMD_COLORS=0", "LC_ALL=C")
		if out, err := cmd.CombinedOutput(); err != nil || strings.Contains(string(out), dir) {
			t.Errorf("systemd-analyze %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	for _, unit := range units {
		text := readDeploy(t, "systemd/"+filepath.Base(unit))
		// It insists on the program being there.
		text = strings.ReplaceAll(text, "/usr/local/bin/domicile", ourselves)
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(unit)), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, unit := range units {
		name := filepath.Base(unit)
		run("verify", "--man=no", filepath.Join(dir, name))
		if strings.HasSuffix(name, ".service") {
			run("security", "--no-pager", "--offline=true", "--threshold=20", filepath.Join(dir, name))
		}
	}
}
