-- +goose Up

-- What an administrator decides for a portal. Lengths of time are seconds; 0
-- leaves them to the operator.
CREATE TABLE settings (
    portal           TEXT PRIMARY KEY REFERENCES portals (id),
    notifications    BIGINT NOT NULL, -- the version of the next three and of the portal's contact
    zone             TEXT NOT NULL,
    language         TEXT NOT NULL,
    sender           TEXT NOT NULL, -- the account whose address invitations come from; empty: the operator's
    policy           BIGINT NOT NULL, -- the version of what follows and of the portal's keep_signed
    second_factor    TEXT NOT NULL CHECK (second_factor IN ('optional', 'password', 'everyone')),
    trust_days       BIGINT NOT NULL,
    session_idle     BIGINT NOT NULL,
    session_absolute BIGINT NOT NULL,
    kept_idle        BIGINT NOT NULL,
    kept_absolute    BIGINT NOT NULL,
    password_min     BIGINT NOT NULL
);
INSERT INTO settings (portal, notifications, zone, language, sender, policy, second_factor, trust_days,
    session_idle, session_absolute, kept_idle, kept_absolute, password_min)
SELECT id, 1, 'UTC', 'en', '', 1, 'optional', 30, 0, 0, 0, 0, 0 FROM portals;

-- version is that of the profile: who edits an older one is told.
ALTER TABLE accounts ADD COLUMN role TEXT NOT NULL DEFAULT 'member'
    CHECK (role IN ('owner', 'administrator', 'helpdesk', 'auditor', 'member', 'guest'));
ALTER TABLE accounts ADD COLUMN version BIGINT NOT NULL DEFAULT 1;
ALTER TABLE accounts ADD COLUMN zone TEXT NOT NULL DEFAULT '';
ALTER TABLE accounts ADD COLUMN culture TEXT NOT NULL DEFAULT '';
ALTER TABLE accounts ADD COLUMN language TEXT NOT NULL DEFAULT '';
ALTER TABLE accounts ADD COLUMN cell TEXT NOT NULL DEFAULT ''; -- E.164
ALTER TABLE accounts ADD COLUMN sms_country TEXT NOT NULL DEFAULT ''; -- ISO 3166-1
ALTER TABLE accounts ADD COLUMN return_protection TEXT NOT NULL DEFAULT '';
ALTER TABLE accounts ADD COLUMN merged_into TEXT NOT NULL DEFAULT '';
ALTER TABLE accounts ADD COLUMN name_key BYTEA NOT NULL DEFAULT ''; -- sorts as people expect
DROP INDEX accounts_portal;
CREATE INDEX accounts_portal ON accounts (portal, id);
CREATE INDEX accounts_name ON accounts (portal, name_key, id);
CREATE INDEX accounts_status ON accounts (portal, status, name_key, id);
CREATE INDEX accounts_role ON accounts (portal, role, name_key, id);

-- What accounts are found by: folded words of names and addresses, compared as
-- bytes, so that a search for how one begins is a range of this key.
CREATE TABLE words (
    portal   TEXT NOT NULL REFERENCES portals (id),
    word     BYTEA NOT NULL,
    account  TEXT NOT NULL REFERENCES accounts (id),
    name_key BYTEA NOT NULL DEFAULT '', -- the account's, so that who is found is sorted without being looked up
    PRIMARY KEY (account, word)
);
CREATE INDEX words_found ON words (portal, word, account, name_key);

-- Counters that change with what they count, so that no page counts rows.
CREATE TABLE tallies (
    portal TEXT NOT NULL,
    name   TEXT NOT NULL, -- "status:active", "plan:pro", "signin:2026-11-21"
    n      BIGINT NOT NULL,
    PRIMARY KEY (portal, name)
);
INSERT INTO tallies (portal, name, n)
SELECT portal, 'status:' || status, COUNT(*) FROM accounts GROUP BY portal, status;

-- Of pending addresses: who added them, when, and until when they can be confirmed.
ALTER TABLE addresses ADD COLUMN added BIGINT NOT NULL DEFAULT 0;
ALTER TABLE addresses ADD COLUMN added_by TEXT NOT NULL DEFAULT '';
ALTER TABLE addresses ADD COLUMN expires BIGINT NOT NULL DEFAULT 0;
CREATE INDEX addresses_pending ON addresses (expires) WHERE confirmed = 0;

