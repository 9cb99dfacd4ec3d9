package config

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"
)

// LoadDiscovery reads the configuration of a front door. Whatever is wrong in
// the file comes back as one error of type [Mistakes].
func LoadDiscovery(path string) (*Discovery, error) {
	c, err := Load(path)
	if err != nil {
		return nil, err
	}
	d, ok := c.(*Discovery)
	if !ok {
		return nil, otherRole(path, "portal", "discovery")
	}
	return d, nil
}

// LoadPortal reads the configuration of a region.
func LoadPortal(path string) (*Portal, error) {
	c, err := Load(path)
	if err != nil {
		return nil, err
	}
	p, ok := c.(*Portal)
	if !ok {
		return nil, otherRole(path, "discovery", "portal")
	}
	return p, nil
}

func otherRole(path, have, want string) error {
	return Mistakes{{path, 1, 1, "role", fmt.Sprintf("this is the configuration of role %s; want %s", have, want)}}
}

// Load reads a file of either role: it returns a [*Discovery] or a [*Portal].
func Load(path string) (any, error) {
	data, err := readFile(path)
	if err != nil {
		if errors.Is(err, errNotRegular) || errors.Is(err, errTooLarge) {
			return nil, errors.New(complaint(path, err))
		}
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	r := newReader(path)
	r.dir = filepath.Dir(abs)
	return r.load(data, time.Now())
}

func (r *reader) load(data []byte, now time.Time) (any, error) {
	s, ok := r.root(data)
	if !ok {
		return nil, r.mistakes
	}
	var c any
	switch need(s, "role", "discovery or portal", oneOf("discovery", "portal")) {
	case "discovery":
		d := discovery(s, now)
		s.done()
		d.Warnings = r.warnings
		c = d
	case "portal":
		p := portal(s, now)
		s.done()
		p.Warnings = r.warnings
		c = p
	}
	if len(r.mistakes) > 0 {
		r.mistakes.sort()
		return nil, r.mistakes
	}
	return c, nil
}
