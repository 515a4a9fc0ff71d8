-- Version 2: what auditors need beside the history: refused attempts, seals and their keys, and who has read.

CREATE TABLE refused_together (
    first_request_id uuid        PRIMARY KEY,
    request_ids      uuid[]      NOT NULL,
    account_ids      uuid[]      NOT NULL,
    refused_at       timestamptz NOT NULL,
    command          text        NOT NULL,
    event_id         uuid        NOT NULL,
    reservation_id   uuid,
    ticket_type_id   uuid,
    quantity         integer,
    code             text        NOT NULL,
    facts            json        NOT NULL,
    capacity         integer,
    reserved         integer,
    paid             integer,
    position         bigint      NOT NULL CHECK (position >= 0),
    last_kept        boolean     NOT NULL,
    CHECK (cardinality(request_ids) = cardinality(account_ids)),
    CHECK ((ticket_type_id IS NULL) = (capacity IS NULL)),
    CHECK ((capacity IS NULL) = (reserved IS NULL) AND (capacity IS NULL) = (paid IS NULL))
);
CREATE INDEX refused_together_by_event ON refused_together (event_id, position);
CREATE INDEX refused_together_by_reservation ON refused_together (reservation_id) WHERE reservation_id IS NOT NULL;
CREATE INDEX refused_together_by_age ON refused_together USING brin (refused_at) WITH (pages_per_range = 16, autosummarize = on);
COMMENT ON TABLE refused_together IS 'Refused attempts: one row for all of one group that asked for the same and were refused alike, so that a flood of them is cheap. No part of the history: nothing is folded from it, and old rows may be deleted at any time. The view refusals shows them one by one.';
COMMENT ON COLUMN refused_together.first_request_id IS 'The first of the requests. A group that is tried again finds what it has kept.';
COMMENT ON COLUMN refused_together.request_ids IS 'The requests that were refused, each the X-Request-Id of its answer.';
COMMENT ON COLUMN refused_together.account_ids IS 'Who asked, in the order of request_ids; opaque, and may have been deleted.';
COMMENT ON COLUMN refused_together.refused_at IS 'When it was decided, by the database''s clock, under the lock of the event.';
COMMENT ON COLUMN refused_together.command IS 'What was asked for, such as ReserveTickets.';
COMMENT ON COLUMN refused_together.event_id IS 'The event that it was about; there may be none of this id.';
COMMENT ON COLUMN refused_together.reservation_id IS 'The reservation that it was about; null where the attempt was to make one, or was about the event.';
COMMENT ON COLUMN refused_together.ticket_type_id IS 'The ticket type that was asked for; null where none was meant, or there is none of that id.';
COMMENT ON COLUMN refused_together.quantity IS 'How many tickets each asked for; null where none were.';
COMMENT ON COLUMN refused_together.code IS 'Which refusal, such as sold-out: the last part of its problem type.';
COMMENT ON COLUMN refused_together.facts IS 'What the refusal told: the limit, what was held, what was available.';
COMMENT ON COLUMN refused_together.capacity IS 'How many tickets of the type there were; null without a ticket type.';
COMMENT ON COLUMN refused_together.reserved IS 'How many of them were held and not paid, due holds included.';
COMMENT ON COLUMN refused_together.paid IS 'How many of them were paid.';
COMMENT ON COLUMN refused_together.position IS 'The position in the history at which the first was decided: the counts are those at this position.';
COMMENT ON COLUMN refused_together.last_kept IS 'True for the last attempt that was kept of an account in a minute: what it tried in the rest of that minute was refused, and not kept.';

CREATE VIEW refusals AS
    SELECT attempt.request_id, refused_at, attempt.account_id, command, event_id, reservation_id, ticket_type_id, quantity,
           code, facts, capacity, reserved, paid, position, last_kept
    FROM refused_together, unnest(request_ids, account_ids) AS attempt (request_id, account_id);
COMMENT ON VIEW refusals IS 'One row per refused attempt: who asked for what, and why not. The columns are those of refused_together.';

CREATE TABLE seal_keys (
    key_id      text        PRIMARY KEY,
    public_key  text        NOT NULL,
    private_key text,
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    retired_at  timestamptz,
    CHECK ((private_key IS NULL) = (retired_at IS NOT NULL))
);
CREATE UNIQUE INDEX seal_keys_one_in_use ON seal_keys ((true)) WHERE retired_at IS NULL;
COMMENT ON TABLE seal_keys IS 'The Ed25519 keys that seals are signed with: one in use, and the public half of all before it.';
COMMENT ON COLUMN seal_keys.key_id IS 'The key''s thumbprint (RFC 7638): the kid of the seals that it has signed.';
COMMENT ON COLUMN seal_keys.public_key IS 'The public half as a JWK (RFC 8037).';
COMMENT ON COLUMN seal_keys.private_key IS 'The private half as a JWK; destroyed when the key is retired.';
COMMENT ON COLUMN seal_keys.created_at IS 'When the key was made.';
COMMENT ON COLUMN seal_keys.retired_at IS 'When another one took its place; null for the one in use.';

CREATE TABLE seals (
    number         bigint      PRIMARY KEY CHECK (number >= 1),
    first_position bigint      NOT NULL CHECK (first_position >= 1),
    last_position  bigint      NOT NULL CHECK (last_position >= first_position),
    sealed_at      timestamptz NOT NULL,
    jws            text        NOT NULL,
    fingerprints   bytea       NOT NULL,
    CHECK (octet_length(fingerprints) = 4 * (last_position - first_position + 1))
);
COMMENT ON TABLE seals IS 'Each a signed hash over a range of the history, bound to the seal before. Appended and never changed.';
COMMENT ON COLUMN seals.number IS '1, 2, 3 … without a hole.';
COMMENT ON COLUMN seals.first_position IS 'The first position that it covers: the one after the last position of the seal before.';
COMMENT ON COLUMN seals.last_position IS 'The last position that it covers, always the last one of its command.';
COMMENT ON COLUMN seals.sealed_at IS 'When it was made, by the database''s clock.';
COMMENT ON COLUMN seals.jws IS 'The seal itself: a JWS in compact form, signed with Ed25519.';
COMMENT ON COLUMN seals.fingerprints IS 'The first four bytes of the hash of each position. They prove nothing: they tell where a range was altered once its seal says that it was.';
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON seals
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TABLE audit_reads (
    request_id uuid        PRIMARY KEY,
    read_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    account_id uuid        NOT NULL,
    what       text        NOT NULL
);
COMMENT ON TABLE audit_reads IS 'Who has read the audit trail: one row per request to /audit that was allowed, written before it is answered.';
COMMENT ON COLUMN audit_reads.request_id IS 'The request: the X-Request-Id of its answer.';
COMMENT ON COLUMN audit_reads.read_at IS 'When it came.';
COMMENT ON COLUMN audit_reads.account_id IS 'Who has read; opaque, and may have been deleted.';
COMMENT ON COLUMN audit_reads.what IS 'What was asked for: path and query.';
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_reads
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