CREATE TABLE plans (
    portal   TEXT NOT NULL REFERENCES portals (id),
    id       TEXT NOT NULL,
    name     TEXT NOT NULL,
    kind     TEXT NOT NULL CHECK (kind IN ('professional', 'guest')),
    features TEXT NOT NULL, -- with a blank between two: "pro"
    seats    BIGINT NOT NULL, -- 0: as many as wanted
    messages BIGINT NOT NULL, -- in a month; 0: no limit by the plan
    cap      BIGINT NOT NULL, -- in a month, against abuse, for every plan
    months   BIGINT NOT NULL, -- of a term; 0: without an end
    place    BIGINT NOT NULL, -- higher is an upgrade
    PRIMARY KEY (portal, id)
);
INSERT INTO plans (portal, id, name, kind, features, seats, messages, cap, months, place)
SELECT id, 'guest', 'Guest', 'guest', '', 0, 10, 100, 0, 0 FROM portals;
INSERT INTO plans (portal, id, name, kind, features, seats, messages, cap, months, place)
SELECT id, 'professional', 'Professional', 'professional', 'self-release', 0, 0, 10000, 12, 1 FROM portals;
INSERT INTO plans (portal, id, name, kind, features, seats, messages, cap, months, place)
SELECT id, 'pro', 'Professional Pro', 'professional', 'pro self-release', 0, 0, 20000, 12, 2 FROM portals;

CREATE TABLE licences (
    account TEXT PRIMARY KEY REFERENCES accounts (id),
    portal  TEXT NOT NULL,
    plan    TEXT NOT NULL,
    address TEXT NOT NULL, -- the licensed one
    since   BIGINT NOT NULL,
    ends    BIGINT NOT NULL, -- 0: never
    renews  BOOLEAN NOT NULL,
    FOREIGN KEY (portal, plan) REFERENCES plans (portal, id)
);
CREATE INDEX licences_plan ON licences (portal, plan, account);
CREATE INDEX licences_ends ON licences (portal, ends) WHERE NOT renews;

-- Whoever is here already has a licence without an end.
INSERT INTO licences (account, portal, plan, address, since, ends, renews)
SELECT a.id, a.portal, 'professional', p.address, a.created, 0, FALSE FROM accounts a JOIN addresses p ON p.account = a.id AND p.is_primary;
INSERT INTO tallies (portal, name, n)
SELECT portal, 'plan:professional', COUNT(*) FROM accounts WHERE status <> 'disabled' GROUP BY portal;

CREATE TABLE usages (
    account  TEXT NOT NULL REFERENCES accounts (id),
    month    TEXT NOT NULL, -- "2026-11" in the portal's time zone
    messages BIGINT NOT NULL,
    last     BIGINT NOT NULL,
    PRIMARY KEY (account, month)
);

-- sealed is a TOTP secret, a cell number or a passkey; handle is what a passkey
-- calls itself. step is the last TOTP step that was accepted: none is twice.
CREATE TABLE factors (
    id        TEXT PRIMARY KEY,
    portal    TEXT NOT NULL REFERENCES portals (id),
    account   TEXT NOT NULL REFERENCES accounts (id),
    kind      TEXT NOT NULL CHECK (kind IN ('totp', 'sms', 'passkey')),
    name      TEXT NOT NULL,
    sealed    BYTEA NOT NULL,
    handle    BYTEA NOT NULL,
    step      BIGINT NOT NULL,
    created   BIGINT NOT NULL,
    confirmed BIGINT NOT NULL, -- 0: being set up
    used      BIGINT NOT NULL
);
CREATE INDEX factors_account ON factors (account, kind);
CREATE UNIQUE INDEX factors_handle ON factors (portal, handle) WHERE kind = 'passkey';

CREATE TABLE recovery_codes (
    account TEXT NOT NULL REFERENCES accounts (id),
    digest  BYTEA NOT NULL,
    created BIGINT NOT NULL,
    used    BIGINT NOT NULL,
    PRIMARY KEY (account, digest)
);

