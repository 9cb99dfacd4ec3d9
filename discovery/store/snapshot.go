package store

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/domicile-sso/domicile/discovery"
)

// A SnapshotFile keeps portals and routes on this machine's disk, for a front
// door that is started while its database is away. It is a compact JWS under a
// key derived from the front door's secrets, because whoever can write the file
// but has no secret must not be able to lead a domain to another portal of the
// regions' (nobody leads anywhere else: the regions' signatures see to that).
// Only front doors read it, so a shared key does, and none more is to be kept.
//
// An older file of the same front door is believed. Whoever can put one back is
// root here or the front door's own user, and has the secret; its age is logged
// and measured, what it leads to must still be covered by a region's valid
// record, and the first answer of the database takes its place.
type SnapshotFile struct {
	path string
	keys [][32]byte // the first signs, all are believed
}

const (
	// snapshotType names the format: a file of another one is not read.
	snapshotType = "domicile-directory-1"
	// maxSnapshot bounds what is read: about 250 000 portals with a route each.
	maxSnapshot = 128 << 20
)

// NewSnapshotFile returns the file at path, which need not be there.
func NewSnapshotFile(path string, secrets discovery.Secrets) (*SnapshotFile, error) {
	keys, err := secrets.Keys("domicile directory snapshot")
	if err != nil {
		return nil, fmt.Errorf("snapshot of the directory: %w", err)
	}
	return &SnapshotFile{path, keys}, nil
}

// Saved is what a SnapshotFile holds.
type Saved struct {
	discovery.Contents
	Change int64     // the directory's counter of changes
	AsOf   time.Time // when this was last seen to be what the directory has
}

// savedPortal and kept are the file's own words, so that a change of the types
// elsewhere does not change the format unnoticed.
type (
	savedPortal struct {
		discovery.Portal
		Gone bool `json:"gone,omitempty"`
	}
	saved struct {
		Change     int64             `json:"change"`
		AsOf       int64             `json:"as_of"` // Unix microseconds
		Portals    []savedPortal     `json:"portals"`
		Routes     []discovery.Route `json:"routes"`
		Incomplete []string          `json:"incomplete,omitempty"`
	}
)

// Write replaces the file in one step: a crash leaves the old one or the new one.
func (f *SnapshotFile) Write(k Saved) error {
	said := saved{Change: k.Change, AsOf: k.AsOf.UnixMicro(), Routes: k.Routes, Incomplete: k.Incomplete,
		Portals: make([]savedPortal, len(k.Portals))}
	for i, p := range k.Portals {
		said.Portals[i] = savedPortal{p.Portal, p.Gone}
	}
	text, err := f.sign(said)
	if err != nil {
		return fmt.Errorf("keep the directory: %w", err)
	}
	if len(text) > maxSnapshot {
		return fmt.Errorf("keep the directory: it has %d bytes, more than the %d that would be read again", len(text), maxSnapshot)
	}
	if err := replace(f.path, text); err != nil {
		return fmt.Errorf("keep the directory: %w", err)
	}
	return nil
}

func (f *SnapshotFile) sign(k saved) (string, error) {
	body, err := json.Marshal(k)
	if err != nil {
		return "", err
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: f.keys[0][:]},
		(&jose.SignerOptions{}).WithType(snapshotType))
	if err != nil {
		return "", err
	}
	jws, err := signer.Sign(body)
	if err != nil {
		return "", err
	}
	return jws.CompactSerialize()
}

// replace writes a file that only its owner reads. What lies at path, be it a
// link, is replaced and never written through.
func replace(path, text string) error {
	dir := filepath.Dir(path)
	tmp, err := os.CreateTemp(dir, "."+filepath.Base(path)+"-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(tmp.Name()) }() // gone already when all went well
	_, err = io.WriteString(tmp, text)
	if err := errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	if err := os.Rename(tmp.Name(), path); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close()) // or a power cut may undo the renaming
}

// Why a SnapshotFile is not believed; any other error is the disk's.
var (
	ErrSnapshotForm    = errors.New("not a snapshot of a directory in the form that this binary writes")
	ErrSnapshotForeign = errors.New("not written under a secret of this front door, or changed since")
)

// Read returns what Write kept. The error is fs.ErrNotExist when there is no
// file yet.
func (f *SnapshotFile) Read() (Saved, error) {
	text, err := readRegular(f.path)
	if err != nil {
		return Saved{}, fmt.Errorf("read the kept directory: %w", err)
	}
	k, err := f.open(string(text))
	if err != nil {
		return Saved{}, fmt.Errorf("read the kept directory: %s: %w", f.path, err)
	}
	return k, nil
}

