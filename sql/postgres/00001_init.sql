-- +goose Up
-- Times are UTC in microseconds since 1970, 0 is none. Ids and paths compare by octets, whatever the database's collation.

-- The tree of tenants. A path holds the ids from the root and never changes, so that
-- "in the subtree" is a range of one index.
CREATE TABLE resellers (
	id          TEXT COLLATE "C" PRIMARY KEY,
	parent_id   TEXT COLLATE "C" REFERENCES resellers (id),
	path        TEXT COLLATE "C" NOT NULL UNIQUE,
	name        TEXT NOT NULL,
	suspended   BOOLEAN NOT NULL DEFAULT FALSE,
	halted      BOOLEAN NOT NULL DEFAULT FALSE, -- it or one above it is suspended
	max_streams BIGINT NOT NULL DEFAULT 0,
	version     BIGINT NOT NULL DEFAULT 1,
	created     BIGINT NOT NULL
);
CREATE INDEX resellers_parent ON resellers (parent_id);

-- Balances are a cache of the ledger's entries. No credit limit: no floor.
CREATE TABLE accounts (
	id           TEXT COLLATE "C" PRIMARY KEY,
	balance      BIGINT NOT NULL DEFAULT 0,
	credit_limit BIGINT
);

CREATE TABLE ledger_txs (
	id         TEXT COLLATE "C" PRIMARY KEY,
	kind       TEXT NOT NULL,
	actor      TEXT NOT NULL,
	reason     TEXT NOT NULL,
	request_id TEXT NOT NULL,
	created    BIGINT NOT NULL
);

CREATE TABLE ledger_entries (
	tx_id      TEXT COLLATE "C" NOT NULL REFERENCES ledger_txs (id),
	account_id TEXT COLLATE "C" NOT NULL REFERENCES accounts (id),
	amount     BIGINT NOT NULL,
	balance    BIGINT NOT NULL, -- of the account, afterwards
	created    BIGINT NOT NULL,
	PRIMARY KEY (tx_id, account_id)
);
CREATE INDEX ledger_entries_account ON ledger_entries (account_id, created, tx_id);

CREATE TABLE edge_groups (
	id        TEXT COLLATE "C" PRIMARY KEY,
	name      TEXT NOT NULL,
	steer_url TEXT NOT NULL DEFAULT '',
	version   BIGINT NOT NULL DEFAULT 1,
	created   BIGINT NOT NULL
);

CREATE TABLE edges (
	id               TEXT COLLATE "C" PRIMARY KEY,
	group_id         TEXT COLLATE "C" NOT NULL REFERENCES edge_groups (id),
	url              TEXT NOT NULL,
	health_url       TEXT NOT NULL DEFAULT '',
	egress           BIGINT NOT NULL DEFAULT 0,
	streams          BIGINT NOT NULL DEFAULT 0,
	latitude         DOUBLE PRECISION,
	longitude        DOUBLE PRECISION,
	state            TEXT NOT NULL,
	credential_id    TEXT COLLATE "C" UNIQUE,
	credential_hash  BYTEA,
	probe_key        TEXT, -- sealed
	join_id          TEXT COLLATE "C" UNIQUE,
	join_hash        BYTEA,
	join_expires     BIGINT NOT NULL DEFAULT 0,
	applied_epoch    BIGINT NOT NULL DEFAULT 0,
	applied_version  BIGINT NOT NULL DEFAULT 0,
	applied_at       BIGINT NOT NULL DEFAULT 0,
	rejected_epoch   BIGINT NOT NULL DEFAULT 0,
	rejected_version BIGINT NOT NULL DEFAULT 0,
	rejected_at      BIGINT NOT NULL DEFAULT 0,
	rejected_reason  TEXT NOT NULL DEFAULT '',
	version          BIGINT NOT NULL DEFAULT 1,
	created          BIGINT NOT NULL
);
CREATE INDEX edges_group ON edges (group_id);
CREATE INDEX edges_created ON edges (created, id);

