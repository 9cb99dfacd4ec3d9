-- +goose Up

-- Each row of portals, routes and entries carries a tag: HMAC-SHA-256 (16 bytes)
-- over its table and all its columns, under a key of the front doors. Whoever
-- writes here without that key is not believed.

-- One row for each portal ever claimed. A row that is gone keeps its place, so
-- that what still points to it reads as nothing rather than as "not known".
CREATE TABLE portals (
    id         TEXT    NOT NULL PRIMARY KEY,
    region     TEXT    NOT NULL,
    name       TEXT    NOT NULL,
    url        TEXT    NOT NULL,
    disclosure TEXT    NOT NULL,
    standbys   TEXT    NOT NULL DEFAULT '', -- region=URL, with a blank between two
    gone       BOOLEAN NOT NULL,
    seq        BIGINT  NOT NULL,
    tag        BYTEA   NOT NULL
);
CREATE UNIQUE INDEX portals_url ON portals (url) WHERE NOT gone;
CREATE INDEX portals_region ON portals (region, seq);

-- Routes and entries name the region that claimed them in their key: what one
-- region says of another's portal is kept apart, and never read.
CREATE TABLE routes (
    domain     TEXT   NOT NULL,
    portal     TEXT   NOT NULL,
    region     TEXT   NOT NULL,
    connection TEXT   NOT NULL,
    sign_in    TEXT   NOT NULL,
    seq        BIGINT NOT NULL,
    tag        BYTEA  NOT NULL,
    PRIMARY KEY (domain, portal, region)
);
CREATE INDEX routes_region ON routes (region, seq);

CREATE TABLE entries (
    blind   BYTEA  NOT NULL,
    portal  TEXT   NOT NULL,
    region  TEXT   NOT NULL,
    sign_in TEXT   NOT NULL,
    seq     BIGINT NOT NULL,
    tag     BYTEA  NOT NULL,
    PRIMARY KEY (blind, portal, region)
);
CREATE INDEX entries_region ON entries (region, seq);
CREATE INDEX entries_portal ON entries (portal, region);

-- How far each region's claims have been applied. A region is not whole from when
-- rows were dropped for their tags until it has published everything again. changed
-- rises with everything that changes its rows and never falls: it tells how far a
-- replica is.
CREATE TABLE progress (
    region  TEXT    NOT NULL PRIMARY KEY,
    last    BIGINT  NOT NULL,
    applied BIGINT  NOT NULL,
    whole   BOOLEAN NOT NULL,
    changed BIGINT  NOT NULL
);

-- The last good record of each region, as signed: a bar against roll-back that
-- outlives the process. Nobody believes it for lying here.
CREATE TABLE records (
    region  TEXT   NOT NULL PRIMARY KEY,
    version BIGINT NOT NULL,
    signed  TEXT   NOT NULL
);

-- Rises with every change to portals or routes; front doors watch it.
CREATE TABLE changes (
    id BIGINT NOT NULL PRIMARY KEY,
    n  BIGINT NOT NULL
);
INSERT INTO changes (id, n) VALUES (1, 0);