// readRegular reads a file of bounded size. A link is not followed: the folder
// is ours, and we make none. A device or a pipe would never end.
func readRegular(path string) ([]byte, error) {
	there, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if !there.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "read", Path: path, Err: ErrSnapshotForm}
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if now, err := file.Stat(); err != nil || !os.SameFile(there, now) {
		return nil, errors.Join(err, &fs.PathError{Op: "read", Path: path, Err: errors.New("it was replaced meanwhile")})
	}
	text, err := io.ReadAll(io.LimitReader(file, maxSnapshot+1))
	if err == nil && len(text) > maxSnapshot {
		err = &fs.PathError{Op: "read", Path: path, Err: ErrSnapshotForm}
	}
	return text, err
}

// open believes nothing before the signature, and all of it or nothing.
func (f *SnapshotFile) open(text string) (Saved, error) {
	parsed, err := jose.ParseSignedCompact(text, []jose.SignatureAlgorithm{jose.HS256})
	if err != nil {
		return Saved{}, ErrSnapshotForm
	}
	if typ, _ := parsed.Signatures[0].Protected.ExtraHeaders[jose.HeaderType].(string); typ != snapshotType {
		return Saved{}, ErrSnapshotForm
	}
	for _, key := range f.keys {
		body, err := parsed.Verify(key[:])
		if err != nil {
			continue
		}
		var k saved
		d := json.NewDecoder(bytes.NewReader(body))
		d.DisallowUnknownFields()
		if err := d.Decode(&k); err != nil {
			return Saved{}, fmt.Errorf("%w: %w", ErrSnapshotForm, err)
		}
		back := Saved{Change: k.Change, AsOf: time.UnixMicro(k.AsOf)}
		back.Routes, back.Incomplete = k.Routes, k.Incomplete
		for _, p := range k.Portals {
			back.Portals = append(back.Portals, discovery.PortalState{Portal: p.Portal, Gone: p.Gone})
		}
		return back, nil
	}
	return Saved{}, ErrSnapshotForeign
}

// keepAgain is how often an unchanged snapshot is written again, so that its age
// on disk tells when the directory was last seen.
const keepAgain = 5 * time.Minute

// keepShare: writing the snapshot may take one part in this many of the time,
// however large it is and however often it changes.
const keepShare = 20

// Keep writes the snapshot file whenever what it holds has changed, at most that
// often, until ctx ends, and then once more.
func (s *Store) Keep(ctx context.Context, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	failing := false
	var rest time.Time
	for last := false; !last; {
		select {
		case <-ctx.Done():
			last = true
		case <-tick.C:
		}
		began := s.now()
		if !last && began.Before(rest) {
			continue
		}
		err := s.keep()
		rest = began.Add(min(keepShare*s.now().Sub(began), time.Minute)) // a clock may be set meanwhile
		switch {
		case err != nil && !failing:
			s.log.Error("the directory could not be kept for a start without the database", "err", err)
		case err == nil && failing:
			s.log.Info("the directory is kept again for a start without the database")
		}
		failing = err != nil
	}
}

// keep writes what lookups see, unless it was read from the file itself.
func (s *Store) keep() error {
	s.loading.Lock()
	saved := Saved{Change: s.loaded, AsOf: s.snapshot.AsOf()}
	due := s.loaded >= 0 && (s.loaded != s.kept.Change || saved.AsOf.Sub(s.kept.AsOf) >= keepAgain)
	if due {
		saved.Contents, _ = s.snapshot.Contents()
	}
	s.loading.Unlock()
	if !due {
		return nil
	}
	if err := s.file.Write(saved); err != nil {
		s.metrics.kept.WithLabelValues("failed").Inc()
		return err
	}
	s.metrics.kept.WithLabelValues("written").Inc()
	s.kept.Change, s.kept.AsOf = saved.Change, saved.AsOf
	return nil
}

// LoadFile makes what the snapshot file holds the state that lookups see, if
// there is none yet. It is fs.ErrNotExist when there is no file.
func (s *Store) LoadFile() error {
	if s.file == nil {
		return fs.ErrNotExist
	}
	s.loading.Lock()
	defer s.loading.Unlock()
	if s.snapshot.Ready() {
		return nil
	}
	saved, err := s.file.Read()
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			s.metrics.unread.WithLabelValues(why(err)).Inc()
			s.log.Error("the kept directory is not believed", "err", err)
		}
		return err
	}
	s.snapshot.Replace(saved.Portals, saved.Routes, saved.Incomplete...)
	s.snapshot.Confirm(saved.AsOf)
	s.snapshot.Doubt()
	s.contact.from(FromDisk)
	// Not s.loaded: the database may be another by now that has counted as far.
	return nil
}

func why(err error) string {
	switch {
	case errors.Is(err, ErrSnapshotForm):
		return "form"
	case errors.Is(err, ErrSnapshotForeign):
		return "foreign"
	}
	return "unreadable"
}