-- The reseller "edge" has keys here and nothing else anywhere: they sign relay tokens.
CREATE TABLE signing_keys (
	reseller_id   TEXT COLLATE "C" NOT NULL,
	group_id      TEXT COLLATE "C" NOT NULL REFERENCES edge_groups (id) ON DELETE CASCADE,
	kid           TEXT COLLATE "C" NOT NULL,
	secret        TEXT, -- sealed; none once the key has ended
	state         TEXT NOT NULL,
	not_after     BIGINT NOT NULL DEFAULT 0,
	since_version BIGINT NOT NULL DEFAULT 0,
	created       BIGINT NOT NULL,
	PRIMARY KEY (reseller_id, group_id, kid)
);
CREATE UNIQUE INDEX signing_keys_current ON signing_keys (reseller_id, group_id) WHERE state = 'current';
CREATE UNIQUE INDEX signing_keys_previous ON signing_keys (reseller_id, group_id) WHERE state = 'previous';
CREATE INDEX signing_keys_group ON signing_keys (group_id);

CREATE TABLE streams (
	id           TEXT COLLATE "C" PRIMARY KEY,
	owner_id     TEXT COLLATE "C" NOT NULL REFERENCES resellers (id),
	path         TEXT COLLATE "C" NOT NULL, -- the owner's
	group_id     TEXT COLLATE "C" NOT NULL REFERENCES edge_groups (id),
	name         TEXT NOT NULL,
	name_key     TEXT COLLATE "C" NOT NULL, -- the name in small letters, to find it by
	spec         TEXT NOT NULL,
	sources      TEXT NOT NULL, -- sealed
	on_demand    BOOLEAN NOT NULL,
	replicas     BIGINT NOT NULL,
	pin_primary  TEXT NOT NULL DEFAULT '',
	pin_relays   TEXT NOT NULL DEFAULT '[]',
	version      BIGINT NOT NULL DEFAULT 1,
	created      BIGINT NOT NULL
);
CREATE INDEX streams_created ON streams (created, id);
CREATE INDEX streams_name ON streams (name_key, id);
CREATE INDEX streams_group ON streams (group_id, created, id);
CREATE INDEX streams_owner ON streams (owner_id);

CREATE TABLE assignments (
	stream_id         TEXT COLLATE "C" PRIMARY KEY REFERENCES streams (id) ON DELETE CASCADE,
	rev               BIGINT NOT NULL DEFAULT 0,
	primary_edge      TEXT NOT NULL DEFAULT '',
	relays            TEXT NOT NULL DEFAULT '[]',
	min_msn           BIGINT NOT NULL DEFAULT 0,
	min_discontinuity BIGINT NOT NULL DEFAULT 0,
	moved             BIGINT NOT NULL DEFAULT 0
);

CREATE TABLE bouquets (
	id       TEXT COLLATE "C" PRIMARY KEY,
	owner_id TEXT COLLATE "C" NOT NULL REFERENCES resellers (id),
	path     TEXT COLLATE "C" NOT NULL, -- the owner's
	name     TEXT NOT NULL,
	version  BIGINT NOT NULL DEFAULT 1,
	created  BIGINT NOT NULL
);
CREATE INDEX bouquets_path ON bouquets (path, created, id);
CREATE INDEX bouquets_owner ON bouquets (owner_id);

CREATE TABLE bouquet_streams (
	bouquet_id TEXT COLLATE "C" NOT NULL REFERENCES bouquets (id) ON DELETE CASCADE,
	stream_id  TEXT COLLATE "C" NOT NULL REFERENCES streams (id) ON DELETE CASCADE,
	position   BIGINT NOT NULL,
	PRIMARY KEY (bouquet_id, stream_id)
);
CREATE INDEX bouquet_streams_stream ON bouquet_streams (stream_id, bouquet_id);

CREATE TABLE stream_grants (
	reseller_id TEXT COLLATE "C" NOT NULL REFERENCES resellers (id) ON DELETE CASCADE,
	stream_id   TEXT COLLATE "C" NOT NULL REFERENCES streams (id) ON DELETE CASCADE,
	can_show    BOOLEAN NOT NULL,
	can_publish BOOLEAN NOT NULL,
	PRIMARY KEY (reseller_id, stream_id)
);
CREATE INDEX stream_grants_stream ON stream_grants (stream_id);

