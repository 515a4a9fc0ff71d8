-- What was given back of reservations that went on. Run once, with search_path on the schema.

CREATE TABLE reductions (
    position         bigint      NOT NULL PRIMARY KEY CHECK (position >= 1),
    event_id         uuid        NOT NULL,
    reservation_id   uuid        NOT NULL,
    ticket_type_id   uuid        NOT NULL,
    buyer_id         uuid        NOT NULL,
    reduced_at       timestamptz NOT NULL,
    quantity         integer     NOT NULL CHECK (quantity >= 1),
    was_paid         boolean     NOT NULL,
    refund_due_minor bigint      NOT NULL CHECK (refund_due_minor >= 0 AND (was_paid OR refund_due_minor = 0)),
    currency         text        NOT NULL
);
COMMENT ON TABLE reductions IS 'One row per part of a reservation that its buyer gave back while the rest of it went on. A reservation was placed with its quantity in reservations and what is here.';
COMMENT ON COLUMN reductions.position IS 'The position in the history of the domain event that says so.';
COMMENT ON COLUMN reductions.event_id IS 'The event: a row of the table events.';
COMMENT ON COLUMN reductions.reservation_id IS 'The reservation: a row of the table reservations.';
COMMENT ON COLUMN reductions.ticket_type_id IS 'The kind of ticket: a row of the table ticket_types.';
COMMENT ON COLUMN reductions.buyer_id IS 'The account that reserved; opaque, and may have been deleted.';
COMMENT ON COLUMN reductions.reduced_at IS 'When it was given back.';
COMMENT ON COLUMN reductions.quantity IS 'How many tickets were given back.';
COMMENT ON COLUMN reductions.was_paid IS 'Whether they had been paid.';
COMMENT ON COLUMN reductions.refund_due_minor IS 'What was paid for them and has to be paid back, in the minor unit of the currency; 0 where nothing was paid.';
COMMENT ON COLUMN reductions.currency IS 'ISO 4217, such as EUR; XXX where tickets are free and no currency was said.';

CREATE INDEX reductions_of_event ON reductions (event_id);
