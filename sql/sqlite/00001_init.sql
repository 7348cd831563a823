-- +goose Up
-- Times are UTC in microseconds since 1970, 0 is none. Ids and paths compare by octets.

-- The tree of tenants. A path holds the ids from the root and never changes, so that
-- "in the subtree" is a range of one index.
CREATE TABLE resellers (
	id          TEXT PRIMARY KEY,
	parent_id   TEXT REFERENCES resellers (id),
	path        TEXT NOT NULL UNIQUE,
	name        TEXT NOT NULL,
	suspended   BOOLEAN NOT NULL DEFAULT FALSE,
	halted      BOOLEAN NOT NULL DEFAULT FALSE, -- it or one above it is suspended
	max_streams INTEGER NOT NULL DEFAULT 0,
	version     INTEGER NOT NULL DEFAULT 1,
	created     INTEGER NOT NULL
);
CREATE INDEX resellers_parent ON resellers (parent_id);

-- Balances are a cache of the ledger's entries. No credit limit: no floor.
CREATE TABLE accounts (
	id           TEXT PRIMARY KEY,
	balance      INTEGER NOT NULL DEFAULT 0,
	credit_limit INTEGER
);

CREATE TABLE ledger_txs (
	id         TEXT PRIMARY KEY,
	kind       TEXT NOT NULL,
	actor      TEXT NOT NULL,
	reason     TEXT NOT NULL,
	request_id TEXT NOT NULL,
	created    INTEGER NOT NULL
);

CREATE TABLE ledger_entries (
	tx_id      TEXT NOT NULL REFERENCES ledger_txs (id),
	account_id TEXT NOT NULL REFERENCES accounts (id),
	amount     INTEGER NOT NULL,
	balance    INTEGER NOT NULL, -- of the account, afterwards
	created    INTEGER NOT NULL,
	PRIMARY KEY (tx_id, account_id)
);
CREATE INDEX ledger_entries_account ON ledger_entries (account_id, created, tx_id);

CREATE TABLE edge_groups (
	id        TEXT PRIMARY KEY,
	name      TEXT NOT NULL,
	steer_url TEXT NOT NULL DEFAULT '',
	version   INTEGER NOT NULL DEFAULT 1,
	created   INTEGER NOT NULL
);

CREATE TABLE edges (
	id               TEXT PRIMARY KEY,
	group_id         TEXT NOT NULL REFERENCES edge_groups (id),
	url              TEXT NOT NULL,
	health_url       TEXT NOT NULL DEFAULT '',
	egress           INTEGER NOT NULL DEFAULT 0,
	streams          INTEGER NOT NULL DEFAULT 0,
	latitude         REAL,
	longitude        REAL,
	state            TEXT NOT NULL,
	credential_id    TEXT UNIQUE,
	credential_hash  BLOB,
	probe_key        TEXT, -- sealed
	join_id          TEXT UNIQUE,
	join_hash        BLOB,
	join_expires     INTEGER NOT NULL DEFAULT 0,
	applied_epoch    INTEGER NOT NULL DEFAULT 0,
	applied_version  INTEGER NOT NULL DEFAULT 0,
	applied_at       INTEGER NOT NULL DEFAULT 0,
	rejected_epoch   INTEGER NOT NULL DEFAULT 0,
	rejected_version INTEGER NOT NULL DEFAULT 0,
	rejected_at      INTEGER NOT NULL DEFAULT 0,
	rejected_reason  TEXT NOT NULL DEFAULT '',
	version          INTEGER NOT NULL DEFAULT 1,
	created          INTEGER NOT NULL
);
CREATE INDEX edges_group ON edges (group_id);
CREATE INDEX edges_created ON edges (created, id);