CREATE TABLE bouquet_grants (
	reseller_id TEXT COLLATE "C" NOT NULL REFERENCES resellers (id) ON DELETE CASCADE,
	bouquet_id  TEXT COLLATE "C" NOT NULL REFERENCES bouquets (id) ON DELETE CASCADE,
	can_show    BOOLEAN NOT NULL,
	can_publish BOOLEAN NOT NULL,
	PRIMARY KEY (reseller_id, bouquet_id)
);
CREATE INDEX bouquet_grants_bouquet ON bouquet_grants (bouquet_id);

-- Durations are whole seconds.
CREATE TABLE plans (
	id              TEXT COLLATE "C" PRIMARY KEY,
	name            TEXT NOT NULL,
	price           BIGINT NOT NULL,
	duration        BIGINT NOT NULL,
	session         BIGINT NOT NULL,
	max_connections BIGINT NOT NULL,
	version         BIGINT NOT NULL DEFAULT 1,
	created         BIGINT NOT NULL
);
CREATE INDEX plans_created ON plans (created, id);

CREATE TABLE plan_bouquets (
	plan_id    TEXT COLLATE "C" NOT NULL REFERENCES plans (id) ON DELETE CASCADE,
	bouquet_id TEXT COLLATE "C" NOT NULL REFERENCES bouquets (id),
	position   BIGINT NOT NULL,
	PRIMARY KEY (plan_id, bouquet_id)
);
CREATE INDEX plan_bouquets_bouquet ON plan_bouquets (bouquet_id);

CREATE TABLE users (
	id              TEXT COLLATE "C" PRIMARY KEY,
	reseller_id     TEXT COLLATE "C" NOT NULL REFERENCES resellers (id),
	path            TEXT COLLATE "C" NOT NULL, -- the reseller's
	name            TEXT NOT NULL,
	name_key        TEXT COLLATE "C" NOT NULL, -- the name in small letters, to find it by
	note            TEXT NOT NULL,
	plan_id         TEXT COLLATE "C" NOT NULL REFERENCES plans (id),
	expires         BIGINT NOT NULL,
	max_connections BIGINT NOT NULL,
	suspended       BOOLEAN NOT NULL DEFAULT FALSE,
	version         BIGINT NOT NULL DEFAULT 1,
	created         BIGINT NOT NULL
);
CREATE INDEX users_path ON users (path, created, id);
CREATE INDEX users_path_name ON users (path, name_key, id);
CREATE INDEX users_name ON users (name_key, id);
CREATE INDEX users_reseller ON users (reseller_id);
CREATE INDEX users_plan ON users (plan_id);

CREATE TABLE play_keys (
	id      TEXT COLLATE "C" PRIMARY KEY,
	user_id TEXT COLLATE "C" NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	hash    BYTEA NOT NULL,
	note    TEXT NOT NULL,
	created BIGINT NOT NULL
);
CREATE INDEX play_keys_user ON play_keys (user_id, created, id);

-- Users whose tokens are refused until all that were issued have ended.
CREATE TABLE denials (
	reseller_id TEXT COLLATE "C" NOT NULL,
	user_id     TEXT COLLATE "C" NOT NULL,
	until       BIGINT NOT NULL,
	PRIMARY KEY (reseller_id, user_id)
);
CREATE INDEX denials_until ON denials (until);

CREATE TABLE api_keys (
	id          TEXT COLLATE "C" PRIMARY KEY,
	reseller_id TEXT COLLATE "C" NOT NULL REFERENCES resellers (id) ON DELETE CASCADE,
	path        TEXT COLLATE "C" NOT NULL, -- the reseller's
	name        TEXT NOT NULL,
	hash        BYTEA NOT NULL,
	permissions TEXT NOT NULL,
	expires     BIGINT NOT NULL DEFAULT 0,
	revoked     BOOLEAN NOT NULL DEFAULT FALSE,
	last_used   BIGINT NOT NULL DEFAULT 0,
	version     BIGINT NOT NULL DEFAULT 1,
	created     BIGINT NOT NULL
);
CREATE INDEX api_keys_path ON api_keys (path, created, id);
CREATE INDEX api_keys_reseller ON api_keys (reseller_id);

