-- The tables of the CRUD baseline. Run once, in a database of its own.

CREATE TABLE events (
    id        uuid        PRIMARY KEY,
    title     text        NOT NULL,
    starts_at timestamptz NOT NULL,
    total     integer     NOT NULL,
    sold      integer     NOT NULL DEFAULT 0 CHECK (sold BETWEEN 0 AND total)
) WITH (fillfactor = 50);
CREATE INDEX ON events (starts_at, id);

CREATE TABLE reservations (
    id              uuid        PRIMARY KEY,
    event_id        uuid        NOT NULL,
    buyer_id        uuid        NOT NULL,
    quantity        integer     NOT NULL,
    status          text        NOT NULL DEFAULT 'reserved',
    placed_at       timestamptz NOT NULL,
    hold_expires_at timestamptz NOT NULL,
    paid_at         timestamptz,
    UNIQUE (event_id, buyer_id)
);
CREATE INDEX ON reservations (buyer_id, placed_at DESC);