-- The reseller "edge" has keys here and nothing else anywhere: they sign relay tokens.
CREATE TABLE signing_keys (
	reseller_id   TEXT NOT NULL,
	group_id      TEXT NOT NULL REFERENCES edge_groups (id) ON DELETE CASCADE,
	kid           TEXT NOT NULL,
	secret        TEXT, -- sealed; none once the key has ended
	state         TEXT NOT NULL,
	not_after     INTEGER NOT NULL DEFAULT 0,
	since_version INTEGER NOT NULL DEFAULT 0,
	created       INTEGER NOT NULL,
	PRIMARY KEY (reseller_id, group_id, kid)
);
CREATE UNIQUE INDEX signing_keys_current ON signing_keys (reseller_id, group_id) WHERE state = 'current';
CREATE UNIQUE INDEX signing_keys_previous ON signing_keys (reseller_id, group_id) WHERE state = 'previous';
CREATE INDEX signing_keys_group ON signing_keys (group_id);

CREATE TABLE streams (
	id           TEXT PRIMARY KEY,
	owner_id     TEXT NOT NULL REFERENCES resellers (id),
	path         TEXT NOT NULL, -- the owner's
	group_id     TEXT NOT NULL REFERENCES edge_groups (id),
	name         TEXT NOT NULL,
	name_key     TEXT NOT NULL, -- the name in small letters, to find it by
	spec         TEXT NOT NULL,
	sources      TEXT NOT NULL, -- sealed
	on_demand    BOOLEAN NOT NULL,
	replicas     INTEGER NOT NULL,
	pin_primary  TEXT NOT NULL DEFAULT '',
	pin_relays   TEXT NOT NULL DEFAULT '[]',
	version      INTEGER NOT NULL DEFAULT 1,
	created      INTEGER NOT NULL
);
CREATE INDEX streams_created ON streams (created, id);
CREATE INDEX streams_name ON streams (name_key, id);
CREATE INDEX streams_group ON streams (group_id, created, id);
CREATE INDEX streams_owner ON streams (owner_id);

CREATE TABLE assignments (
	stream_id         TEXT PRIMARY KEY REFERENCES streams (id) ON DELETE CASCADE,
	rev               INTEGER NOT NULL DEFAULT 0,
	primary_edge      TEXT NOT NULL DEFAULT '',
	relays            TEXT NOT NULL DEFAULT '[]',
	min_msn           INTEGER NOT NULL DEFAULT 0,
	min_discontinuity INTEGER NOT NULL DEFAULT 0,
	moved             INTEGER NOT NULL DEFAULT 0
);

CREATE TABLE bouquets (
	id       TEXT PRIMARY KEY,
	owner_id TEXT NOT NULL REFERENCES resellers (id),
	path     TEXT NOT NULL, -- the owner's
	name     TEXT NOT NULL,
	version  INTEGER NOT NULL DEFAULT 1,
	created  INTEGER NOT NULL
);
CREATE INDEX bouquets_path ON bouquets (path, created, id);
CREATE INDEX bouquets_owner ON bouquets (owner_id);

CREATE TABLE bouquet_streams (
	bouquet_id TEXT NOT NULL REFERENCES bouquets (id) ON DELETE CASCADE,
	stream_id  TEXT NOT NULL REFERENCES streams (id) ON DELETE CASCADE,
	position   INTEGER NOT NULL,
	PRIMARY KEY (bouquet_id, stream_id)
);
CREATE INDEX bouquet_streams_stream ON bouquet_streams (stream_id, bouquet_id);

CREATE TABLE stream_grants (
	reseller_id TEXT NOT NULL REFERENCES resellers (id) ON DELETE CASCADE,
	stream_id   TEXT NOT NULL REFERENCES streams (id) ON DELETE CASCADE,
	can_show    BOOLEAN NOT NULL,
	can_publish BOOLEAN NOT NULL,
	PRIMARY KEY (reseller_id, stream_id)
);
CREATE INDEX stream_grants_stream ON stream_grants (stream_id);