-- Answers to requests that may be sent again, written together with their effect.
CREATE TABLE idempotency (
	reseller_id TEXT COLLATE "C" NOT NULL,
	idem_key    TEXT COLLATE "C" NOT NULL,
	fingerprint TEXT NOT NULL,
	status      BIGINT NOT NULL DEFAULT 0,
	body        TEXT NOT NULL DEFAULT '', -- sealed: answers show secrets once
	created     BIGINT NOT NULL,
	PRIMARY KEY (reseller_id, idem_key)
);
CREATE INDEX idempotency_created ON idempotency (created);

CREATE TABLE audit (
	seq         BIGINT PRIMARY KEY,
	created     BIGINT NOT NULL,
	actor       TEXT NOT NULL,
	reseller_id TEXT COLLATE "C" NOT NULL,
	path        TEXT COLLATE "C" NOT NULL,
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
	id   BIGINT PRIMARY KEY,
	seq  BIGINT NOT NULL,
	hash TEXT NOT NULL
);
INSERT INTO audit_head (id, seq, hash) VALUES (1, 0, '');

CREATE TABLE events (
	id          TEXT COLLATE "C" PRIMARY KEY,
	created     BIGINT NOT NULL,
	kind        TEXT NOT NULL,
	subject     TEXT COLLATE "C" NOT NULL,
	reseller_id TEXT COLLATE "C" NOT NULL,
	path        TEXT COLLATE "C" NOT NULL,
	reason      TEXT NOT NULL,
	data        TEXT NOT NULL
);
CREATE INDEX events_created ON events (created, id);
CREATE INDEX events_path ON events (path, created, id);
CREATE INDEX events_subject ON events (subject, created, id);

-- Raised in the transaction of every change that a snapshot shows. Its row lock puts
-- versions in the order of the commits, which a sequence would not.
CREATE TABLE config_version (
	id      BIGINT PRIMARY KEY,
	epoch   BIGINT NOT NULL,
	version BIGINT NOT NULL,
	raised  BIGINT NOT NULL DEFAULT 0 -- when, 0: never
);
INSERT INTO config_version (id, epoch, version) VALUES (1, 1, 1);

-- The instances of the control plane, and which edges do not answer them, on a short lease.
CREATE TABLE instances (
	id    TEXT COLLATE "C" PRIMARY KEY,
	until BIGINT NOT NULL
);

CREATE TABLE edge_votes (
	instance TEXT COLLATE "C" NOT NULL REFERENCES instances (id) ON DELETE CASCADE,
	edge_id  TEXT COLLATE "C" NOT NULL REFERENCES edges (id) ON DELETE CASCADE,
	PRIMARY KEY (instance, edge_id)
);

INSERT INTO resellers (id, path, name, created) VALUES ('operator', '/operator/', 'Operator', 0);
INSERT INTO accounts (id) VALUES ('issue'), ('revenue'), ('operator');
INSERT INTO edge_groups (id, name, created) VALUES ('default', 'Default', 0);

-- What is written here stays as it was written.
-- +goose StatementBegin
CREATE FUNCTION append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	RAISE EXCEPTION '% is append-only', TG_TABLE_NAME;
END $$;
-- +goose StatementEnd
CREATE TRIGGER ledger_txs_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_txs FOR EACH STATEMENT EXECUTE FUNCTION append_only();
CREATE TRIGGER ledger_entries_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_entries FOR EACH STATEMENT EXECUTE FUNCTION append_only();
CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit FOR EACH STATEMENT EXECUTE FUNCTION append_only();

-- The entries of a movement sum up to nothing.
-- +goose StatementBegin
CREATE FUNCTION ledger_balanced() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF (SELECT SUM(amount) FROM ledger_entries WHERE tx_id = NEW.tx_id) <> 0 THEN
		RAISE EXCEPTION 'the entries of ledger transaction % do not sum up to 0', NEW.tx_id;
	END IF;
	RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE CONSTRAINT TRIGGER ledger_entries_balanced AFTER INSERT ON ledger_entries
	DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION ledger_balanced();

-- +goose StatementBegin
CREATE FUNCTION audit_chained() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	UPDATE audit_head SET hash = NEW.hash WHERE id = 1;
	RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER audit_chained AFTER INSERT ON audit FOR EACH ROW EXECUTE FUNCTION audit_chained();
