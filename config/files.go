package config

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"strings"
	"time"
)

// maxNamed bounds the keys and certificates that a configuration names.
const maxNamed = 1 << 20

var (
	errNotRegular = errors.New("not a regular file")
	errTooLarge   = errors.New("too large")
)

// openFile opens a file that the configuration names. It looks before it opens,
// so that a pipe does not hold up the start.
func openFile(path string) (*os.File, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errNotRegular
	}
	return os.Open(path)
}

// readFile reads a file of bounded size.
func readFile(path string) ([]byte, error) {
	f, err := openFile(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxNamed+1))
	if err == nil && len(data) > maxNamed {
		err = errTooLarge
	}
	return data, err
}

func complaint(path string, err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Sprintf("there is no file %s", path)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Sprintf("%s cannot be read by this user: change its owner or mode", path)
	case errors.Is(err, errNotRegular):
		return fmt.Sprintf("%s is not a file", path)
	case errors.Is(err, errTooLarge):
		return fmt.Sprintf("%s has more than %d bytes", path, maxNamed)
	}
	return fmt.Sprintf("%s cannot be read", path)
}

// secretFile reads a file that holds a secret, refusing one that other users of
// the machine can read.
func secretFile(v value) (string, bool) {
	name := text(v)
	if name == "" {
		return "", false
	}
	path := v.r.absolute(name)
	data, err := readFile(path)
	if err != nil {
		v.wrong("%s", complaint(path, err))
		return "", false
	}
	if info, err := os.Stat(path); err == nil && Exposed(info) {
		v.wrong("others can read %s (mode %04o): chmod 600 it, and replace the secret if others may have", path, info.Mode().Perm())
		return "", false
	}
	s := strings.TrimSpace(string(data))
	if s == "" {
		v.wrong("%s is empty: put the secret in it", path)
		return "", false
	}
	return s, true
}

// secret reads name_file or name_env. The value returned with the secret is
// where it stands, for saying more about it.
func (s *section) secret(name, want string, required bool) (string, value, bool) {
	file, byFile := s.take(name + "_file")
	env, byEnv := s.take(name + "_env")
	if !s.asked[name] && s.has(name) {
		s.asked[name] = true
		s.keys[name].wrong("a secret has no place in this file: put it in one of its own and name that with %s_file, or name an environment variable with %[1]s_env", name)
		return "", value{}, false
	}
	switch {
	case byFile && byEnv:
		env.wrong("there is a %s_file as well: keep one of the two", name)
		return "", value{}, false
	case byFile:
		t, ok := secretFile(file)
		return t, file, ok
	case byEnv:
		t, ok := s.fromEnv(env)
		return t, env, ok
	case required && !s.has(name+"_env"):
		s.missing(name+"_file", want+" in a file (or "+name+"_env, the name of an environment variable)")
	}
	return "", value{}, false
}

var envName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

func (s *section) fromEnv(v value) (string, bool) {
	name := text(v)
	if name == "" {
		return "", false
	}
	if !envName.MatchString(name) {
		// It may be the secret itself, so it is not repeated.
		v.wrong("want the name of an environment variable, such as DOMICILE_DATABASE")
		return "", false
	}
	t, _ := s.r.env(name)
	t = strings.TrimSpace(t)
	if t == "" {
		v.wrong("the environment variable %s is not set, or empty", name)
		return "", false
	}
	return t, true
}

// key reads name_file or name_env as a private key of one kind.
func (s *section) key(name string, kind Kind, required bool) Secret {
	t, at, ok := s.secret(name, "a "+string(kind), required)
	if !ok {
		return Secret{}
	}
	return decodeSecret(at, kind, t)
}

// keyFiles reads a list of files with a key each.
func keyFiles(s *section, name string, kind Kind, want string) []Secret {
	seen := map[string]bool{}
	keys := need(s, name, want, list(func(v value) Secret {
		t, ok := secretFile(v)
		if !ok {
			return Secret{}
		}
		key := decodeSecret(v, kind, t)
		if !key.IsZero() && seen[key.Reveal()] {
			v.wrong("this key is in the list twice")
		}
		seen[key.Reveal()] = true
		return key
	}))
	if at, ok := s.entries[name]; ok && len(keys) == 0 && at.isList() {
		at.wrong("it is empty: want %s", want)
	}
	return keys
}

func reveal(secrets []Secret) [][]byte {
	var keys [][]byte
	for _, key := range secrets {
		keys = append(keys, key.Bytes())
	}
	return keys
}

func decodeSecret(at value, kind Kind, t string) Secret {
	key, err := DecodeKey(kind, t)
	if err != nil {
		at.wrong("%v", err)
		return Secret{}
	}
	return NewSecret(string(key))
}

// ed25519Public reads a public key that stands in the file itself.
func ed25519Public(kind Kind) func(value) ed25519.PublicKey {
	return func(v value) ed25519.PublicKey {
		s := text(v)
		if s == "" {
			return nil
		}
		key, err := DecodeKey(kind, s)
		if err != nil {
			v.wrong("%v", err)
			return nil
		}
		return key
	}
}

// TLS is a certificate and its key, read again every minute.
type TLS struct{ CertFile, KeyFile string }

// certificates reads a tls section, or nil when there is none. What else may
// stand in it is read by also.
func certificates(s *section, now time.Time, also ...func(*section)) *TLS {
	t := s.sub("tls", false)
	if t.absent {
		return nil
	}
	defer t.done()
	for _, read := range also {
		read(t)
	}
	cert, shown := t.take("cert_file")
	if !shown {
		t.missing("cert_file", "the path of a certificate chain in PEM form")
	}
	key, keyed := t.take("key_file")
	if !keyed {
		t.missing("key_file", "the path of the certificate's private key")
	}
	if !shown || !keyed {
		return nil
	}
	var out TLS
	out.CertFile, out.KeyFile = pair(cert, key, now)
	return &out
}
