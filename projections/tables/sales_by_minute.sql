-- How each ticket type sold, minute by minute. Run once, with search_path on the schema.

CREATE TABLE sales_by_minute (
    event_id          uuid        NOT NULL,
    minute            timestamptz NOT NULL CHECK (extract(second FROM minute) = 0),
    ticket_type_id    uuid        NOT NULL,
    placed            integer     NOT NULL CHECK (placed >= 0),
    paid              integer     NOT NULL CHECK (paid >= 0),
    expired           integer     NOT NULL CHECK (expired >= 0),
    cancelled         integer     NOT NULL CHECK (cancelled >= 0),
    returned          integer     NOT NULL CHECK (returned BETWEEN 0 AND cancelled),
    tickets_placed    bigint      NOT NULL CHECK (tickets_placed >= placed),
    tickets_paid      bigint      NOT NULL CHECK (tickets_paid >= paid),
    tickets_expired   bigint      NOT NULL CHECK (tickets_expired >= expired),
    tickets_cancelled bigint      NOT NULL CHECK (tickets_cancelled >= cancelled),
    tickets_returned  bigint      NOT NULL CHECK (tickets_returned BETWEEN returned AND tickets_cancelled),
    revenue_minor     numeric     NOT NULL CHECK (revenue_minor >= 0),
    refunds_minor     numeric     NOT NULL CHECK (refunds_minor >= 0),
    currency          text,
    position          bigint      NOT NULL CHECK (position >= 1),
    PRIMARY KEY (event_id, minute, ticket_type_id),
    CHECK (placed + paid + expired + tickets_cancelled >= 1),
    CHECK ((currency IS NULL) = (paid + expired + tickets_cancelled = 0))
) WITH (fillfactor = 50);
COMMENT ON TABLE sales_by_minute IS 'One row per event, minute and ticket type in which anything was reserved, paid or given back. Each step counts in the minute in which it was recorded: a reservation placed at 12:00 and paid at 12:01 counts in both.';
COMMENT ON COLUMN sales_by_minute.event_id IS 'The event: a row of the table events.';
COMMENT ON COLUMN sales_by_minute.minute IS 'The minute, by its first instant; in UTC, by the database''s clock.';
COMMENT ON COLUMN sales_by_minute.ticket_type_id IS 'The kind of ticket: a row of the table ticket_types.';
COMMENT ON COLUMN sales_by_minute.placed IS 'Reservations placed.';
COMMENT ON COLUMN sales_by_minute.paid IS 'Reservations paid.';
COMMENT ON COLUMN sales_by_minute.expired IS 'Reservations taken back because they were not paid in time.';
COMMENT ON COLUMN sales_by_minute.cancelled IS 'Reservations cancelled, by the buyer, by the organiser or with the event, paid or not.';
COMMENT ON COLUMN sales_by_minute.returned IS 'Of those cancelled: the ones that had been paid before.';
COMMENT ON COLUMN sales_by_minute.tickets_placed IS 'Tickets of the reservations placed.';
COMMENT ON COLUMN sales_by_minute.tickets_paid IS 'Tickets of the reservations paid.';
COMMENT ON COLUMN sales_by_minute.tickets_expired IS 'Tickets of the reservations expired.';
COMMENT ON COLUMN sales_by_minute.tickets_cancelled IS 'Tickets of the reservations cancelled, and those given back as a part of one.';
COMMENT ON COLUMN sales_by_minute.tickets_returned IS 'Of these tickets: the ones that had been paid before.';
COMMENT ON COLUMN sales_by_minute.revenue_minor IS 'What was paid, in the minor unit of the currency (cents). Numeric, since so much may be paid in one minute that no bigint holds it.';
COMMENT ON COLUMN sales_by_minute.refunds_minor IS 'What became due to be paid back, in the minor unit of the currency.';
COMMENT ON COLUMN sales_by_minute.currency IS 'ISO 4217, such as EUR; XXX where tickets are free and no currency was said. Null where reservations were only placed: no money was spoken of. The ticket type knows it always.';
COMMENT ON COLUMN sales_by_minute.position IS 'The position in the history of the domain event that last changed this row.';