-- Something that was asked of a browser and waits for its answer: a code sent by
-- SMS, a passkey's ceremony. The owner is the digest of an attempt or a session.
CREATE TABLE challenges (
    id      TEXT PRIMARY KEY,
    owner   BYTEA NOT NULL,
    purpose TEXT NOT NULL,
    portal  TEXT NOT NULL REFERENCES portals (id),
    account TEXT NOT NULL,
    sealed  BYTEA NOT NULL,
    tries   BIGINT NOT NULL,
    expires BIGINT NOT NULL
);
CREATE UNIQUE INDEX challenges_owner ON challenges (owner, purpose);
CREATE INDEX challenges_expires ON challenges (expires);

-- Until when a browser need not show the second factor of an account again.
ALTER TABLE devices ADD COLUMN trusted BIGINT NOT NULL DEFAULT 0;

-- A way back for somebody who has lost every factor: asked for by the person,
-- allowed by an administrator, finished by the person.
CREATE TABLE recoveries (
    id       TEXT PRIMARY KEY,
    portal   TEXT NOT NULL REFERENCES portals (id),
    account  TEXT NOT NULL REFERENCES accounts (id),
    asked    BIGINT NOT NULL,
    expires  BIGINT NOT NULL,
    decided  BIGINT NOT NULL,
    decider  TEXT NOT NULL, -- the administrator's account
    allowed  BOOLEAN NOT NULL,
    finished BIGINT NOT NULL,
    network  TEXT NOT NULL, -- where it was asked for from, as in sessions
    agent    TEXT NOT NULL,
    country  TEXT NOT NULL
);
CREATE INDEX recoveries_open ON recoveries (portal, decided, asked);
CREATE INDEX recoveries_account ON recoveries (account);

-- What an attempt is for: a sign-in, or a proof for a session that is there.
ALTER TABLE attempts ADD COLUMN purpose TEXT NOT NULL DEFAULT 'sign-in';
ALTER TABLE attempts ADD COLUMN session TEXT NOT NULL DEFAULT '';

-- Attempts whose first step was right and that wait for a second factor, for its
-- setting up, or for what they are the proof for. A row has no authority.
CREATE TABLE passed (
    attempt     BYTEA PRIMARY KEY,
    portal      TEXT NOT NULL REFERENCES portals (id),
    account     TEXT NOT NULL REFERENCES accounts (id),
    generation  BIGINT NOT NULL,
    method      TEXT NOT NULL,
    connection  TEXT NOT NULL,
    keep        BOOLEAN NOT NULL,
    session_end BIGINT NOT NULL,
    id_token    BYTEA NOT NULL,
    proved      BIGINT NOT NULL, -- when nothing was missing any more; 0: the second factor is
    tries       BIGINT NOT NULL,
    expires     BIGINT NOT NULL
);
CREATE INDEX passed_expires ON passed (expires);

ALTER TABLE sessions ADD COLUMN id TEXT NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN proved BIGINT NOT NULL DEFAULT 0;
ALTER TABLE sessions ADD COLUMN network TEXT NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN agent TEXT NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN country TEXT NOT NULL DEFAULT '';
CREATE INDEX sessions_id ON sessions (portal, id);

CREATE TABLE apps (
    portal TEXT NOT NULL REFERENCES portals (id),
    id     TEXT NOT NULL,
    name   TEXT NOT NULL,
    kind   TEXT NOT NULL CHECK (kind IN ('app', 'addin')),
    PRIMARY KEY (portal, id)
);

-- An app or add-in that may act for an account. Whatever it is given names its
-- activation and the activation's generation.
CREATE TABLE activations (
    id         TEXT PRIMARY KEY,
    portal     TEXT NOT NULL,
    account    TEXT NOT NULL REFERENCES accounts (id),
    app        TEXT NOT NULL,
    device     TEXT NOT NULL,
    generation BIGINT NOT NULL,
    created    BIGINT NOT NULL,
    used       BIGINT NOT NULL,
    removed    BIGINT NOT NULL, -- 0: it is active
    FOREIGN KEY (portal, app) REFERENCES apps (portal, id)
);
CREATE INDEX activations_account ON activations (account);

