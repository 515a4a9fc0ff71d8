-- The index into the history: who did what to what, and when. Run once, with search_path on the schema.

CREATE TABLE audit_trail (
    position       bigint      NOT NULL PRIMARY KEY CHECK (position >= 1),
    version        bigint      NOT NULL CHECK (version >= 1),
    type           text        NOT NULL,
    event_id       uuid        NOT NULL,
    reservation_id uuid,
    actor_id       uuid,
    request_id     uuid        NOT NULL,
    recorded_at    timestamptz NOT NULL
);
COMMENT ON TABLE audit_trail IS 'One row per step, in the order of the history: the index to look through. A step of a reservation is told in two streams: its row is the domain event of the reservation''s stream, and the event''s own (TicketsHeld, HoldExtended, TicketsSold, TicketsReduced, TicketsReleased) stands in the history at the position before. What else a domain event says stands there, too.';
COMMENT ON COLUMN audit_trail.position IS 'The place in the history. Where one is left out, the next row is about a reservation, and the event''s own domain event of the same step stands there.';
COMMENT ON COLUMN audit_trail.version IS 'The place in the stream of the reservation, or else of the event: 1, 2, 3 …';
COMMENT ON COLUMN audit_trail.type IS 'The type of the domain event, such as ReservationPlaced.';
COMMENT ON COLUMN audit_trail.event_id IS 'The event that it is about: a row of the table events.';
COMMENT ON COLUMN audit_trail.reservation_id IS 'The reservation that it is about: a row of the table reservations; null when it is about none.';
COMMENT ON COLUMN audit_trail.actor_id IS 'The account that asked for it; opaque, and may have been deleted. Null where the system acted by itself.';
COMMENT ON COLUMN audit_trail.request_id IS 'The request that brought it about: the X-Request-Id of its answer. One request has recorded what has one request_id.';
COMMENT ON COLUMN audit_trail.recorded_at IS 'When it was recorded, by the database''s clock. Rises within a stream; between streams positions and times may disagree by moments.';

-- What is about an event or a reservation is found by the history's own key: see docs/decisions/proofs/finding-domain-events.md.
CREATE INDEX audit_trail_of_actor ON audit_trail (actor_id, position) WHERE actor_id IS NOT NULL;
CREATE INDEX audit_trail_of_rare_type ON audit_trail (type, position)
    WHERE type NOT IN ('ReservationPlaced', 'ReservationPaid', 'ReservationExpired');
CREATE INDEX audit_trail_by_time ON audit_trail USING brin (recorded_at) WITH (pages_per_range = 32, autosummarize = on);
