package regions

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestReadAndWriteFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "catalogue")
	want := []string{"a.b.c", "d.e.f"}
	for range 2 {
		if err := WriteFile(path, want); err != nil {
			t.Fatal(err)
		}
	}
	got, err := ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), "*")); len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}

	put(t, path, "# remark\r\n\r\n  a.b.c  \r\n#x.y.z\nd.e.f")
	if got, err = ReadFile(path); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if _, err := ReadFile(path + "x"); err == nil {
		t.Error("read a file that is not there")
	}
	put(t, path, strings.Repeat("x", maxFile+1))
	if _, err := ReadFile(path); err == nil {
		t.Error("read a file without end")
	}
	if err := WriteFile(filepath.Join(path, "under-a-file"), want); err == nil {
		t.Error("wrote below a file")
	}
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestWatch(t *testing.T) {
	path := filepath.Join(t.TempDir(), "catalogue")
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var mu sync.Mutex
		var seen []string
		done := make(chan struct{})
		go func() {
			defer close(done)
			Watch(ctx, path, time.Second, func(records []string, err error) {
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					seen = append(seen, "error")
					return
				}
				seen = append(seen, strings.Join(records, ","))
			})
		}()
		expect := func(want ...string) {
			t.Helper()
			<-time.After(3*time.Second + time.Millisecond) // of the bubble's clock
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			if diff := cmp.Diff(want, seen); diff != "" {
				t.Error(diff)
			}
			seen = nil
		}
		expect("error") // once, not every time
		put(t, path, "one\n")
		expect("one")
		expect()
		put(t, path, "two\n") // the same size
		expect("two")
		put(t, path, "")
		expect("")
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		expect("error")
		put(t, path, "") // the same content as before the error
		expect("")
		cancel()
		<-done
	})
}
