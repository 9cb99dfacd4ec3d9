package regions

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// maxFile bounds a catalogue: hundreds of regions.
const maxFile = 16 << 20

// ReadFile reads a static catalogue: one signed record a line; empty lines and
// lines that begin with "#" do not count. Nothing is verified here.
func ReadFile(path string) ([]string, error) {
	data, err := readBounded(path)
	if err != nil {
		return nil, fmt.Errorf("read catalogue: %w", err)
	}
	return lines(data), nil
}

func readBounded(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("%s: more than %d bytes", path, maxFile)
	}
	return data, nil
}

func lines(data []byte) []string {
	var records []string
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "#") {
			records = append(records, line)
		}
	}
	return records
}

// WriteFile keeps signed records as a catalogue that ReadFile reads. The file
// is replaced in one step, so that a reader or a crash never sees half of it.
func WriteFile(path string, records []string) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".catalogue-*")
	if err != nil {
		return fmt.Errorf("write catalogue: %w", err)
	}
	defer os.Remove(tmp.Name())
	_, err = io.WriteString(tmp, "# Signed region records, one a line. Each carries the signature that makes it true.\n")
	for _, r := range records {
		_, e := io.WriteString(tmp, r+"\n")
		err = errors.Join(err, e)
	}
	err = errors.Join(err, tmp.Chmod(0o644), tmp.Sync(), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write catalogue: %w", err)
	}
	return nil
}

// Watch reads the catalogue at path now and every so often, until ctx is done,
// and calls apply when its content is new or its being unreadable is. The file
// is read rather than stat'ed: it is small, and times of change lie on some
// file systems.
func Watch(ctx context.Context, path string, every time.Duration, apply func(records []string, err error)) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	var last []byte
	var lastErr string
	for first := true; ; first = false {
		data, err := readBounded(path)
		switch {
		case err != nil:
			if err.Error() != lastErr {
				apply(nil, fmt.Errorf("watch catalogue: %w", err))
			}
			lastErr = err.Error()
		case first || lastErr != "" || !bytes.Equal(data, last):
			lastErr, last = "", data
			apply(lines(data), nil)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
