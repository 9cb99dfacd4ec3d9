package saml

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"time"
)

// A KeyPair is our own key for one connection: it signs our requests and opens
// assertions that were encrypted for us. It prints as <secret>.
type KeyPair struct {
	Key         *rsa.PrivateKey
	Certificate []byte // DER, self-signed: a wrapper that metadata demands, never a trust path
}

const (
	keyBits     = 2048
	keyLifetime = 10 * 365 * 24 * time.Hour
	pemKey      = "PRIVATE KEY"
	pemCert     = "CERTIFICATE"
)

// GenerateKeyPair makes an RSA key and a certificate in name, good for ten
// years from now. IdPs pin the key and rarely look at the dates, but some
// refuse a certificate that is not valid yet, hence the hour before now.
func GenerateKeyPair(name string, now time.Time) (KeyPair, error) {
	key, err := rsa.GenerateKey(rand.Reader, keyBits)
	if err != nil {
		return KeyPair{}, fmt.Errorf("generate saml key: %w", err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return KeyPair{}, fmt.Errorf("generate saml key: %w", err)
	}
	cert := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.Add(keyLifetime),
		KeyUsage:     x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, key.Public(), key)
	if err != nil {
		return KeyPair{}, fmt.Errorf("generate saml certificate: %w", err)
	}
	return KeyPair{Key: key, Certificate: der}, nil
}

// PEM is the private key and the certificate as two PEM blocks: a secret.
func (k KeyPair) PEM() ([]byte, error) {
	if k.Key == nil {
		return nil, errors.New("saml key pair is empty")
	}
	der, err := x509.MarshalPKCS8PrivateKey(k.Key)
	if err != nil {
		return nil, fmt.Errorf("marshal saml key: %w", err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: pemKey, Bytes: der})
	return append(text, pem.EncodeToMemory(&pem.Block{Type: pemCert, Bytes: k.Certificate})...), nil
}

// ParseKeyPair reads what [KeyPair.PEM] wrote. The certificate must be the
// key's own.
func ParseKeyPair(text []byte) (KeyPair, error) {
	var k KeyPair
	for {
		var block *pem.Block
		block, text = pem.Decode(text)
		if block == nil {
			break
		}
		switch block.Type {
		case pemKey:
			key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
			if err != nil {
				return KeyPair{}, fmt.Errorf("parse saml key: %w", err)
			}
			rsaKey, ok := key.(*rsa.PrivateKey)
			if !ok {
				return KeyPair{}, errors.New("parse saml key: not an RSA key")
			}
			k.Key = rsaKey
		case pemCert:
			k.Certificate = block.Bytes
		}
	}
	if k.Key == nil || k.Certificate == nil {
		return KeyPair{}, errors.New("parse saml key: a private key and a certificate are needed")
	}
	cert, err := x509.ParseCertificate(k.Certificate)
	if err != nil {
		return KeyPair{}, fmt.Errorf("parse saml certificate: %w", err)
	}
	if !k.Key.PublicKey.Equal(cert.PublicKey) {
		return KeyPair{}, errors.New("parse saml key: the certificate belongs to another key")
	}
	return k, nil
}

const secret = "<secret>"

// String, GoString, LogValue and MarshalJSON keep the key out of whatever
// prints a struct that happens to hold it.
func (k KeyPair) String() string               { return secret }
func (k KeyPair) GoString() string             { return secret }
func (k KeyPair) LogValue() slog.Value         { return slog.StringValue(secret) }
func (k KeyPair) MarshalJSON() ([]byte, error) { return []byte(`"` + secret + `"`), nil }
