-- +goose Up

-- Times are microseconds since 1970; 0 means never. Digests are SHA-256.

-- Whose database this is, once somebody has said so.
CREATE TABLE home (
    id           INTEGER PRIMARY KEY CHECK (id = 1),
    region       TEXT NOT NULL,
    jurisdiction TEXT NOT NULL
);
INSERT INTO home (id, region, jurisdiction) VALUES (1, '', '');

CREATE TABLE portals (
    id          TEXT PRIMARY KEY,
    name        TEXT NOT NULL,
    url         TEXT NOT NULL,
    host        TEXT NOT NULL UNIQUE,
    disclosure  TEXT NOT NULL,
    contact     TEXT NOT NULL,
    keep_signed BOOLEAN NOT NULL,
    created     BIGINT NOT NULL,
    standbys    TEXT NOT NULL DEFAULT '' -- region=URL, with a blank between two
);

-- The hosts of standbys: only processes that stand in answer to them.
CREATE TABLE standby_hosts (
    host   TEXT PRIMARY KEY,
    portal TEXT NOT NULL REFERENCES portals (id),
    region TEXT NOT NULL
);
CREATE INDEX standby_hosts_portal ON standby_hosts (portal);

-- settings is JSON without secrets; secret and key_pair are sealed by the vault.
CREATE TABLE connections (
    id       TEXT PRIMARY KEY,
    portal   TEXT NOT NULL REFERENCES portals (id),
    name     TEXT NOT NULL,
    kind     TEXT NOT NULL,
    settings TEXT NOT NULL,
    secret   BYTEA NOT NULL,
    key_pair BYTEA NOT NULL,
    created  BIGINT NOT NULL
);

-- Several portals may have the same domain: their people choose. A connection
-- belongs to one portal, so an IdP still speaks for its own portal alone.
CREATE TABLE domains (
    portal     TEXT NOT NULL REFERENCES portals (id),
    name       TEXT NOT NULL,
    connection TEXT REFERENCES connections (id),
    password   BOOLEAN NOT NULL,
    jit        BOOLEAN NOT NULL,
    proof      TEXT NOT NULL,
    proven     BIGINT NOT NULL,
    PRIMARY KEY (portal, name)
);

CREATE TABLE accounts (
    id           TEXT PRIMARY KEY,
    portal       TEXT NOT NULL REFERENCES portals (id),
    status       TEXT NOT NULL CHECK (status IN ('invited', 'active', 'disabled')),
    given_name   TEXT NOT NULL,
    family_name  TEXT NOT NULL,
    generation   BIGINT NOT NULL,
    created      BIGINT NOT NULL,
    last_sign_in BIGINT NOT NULL
);
CREATE INDEX accounts_portal ON accounts (portal);

-- A pending address (confirmed = 0) reserves nothing; a confirmed one belongs to
-- one account of the portal.
CREATE TABLE addresses (
    account    TEXT NOT NULL REFERENCES accounts (id),
    portal     TEXT NOT NULL REFERENCES portals (id),
    address    TEXT NOT NULL,
    domain     TEXT NOT NULL,
    is_primary BOOLEAN NOT NULL,
    confirmed  BIGINT NOT NULL,
    proof      TEXT NOT NULL,
    PRIMARY KEY (account, address)
);
CREATE UNIQUE INDEX addresses_confirmed ON addresses (portal, address) WHERE confirmed > 0;
CREATE UNIQUE INDEX addresses_primary ON addresses (account) WHERE is_primary;
CREATE INDEX addresses_domain ON addresses (portal, domain);

-- Who an account is at an IdP. The key is never an address, and at one issuer
-- an account is one subject.
CREATE TABLE identities (
    connection TEXT NOT NULL REFERENCES connections (id),
    issuer     TEXT NOT NULL,
    subject    TEXT NOT NULL,
    account    TEXT NOT NULL REFERENCES accounts (id),
    linked     BIGINT NOT NULL,
    PRIMARY KEY (connection, issuer, subject)
);
CREATE UNIQUE INDEX identities_account ON identities (account, connection, issuer);

CREATE TABLE credentials (
    account   TEXT PRIMARY KEY REFERENCES accounts (id),
    hash      TEXT NOT NULL,
    temporary BOOLEAN NOT NULL,
    expires   BIGINT NOT NULL,
    changed   BIGINT NOT NULL
);

CREATE TABLE sessions (
    digest     BYTEA PRIMARY KEY,
    portal     TEXT NOT NULL REFERENCES portals (id),
    account    TEXT NOT NULL REFERENCES accounts (id),
    generation BIGINT NOT NULL,
    method     TEXT NOT NULL,
    connection TEXT NOT NULL,
    browser    BYTEA NOT NULL,
    kept       BOOLEAN NOT NULL,
    started    BIGINT NOT NULL,
    seen       BIGINT NOT NULL,
    idle       BIGINT NOT NULL,
    absolute   BIGINT NOT NULL,
    id_token   BYTEA NOT NULL
);
CREATE INDEX sessions_account ON sessions (account, seen);
CREATE INDEX sessions_browser ON sessions (portal, browser);
CREATE INDEX sessions_idle ON sessions (idle);