CREATE TABLE bouquet_grants (
	reseller_id TEXT NOT NULL REFERENCES resellers (id) ON DELETE CASCADE,
	bouquet_id  TEXT NOT NULL REFERENCES bouquets (id) ON DELETE CASCADE,
	can_show    BOOLEAN NOT NULL,
	can_publish BOOLEAN NOT NULL,
	PRIMARY KEY (reseller_id, bouquet_id)
);
CREATE INDEX bouquet_grants_bouquet ON bouquet_grants (bouquet_id);

-- Durations are whole seconds.
CREATE TABLE plans (
	id              TEXT PRIMARY KEY,
	name            TEXT NOT NULL,
	price           INTEGER NOT NULL,
	duration        INTEGER NOT NULL,
	session         INTEGER NOT NULL,
	max_connections INTEGER NOT NULL,
	version         INTEGER NOT NULL DEFAULT 1,
	created         INTEGER NOT NULL
);
CREATE INDEX plans_created ON plans (created, id);

CREATE TABLE plan_bouquets (
	plan_id    TEXT NOT NULL REFERENCES plans (id) ON DELETE CASCADE,
	bouquet_id TEXT NOT NULL REFERENCES bouquets (id),
	position   INTEGER NOT NULL,
	PRIMARY KEY (plan_id, bouquet_id)
);
CREATE INDEX plan_bouquets_bouquet ON plan_bouquets (bouquet_id);

CREATE TABLE users (
	id              TEXT PRIMARY KEY,
	reseller_id     TEXT NOT NULL REFERENCES resellers (id),
	path            TEXT NOT NULL, -- the reseller's
	name            TEXT NOT NULL,
	name_key        TEXT NOT NULL, -- the name in small letters, to find it by
	note            TEXT NOT NULL,
	plan_id         TEXT NOT NULL REFERENCES plans (id),
	expires         INTEGER NOT NULL,
	max_connections INTEGER NOT NULL,
	suspended       BOOLEAN NOT NULL DEFAULT FALSE,
	version         INTEGER NOT NULL DEFAULT 1,
	created         INTEGER NOT NULL
);
CREATE INDEX users_path ON users (path, created, id);
CREATE INDEX users_path_name ON users (path, name_key, id);
CREATE INDEX users_name ON users (name_key, id);
CREATE INDEX users_reseller ON users (reseller_id);
CREATE INDEX users_plan ON users (plan_id);

CREATE TABLE play_keys (
	id      TEXT PRIMARY KEY,
	user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	hash    BLOB NOT NULL,
	note    TEXT NOT NULL,
	created INTEGER NOT NULL
);
CREATE INDEX play_keys_user ON play_keys (user_id, created, id);

-- Users whose tokens are refused until all that were issued have ended.
CREATE TABLE denials (
	reseller_id TEXT NOT NULL,
	user_id     TEXT NOT NULL,
	until       INTEGER NOT NULL,
	PRIMARY KEY (reseller_id, user_id)
);
CREATE INDEX denials_until ON denials (until);

CREATE TABLE api_keys (
	id          TEXT PRIMARY KEY,
	reseller_id TEXT NOT NULL REFERENCES resellers (id) ON DELETE CASCADE,
	path        TEXT NOT NULL, -- the reseller's
	name        TEXT NOT NULL,
	hash        BLOB NOT NULL,
	permissions TEXT NOT NULL,
	expires     INTEGER NOT NULL DEFAULT 0,
	revoked     BOOLEAN NOT NULL DEFAULT FALSE,
	last_used   INTEGER NOT NULL DEFAULT 0,
	version     INTEGER NOT NULL DEFAULT 1,
	created     INTEGER NOT NULL
);
CREATE INDEX api_keys_path ON api_keys (path, created, id);
CREATE INDEX api_keys_reseller ON api_keys (reseller_id);

-- Answers to requests that may be sent again, written together with their effect.
CREATE TABLE idempotency (
	reseller_id TEXT NOT NULL,
	idem_key    TEXT NOT NULL,
	fingerprint TEXT NOT NULL,
	status      INTEGER NOT NULL DEFAULT 0,
	body        TEXT NOT NULL DEFAULT '', -- sealed: answers show secrets once
	created     INTEGER NOT NULL,
	PRIMARY KEY (reseller_id, idem_key)
);
CREATE INDEX idempotency_created ON idempotency (created);