CREATE TABLE approved_domains (
    portal   TEXT NOT NULL REFERENCES portals (id),
    name     TEXT NOT NULL,
    added    BIGINT NOT NULL,
    added_by TEXT NOT NULL,
    PRIMARY KEY (portal, name)
);

-- The latest invitation of an account: who sent it, whose rights count when it is
-- taken up. withdrawn is the account's generation when it was; 0: it was not.
CREATE TABLE invitations (
    account   TEXT PRIMARY KEY REFERENCES accounts (id),
    portal    TEXT NOT NULL REFERENCES portals (id),
    inviter   TEXT NOT NULL, -- an account; empty: the operator
    made      BIGINT NOT NULL, -- 0: the account was made, the invitation waits
    ends      BIGINT NOT NULL, -- 0: never, as for who needs no password
    withdrawn BIGINT NOT NULL
);
CREATE INDEX invitations_portal ON invitations (portal, made);

-- An administrator's own words for a kind of mail in one language.
CREATE TABLE mail_texts (
    portal   TEXT NOT NULL REFERENCES portals (id),
    kind     TEXT NOT NULL,
    language TEXT NOT NULL,
    version  BIGINT NOT NULL,
    subject  TEXT NOT NULL,
    opening  TEXT NOT NULL,
    PRIMARY KEY (portal, kind, language)
);

CREATE TABLE imports (
    id       TEXT PRIMARY KEY,
    portal   TEXT NOT NULL REFERENCES portals (id),
    account  TEXT NOT NULL, -- who imports
    dry      BOOLEAN NOT NULL,
    state    TEXT NOT NULL CHECK (state IN ('waiting', 'running', 'done', 'stopped')),
    sealed   BYTEA NOT NULL, -- the file
    lines    BIGINT NOT NULL,
    done     BIGINT NOT NULL,
    added    BIGINT NOT NULL,
    updated  BIGINT NOT NULL,
    skipped  BIGINT NOT NULL, -- as they are here already
    failed   BIGINT NOT NULL,
    invite   BOOLEAN NOT NULL, -- who is added gets their invitation at once
    code     TEXT NOT NULL, -- why it stopped
    created  BIGINT NOT NULL,
    finished BIGINT NOT NULL,
    lease    BIGINT NOT NULL
);
CREATE INDEX imports_portal ON imports (portal, created);
CREATE INDEX imports_state ON imports (state, lease);

CREATE TABLE import_lines (
    import TEXT NOT NULL REFERENCES imports (id),
    line   BIGINT NOT NULL,
    field  TEXT NOT NULL,
    code   TEXT NOT NULL,
    PRIMARY KEY (import, line)
);

ALTER TABLE connections ADD COLUMN last_sign_in BIGINT NOT NULL DEFAULT 0;

-- A domain that was moved from one way of signing in to another, and what it was
-- before, so that it can be undone. settings is the digest of what the connection
-- before was like then.
CREATE TABLE moves (
    id                TEXT PRIMARY KEY,
    portal            TEXT NOT NULL REFERENCES portals (id),
    domain            TEXT NOT NULL,
    before_connection TEXT NOT NULL,
    before_password   BOOLEAN NOT NULL,
    before_jit        BOOLEAN NOT NULL,
    settings          BYTEA NOT NULL,
    after_connection  TEXT NOT NULL,
    after_password    BOOLEAN NOT NULL,
    after_jit         BOOLEAN NOT NULL,
    account           TEXT NOT NULL, -- who moved it
    moved             BIGINT NOT NULL,
    undo_until        BIGINT NOT NULL,
    undone            BIGINT NOT NULL
);
CREATE INDEX moves_portal ON moves (portal, moved);

-- Who did it, where that is somebody other than the account it was done to.
ALTER TABLE audit ADD COLUMN actor TEXT NOT NULL DEFAULT '';
CREATE INDEX audit_account ON audit (portal, account, seq);
CREATE INDEX audit_actor ON audit (portal, actor, seq) WHERE actor <> '';
CREATE INDEX audit_action ON audit (portal, action, seq);
CREATE INDEX audit_code ON audit (portal, code, seq) WHERE code <> '';
CREATE INDEX audit_action_code ON audit (portal, action, code, seq) WHERE code <> '';
CREATE INDEX audit_at ON audit (portal, at, seq);
DROP INDEX audit_reference;
CREATE INDEX audit_reference ON audit (portal, reference, seq) WHERE reference <> '';