-- Browsers that have signed in to an account before: guessing from elsewhere
-- does not slow them down.
CREATE TABLE devices (
    account TEXT NOT NULL REFERENCES accounts (id),
    browser BYTEA NOT NULL,
    seen    BIGINT NOT NULL,
    PRIMARY KEY (account, browser)
);

CREATE TABLE attempts (
    digest      BYTEA PRIMARY KEY,
    portal      TEXT NOT NULL REFERENCES portals (id),
    browser     BYTEA NOT NULL,
    address     TEXT NOT NULL,
    return_to   TEXT NOT NULL,
    keep        BOOLEAN NOT NULL,
    from_ticket BOOLEAN NOT NULL,
    started     BIGINT NOT NULL,
    expires     BIGINT NOT NULL
);
CREATE INDEX attempts_expires ON attempts (expires);

-- One leg of an attempt to an IdP: state and sso are digests, sealed holds the
-- rest. attempt is empty where there was none.
CREATE TABLE federations (
    state      BYTEA PRIMARY KEY,
    sso        BYTEA NOT NULL,
    portal     TEXT NOT NULL REFERENCES portals (id),
    connection TEXT NOT NULL REFERENCES connections (id),
    attempt    BYTEA NOT NULL,
    sealed     BYTEA NOT NULL,
    expires    BIGINT NOT NULL
);
CREATE INDEX federations_sso ON federations (sso, connection);
CREATE INDEX federations_expires ON federations (expires);

-- One-time facts. Inserting decides; a row outlives what it forbids to repeat.
CREATE TABLE tickets (
    id      TEXT PRIMARY KEY,
    expires BIGINT NOT NULL
);
CREATE INDEX tickets_expires ON tickets (expires);

CREATE TABLE assertions (
    digest  BYTEA PRIMARY KEY,
    expires BIGINT NOT NULL
);
CREATE INDEX assertions_expires ON assertions (expires);

-- When this database was last restored from a backup; 0: never. What was used
-- between the backup and then is not known here, so what is older is refused.
CREATE TABLE restored (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    at BIGINT NOT NULL
);
INSERT INTO restored (id, at) VALUES (1, 0);

CREATE TABLE tokens (
    digest  BYTEA PRIMARY KEY,
    purpose TEXT NOT NULL,
    portal  TEXT NOT NULL REFERENCES portals (id),
    account TEXT NOT NULL REFERENCES accounts (id),
    address TEXT NOT NULL,
    created BIGINT NOT NULL,
    expires BIGINT NOT NULL,
    used    BIGINT NOT NULL
);
CREATE INDEX tokens_account ON tokens (account, purpose);
CREATE INDEX tokens_expires ON tokens (expires);

-- The head of a portal's audit chain is also what its writers queue at. The
-- portal '' is the region itself.
CREATE TABLE audit_heads (
    portal TEXT PRIMARY KEY,
    seq    BIGINT NOT NULL,
    hash   TEXT NOT NULL
);
INSERT INTO audit_heads (portal, seq, hash) VALUES ('', 0, '');

CREATE TABLE audit (
    portal    TEXT NOT NULL,
    seq       BIGINT NOT NULL,
    hash      TEXT NOT NULL,
    at        BIGINT NOT NULL,
    account   TEXT NOT NULL,
    action    TEXT NOT NULL,
    code      TEXT NOT NULL,
    method    TEXT NOT NULL,
    target    TEXT NOT NULL,
    reference TEXT NOT NULL,
    client    TEXT NOT NULL,
    via       TEXT NOT NULL DEFAULT '', -- the region that stood in; empty: none did
    PRIMARY KEY (portal, seq)
);
CREATE INDEX audit_reference ON audit (reference);

-- What the directory has to hear about, once for each thing. The counter gives
-- sequence numbers inside the changing transaction, so that they are committed
-- in their order. versions are those of the blinding key that addresses are claimed
-- under; seen is when a process that has them last looked.
CREATE TABLE outbox (
    seq    BIGINT PRIMARY KEY,
    topic  TEXT NOT NULL,
    portal TEXT NOT NULL,
    name   TEXT NOT NULL,
    queued BIGINT NOT NULL,
    UNIQUE (topic, portal, name)
);
CREATE TABLE outbox_counter (
    id       INTEGER PRIMARY KEY CHECK (id = 1),
    last     BIGINT NOT NULL,
    sent     BIGINT NOT NULL DEFAULT 0, -- noted before claims are sent: the directory may have them
    acked    BIGINT NOT NULL,
    versions TEXT NOT NULL,
    seen     BIGINT NOT NULL
);
INSERT INTO outbox_counter (id, last, acked, versions, seen) VALUES (1, 0, 0, '', 0);

CREATE TABLE letters (
    id      TEXT PRIMARY KEY,
    portal  TEXT NOT NULL REFERENCES portals (id),
    kind    TEXT NOT NULL,
    sealed  BYTEA NOT NULL,
    tries   BIGINT NOT NULL,
    queued  BIGINT NOT NULL,
    due     BIGINT NOT NULL,
    expires BIGINT NOT NULL
);
CREATE INDEX letters_due ON letters (due);

-- full_until is when the bucket will be empty again (generic cell rate algorithm).
CREATE TABLE throttle (
    bucket TEXT PRIMARY KEY,
    full_until BIGINT NOT NULL
);
CREATE INDEX throttle_full ON throttle (full_until);
