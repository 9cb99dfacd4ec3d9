package demo

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/domicile-sso/domicile/config"
	"github.com/domicile-sso/domicile/regions/ticket"
)

// A keyring is the folder with the demo's keys. What is not there yet is made.
type keyring string

// keep returns the text of a key file, which make writes when there is none.
func (k keyring) keep(name string, make func() (string, error)) (string, error) {
	path := filepath.Join(string(k), name)
	text, err := os.ReadFile(path)
	if err == nil {
		return string(text), nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	fresh, err := make()
	if err != nil {
		return "", fmt.Errorf("make %s: %w", name, err)
	}
	return fresh, os.WriteFile(path, []byte(fresh+"\n"), 0o600)
}

// bytes is a key of 32 random bytes, in the form that configurations name.
func (k keyring) bytes(name string, kind config.Kind) ([]byte, error) {
	text, err := k.keep(name, func() (string, error) {
		key := make([]byte, 32)
		_, _ = rand.Read(key) // never fails
		return config.EncodeKey(kind, key), nil
	})
	if err != nil {
		return nil, err
	}
	return config.DecodeKey(kind, text)
}

func (k keyring) ed25519(name string, kind config.Kind) (ed25519.PrivateKey, error) {
	seed, err := k.bytes(name, kind)
	if err != nil {
		return nil, err
	}
	return ed25519.NewKeyFromSeed(seed), nil
}

func (k keyring) ticket(name string) (ticket.Key, error) {
	text, err := k.keep(name, func() (string, error) {
		key, err := ticket.GenerateKey()
		return key.Text(), err
	})
	if err != nil {
		return ticket.Key{}, err
	}
	return ticket.ParseKey(text)
}

func (k keyring) rsa(name string) (*rsa.PrivateKey, error) {
	text, err := k.keep(name, func() (string, error) {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			return "", err
		}
		der, err := x509.MarshalPKCS8PrivateKey(key)
		return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), err
	})
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, fmt.Errorf("%s: not a key", name)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	r, ok := key.(*rsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s: not an RSA key", name)
	}
	return r, nil
}
