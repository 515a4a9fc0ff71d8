-- Every purchase, from placing to its end. Run once, with search_path on the schema.

CREATE TABLE reservations (
    reservation_id    uuid        NOT NULL PRIMARY KEY,
    event_id          uuid        NOT NULL,
    ticket_type_id    uuid        NOT NULL,
    buyer_id          uuid        NOT NULL,
    quantity          integer     NOT NULL CHECK (quantity >= 1),
    amount_minor      bigint      NOT NULL CHECK (amount_minor >= 0),
    currency          text        NOT NULL,
    status            text        NOT NULL CHECK (status IN ('reserved', 'paid', 'expired', 'cancelled')),
    placed_at         timestamptz NOT NULL,
    hold_expires_at   timestamptz NOT NULL CHECK (hold_expires_at > placed_at),
    extended_at       timestamptz CHECK (extended_at < hold_expires_at),
    paid_at           timestamptz,
    payment_reference text,
    expired_at        timestamptz,
    cancelled_at      timestamptz,
    cancel_reason     text        CHECK (cancel_reason IN ('buyer', 'organiser', 'event-cancelled')),
    refund_due_minor  bigint      NOT NULL DEFAULT 0,
    position          bigint      NOT NULL CHECK (position >= 1),
    CONSTRAINT reservations_paid_in_time CHECK (paid_at < hold_expires_at),
    CONSTRAINT reservations_never_expired_early CHECK (expired_at >= hold_expires_at),
    CONSTRAINT reservations_have_one_end CHECK (
        CASE status
            WHEN 'reserved' THEN paid_at IS NULL AND expired_at IS NULL AND cancelled_at IS NULL
            WHEN 'paid' THEN paid_at IS NOT NULL AND expired_at IS NULL AND cancelled_at IS NULL
            WHEN 'expired' THEN paid_at IS NULL AND expired_at IS NOT NULL AND cancelled_at IS NULL
            ELSE expired_at IS NULL AND cancelled_at IS NOT NULL
        END),
    CHECK ((cancelled_at IS NULL) = (cancel_reason IS NULL)),
    CHECK (paid_at IS NOT NULL OR payment_reference IS NULL),
    CHECK (CASE WHEN paid_at IS NULL THEN refund_due_minor = 0
                WHEN cancelled_at IS NULL THEN refund_due_minor >= 0
                ELSE refund_due_minor >= amount_minor END)
) WITH (fillfactor = 90);
COMMENT ON TABLE reservations IS 'One row per reservation: who reserved what, for how much, how it stands, and every instant of its life.';
COMMENT ON COLUMN reservations.reservation_id IS 'The reservation: in the history the stream of this id.';
COMMENT ON COLUMN reservations.event_id IS 'The event it is for: a row of the table events.';
COMMENT ON COLUMN reservations.ticket_type_id IS 'The kind of ticket: a row of the table ticket_types.';
COMMENT ON COLUMN reservations.buyer_id IS 'The account that reserved; opaque, and may have been deleted.';
COMMENT ON COLUMN reservations.quantity IS 'How many tickets, without those that were given back as a part of it: they are rows of the table reductions.';
COMMENT ON COLUMN reservations.amount_minor IS 'The price of these tickets together, in the minor unit of the currency (cents).';
COMMENT ON COLUMN reservations.currency IS 'ISO 4217, such as EUR; XXX where tickets are free and no currency was said.';
COMMENT ON COLUMN reservations.status IS 'reserved, then paid, expired or cancelled; a paid one may still be cancelled. What is recorded: a hold whose time is over reads reserved until its expiry is recorded.';
COMMENT ON COLUMN reservations.placed_at IS 'When it was placed.';
COMMENT ON COLUMN reservations.hold_expires_at IS 'Until when it could be paid: before this instant, not at it.';
COMMENT ON COLUMN reservations.extended_at IS 'When its buyer got more time to pay; null unless that was so. hold_expires_at is the end with it.';
COMMENT ON COLUMN reservations.paid_at IS 'When it was paid; null unless it was. Stays when a paid reservation is cancelled.';
COMMENT ON COLUMN reservations.payment_reference IS 'What the buyer gave with the payment; null when nothing.';
COMMENT ON COLUMN reservations.expired_at IS 'When it was taken back because it was not paid in time; null unless it was.';
COMMENT ON COLUMN reservations.cancelled_at IS 'When it was cancelled; null unless it was.';
COMMENT ON COLUMN reservations.cancel_reason IS 'Why it was cancelled: buyer (the buyer wished so), organiser (the organiser did, for this one) or event-cancelled; null unless it was.';
COMMENT ON COLUMN reservations.refund_due_minor IS 'What has to be paid back, in the minor unit of the currency: what was paid for the parts that were given back, and for all once a paid reservation is cancelled; else 0.';
COMMENT ON COLUMN reservations.position IS 'The position in the history of the domain event that last changed this row.';

CREATE INDEX reservations_of_buyer ON reservations (buyer_id, placed_at DESC, reservation_id DESC);
CREATE INDEX reservations_of_event ON reservations (event_id, placed_at DESC, reservation_id DESC);
CREATE INDEX reservations_due ON reservations (hold_expires_at) WHERE status = 'reserved';
CREATE INDEX reservations_open ON reservations (event_id, status, hold_expires_at) WHERE status IN ('reserved', 'paid');