-- What is counted of an account in each of its domains, as portal.Footing writes
-- it: the first of its confirmed addresses there has it. footings are the
-- numbers, which change with what they count.
ALTER TABLE addresses ADD COLUMN footing TEXT NOT NULL DEFAULT '';
CREATE TABLE footings (
    portal   TEXT NOT NULL REFERENCES portals (id),
    domain   TEXT NOT NULL,
    footing  TEXT NOT NULL,
    n        BIGINT NOT NULL,
    PRIMARY KEY (portal, domain, footing)
);

-- Of those who are here already. The list of an account's connections grows by one
-- a time, in their order.
CREATE TABLE known (account TEXT NOT NULL, connections TEXT NOT NULL);
INSERT INTO known (account, connections)
WITH RECURSIVE k (account, connection, connections) AS (
    SELECT account, MIN(connection), ' ' || MIN(connection) FROM identities GROUP BY account
    UNION
    SELECT i.account, i.connection, k.connections || ' ' || i.connection FROM k JOIN identities i ON i.account = k.account
    WHERE i.connection = (SELECT MIN(n.connection) FROM identities n WHERE n.account = k.account AND n.connection > k.connection)
)
SELECT account, connections FROM k
WHERE NOT EXISTS (SELECT 1 FROM identities n WHERE n.account = k.account AND n.connection > k.connection);
CREATE INDEX known_account ON known (account);
UPDATE addresses SET footing = (
    SELECT CASE a.status WHEN 'invited' THEN 'i' WHEN 'disabled' THEN 'd' ELSE 'a' END
        || CASE WHEN COALESCE(c.hash, '') = '' THEN '-' WHEN c.temporary THEN 't' ELSE 'o' END
        || '-'
        || CASE WHEN EXISTS (SELECT 1 FROM addresses p WHERE p.account = a.id AND p.domain = addresses.domain AND p.confirmed > 0 AND p.proof <> '') THEN 'p' ELSE '-' END
        || CASE WHEN EXISTS (SELECT 1 FROM addresses p WHERE p.account = a.id AND p.domain = addresses.domain AND p.confirmed > 0 AND p.is_primary) THEN 'h' ELSE '-' END
        || CASE WHEN EXISTS (SELECT 1 FROM addresses p WHERE p.account = a.id AND p.domain <> addresses.domain AND p.confirmed > 0) THEN 's' ELSE '-' END
        || COALESCE((SELECT k.connections FROM known k WHERE k.account = a.id), '')
    FROM accounts a LEFT JOIN credentials c ON c.account = a.id WHERE a.id = addresses.account)
WHERE confirmed > 0 AND NOT EXISTS (
    SELECT 1 FROM addresses o WHERE o.account = addresses.account AND o.domain = addresses.domain AND o.confirmed > 0
        AND (o.is_primary AND NOT addresses.is_primary OR o.is_primary = addresses.is_primary AND o.address < addresses.address));
DROP TABLE known;
INSERT INTO footings (portal, domain, footing, n)
SELECT portal, domain, footing, COUNT(*) FROM addresses WHERE footing <> '' GROUP BY portal, domain, footing;
INSERT INTO tallies (portal, name, n)
SELECT portal, 'unfactored', COUNT(*) FROM accounts WHERE status <> 'disabled' GROUP BY portal;
CREATE INDEX addresses_footing ON addresses (portal, domain, footing, address, account) WHERE footing <> '';
DROP INDEX addresses_domain;
CREATE INDEX addresses_domain ON addresses (portal, domain, address);

-- Whom a domain's change is still to be told of: the addresses from one on, in
-- order, each to the directory, and to who loses the only way in a letter as well.
CREATE TABLE tellings (
    portal  TEXT NOT NULL REFERENCES portals (id),
    domain  TEXT NOT NULL,
    letters BOOLEAN NOT NULL,
    name    TEXT NOT NULL, -- the domain of the last address that was done
    address TEXT NOT NULL, -- and that itself
    done    BIGINT NOT NULL,
    people  BIGINT NOT NULL, -- how many addresses there were
    PRIMARY KEY (portal, domain)
);
