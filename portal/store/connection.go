package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"

	"github.com/domicile-sso/domicile/discovery"
	"github.com/domicile-sso/domicile/federation"
	"github.com/domicile-sso/domicile/federation/saml"
	"github.com/domicile-sso/domicile/portal"
)

var errNoConnection = &discovery.Error{Kind: discovery.NotFound, Code: "connection_unknown"}

// PutConnection makes or updates a connection and returns it as it is stored:
// with the addresses its IdP has to be told, which the portal's URL decides
// when it is made and nothing changes later. A SAML connection gets a key pair
// of its own then. An empty client secret keeps the one there is, unless it was
// another issuer's: nobody is sent somebody else's secret.
func (s *Store) PutConnection(ctx context.Context, c federation.Connection) (stored federation.Connection, changed bool, err error) {
	err = s.change(ctx, c.Portal, portal.Visitor{}, func(u *unit) error {
		p, err := readPortal(ctx, u, `id = $1`, c.Portal)
		if err != nil {
			return err
		}
		var old *federation.Connection
		was, keys, err := s.readConnection(ctx, u, c.ID)
		switch {
		case err == nil:
			old = &was
		case !errors.Is(err, sql.ErrNoRows):
			return err
		}
		if stored, err = portal.FixConnection(p, c, old); err != nil {
			return err
		}
		if old != nil && old.OIDC != nil && stored.OIDC.ClientSecret == "" && stored.OIDC.Issuer == old.OIDC.Issuer {
			stored.OIDC.ClientSecret = old.OIDC.ClientSecret
		}
		if old == nil {
			stored.Created = u.now
			if stored.Kind == federation.SAML {
				if keys, err = saml.GenerateKeyPair(p.ID+" "+c.ID, u.now); err != nil {
					return err
				}
			}
		} else if reflect.DeepEqual(*old, stored) {
			return nil
		}
		changed = true
		u.audit(portal.Event{Action: "connection.put", Method: "operator", Target: c.ID})
		return u.writeConnection(ctx, stored, keys)
	})
	return stored, changed && err == nil, err
}

// settings is the JSON of a connection, without its secrets.
type settings struct {
	Mapping federation.Mapping
	SAML    *federation.SAMLSettings `json:",omitempty"`
	OIDC    *federation.OIDCSettings `json:",omitempty"`
}

func (u *unit) writeConnection(ctx context.Context, c federation.Connection, keys saml.KeyPair) error {
	set, secret, pem := settings{Mapping: c.Mapping, SAML: c.SAML}, []byte(nil), []byte(nil)
	var err error
	if c.OIDC != nil {
		o := *c.OIDC
		secret, o.ClientSecret = []byte(o.ClientSecret), ""
		set.OIDC = &o
	}
	if keys.Key != nil {
		if pem, err = keys.PEM(); err != nil {
			return err
		}
	}
	text, err := json.Marshal(set)
	if err != nil {
		return fmt.Errorf("encode settings: %w", err)
	}
	if secret, err = u.s.vault.Seal("connection secret "+c.ID, secret); err != nil {
		return err
	}
	if pem, err = u.s.vault.Seal("connection keys "+c.ID, pem); err != nil {
		return err
	}
	_, err = u.ExecContext(ctx, `INSERT INTO connections (id, portal, name, kind, settings, secret, key_pair, created)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
		ON CONFLICT (id) DO UPDATE SET name = excluded.name, settings = excluded.settings, secret = excluded.secret`,
		c.ID, c.Portal, c.Name, string(c.Kind), string(text), blob(secret), blob(pem), micros(c.Created))
	return err
}

// Connection reads one connection of a portal with its secrets. Unknown, or of
// another portal: NotFound.
func (s *Store) Connection(ctx context.Context, portalID, id string) (federation.Connection, saml.KeyPair, error) {
	c, keys, err := s.readConnection(ctx, s.db, id)
	if errors.Is(err, sql.ErrNoRows) || err == nil && c.Portal != portalID {
		return federation.Connection{}, saml.KeyPair{}, errNoConnection
	}
	return c, keys, failed("read connection", err)
}

// Connections are those of a portal, by ID.
func (s *Store) Connections(ctx context.Context, portalID string) ([]federation.Connection, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT `+connectionColumns+` FROM connections WHERE portal = $1 ORDER BY id`, portalID)
	if err != nil {
		return nil, failed("read connections", err)
	}
	defer func() { _ = rows.Close() }()
	var out []federation.Connection
	for rows.Next() {
		c, _, err := s.scanConnection(rows)
		if err != nil {
			return nil, failed("read connections", err)
		}
		out = append(out, c)
	}
	return out, failed("read connections", rows.Err())
}

const connectionColumns = `id, portal, name, kind, settings, secret, key_pair, created`

func (s *Store) readConnection(ctx context.Context, q querier, id string) (federation.Connection, saml.KeyPair, error) {
	return s.scanConnection(q.QueryRowContext(ctx, `SELECT `+connectionColumns+` FROM connections WHERE id = $1`, id))
}

func (s *Store) scanConnection(row scanner) (c federation.Connection, keys saml.KeyPair, err error) {
	var kind, text string
	var secret, pem []byte
	var created int64
	if err = row.Scan(&c.ID, &c.Portal, &c.Name, &kind, &text, &secret, &pem, &created); err != nil {
		return c, keys, err
	}
	var set settings
	if err = json.Unmarshal([]byte(text), &set); err != nil {
		return c, keys, fmt.Errorf("decode settings of %s: %w", c.ID, err)
	}
	c.Kind, c.Created = federation.Kind(kind), when(created)
	c.Mapping, c.SAML, c.OIDC = set.Mapping, set.SAML, set.OIDC
	if secret, err = s.vault.Open("connection secret "+c.ID, secret); err != nil {
		return c, keys, fmt.Errorf("secret of %s: %w", c.ID, err)
	}
	if c.OIDC != nil {
		c.OIDC.ClientSecret = string(secret)
	}
	if pem, err = s.vault.Open("connection keys "+c.ID, pem); err != nil {
		return c, keys, fmt.Errorf("keys of %s: %w", c.ID, err)
	}
	if len(pem) > 0 {
		keys, err = saml.ParseKeyPair(pem)
	}
	return c, keys, err
}