CREATE TABLE audit (
	seq         INTEGER PRIMARY KEY,
	created     INTEGER NOT NULL,
	actor       TEXT NOT NULL,
	reseller_id TEXT NOT NULL,
	path        TEXT NOT NULL,
	operation   TEXT NOT NULL,
	object      TEXT NOT NULL,
	diff        TEXT NOT NULL,
	request_id  TEXT NOT NULL,
	prev_hash   TEXT NOT NULL,
	hash        TEXT NOT NULL
);
CREATE INDEX audit_path ON audit (path, seq);

-- The chain's last record. Its row lock puts the records in order; a trigger keeps its hash.
CREATE TABLE audit_head (
	id   INTEGER PRIMARY KEY,
	seq  INTEGER NOT NULL,
	hash TEXT NOT NULL
);
INSERT INTO audit_head (id, seq, hash) VALUES (1, 0, '');

CREATE TABLE events (
	id          TEXT PRIMARY KEY,
	created     INTEGER NOT NULL,
	kind        TEXT NOT NULL,
	subject     TEXT NOT NULL,
	reseller_id TEXT NOT NULL,
	path        TEXT NOT NULL,
	reason      TEXT NOT NULL,
	data        TEXT NOT NULL
);
CREATE INDEX events_created ON events (created, id);
CREATE INDEX events_path ON events (path, created, id);
CREATE INDEX events_subject ON events (subject, created, id);

-- Raised in the transaction of every change that a snapshot shows. Its row lock puts
-- versions in the order of the commits, which a sequence would not.
CREATE TABLE config_version (
	id      INTEGER PRIMARY KEY,
	epoch   INTEGER NOT NULL,
	version INTEGER NOT NULL,
	raised  INTEGER NOT NULL DEFAULT 0 -- when, 0: never
);
INSERT INTO config_version (id, epoch, version) VALUES (1, 1, 1);

-- The instances of the control plane, and which edges do not answer them, on a short lease.
CREATE TABLE instances (
	id    TEXT PRIMARY KEY,
	until INTEGER NOT NULL
);

CREATE TABLE edge_votes (
	instance TEXT NOT NULL REFERENCES instances (id) ON DELETE CASCADE,
	edge_id  TEXT NOT NULL REFERENCES edges (id) ON DELETE CASCADE,
	PRIMARY KEY (instance, edge_id)
);

INSERT INTO resellers (id, path, name, created) VALUES ('operator', '/operator/', 'Operator', 0);
INSERT INTO accounts (id) VALUES ('issue'), ('revenue'), ('operator');
INSERT INTO edge_groups (id, name, created) VALUES ('default', 'Default', 0);

-- What is written here stays as it was written.
-- +goose StatementBegin
CREATE TRIGGER ledger_txs_update BEFORE UPDATE ON ledger_txs
BEGIN
	SELECT RAISE(ABORT, 'ledger_txs is append-only');
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER ledger_txs_delete BEFORE DELETE ON ledger_txs
BEGIN
	SELECT RAISE(ABORT, 'ledger_txs is append-only');
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER ledger_entries_update BEFORE UPDATE ON ledger_entries
BEGIN
	SELECT RAISE(ABORT, 'ledger_entries is append-only');
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER ledger_entries_delete BEFORE DELETE ON ledger_entries
BEGIN
	SELECT RAISE(ABORT, 'ledger_entries is append-only');
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER audit_update BEFORE UPDATE ON audit
BEGIN
	SELECT RAISE(ABORT, 'audit is append-only');
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER audit_delete BEFORE DELETE ON audit
BEGIN
	SELECT RAISE(ABORT, 'audit is append-only');
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER audit_chained AFTER INSERT ON audit
BEGIN
	UPDATE audit_head SET hash = NEW.hash WHERE id = 1;
END;
-- +goose StatementEnd
