-- How many tickets of each kind there are and are left. Run once, with search_path on the schema.

CREATE TABLE ticket_types (
    ticket_type_id uuid    NOT NULL PRIMARY KEY,
    event_id       uuid    NOT NULL,
    place          integer NOT NULL CHECK (place >= 1),
    name           text    NOT NULL,
    amount_minor   bigint  NOT NULL CHECK (amount_minor >= 0),
    currency       text    NOT NULL,
    capacity       integer NOT NULL CHECK (capacity >= 1),
    reserved       integer NOT NULL CHECK (reserved >= 0),
    paid           integer NOT NULL CHECK (paid >= 0),
    withheld       integer NOT NULL CHECK (withheld >= 0),
    available      integer NOT NULL GENERATED ALWAYS AS (capacity - withheld - reserved - paid) STORED,
    position       bigint  NOT NULL CHECK (position >= 1),
    CONSTRAINT ticket_types_never_oversold CHECK (reserved + paid + withheld <= capacity),
    UNIQUE (event_id, place)
) WITH (fillfactor = 50);
COMMENT ON TABLE ticket_types IS 'One row per ticket type of an event: its price, how many tickets there are, and how many are taken.';
COMMENT ON COLUMN ticket_types.ticket_type_id IS 'The ticket type.';
COMMENT ON COLUMN ticket_types.event_id IS 'The event whose tickets these are: a row of the table events.';
COMMENT ON COLUMN ticket_types.place IS 'Its place among the ticket types of the event, in the organiser''s order: 1, 2, 3 …';
COMMENT ON COLUMN ticket_types.name IS 'What it is called, such as General admission.';
COMMENT ON COLUMN ticket_types.amount_minor IS 'The price of one ticket now, in the minor unit of the currency (cents); 0 when free. What was reserved before it changed keeps its amount.';
COMMENT ON COLUMN ticket_types.currency IS 'ISO 4217, such as EUR; XXX where tickets are free and no currency was said.';
COMMENT ON COLUMN ticket_types.capacity IS 'How many tickets of this type there are.';
COMMENT ON COLUMN ticket_types.reserved IS 'Tickets held by reservations that are not paid yet. Includes holds whose time is over until that is recorded.';
COMMENT ON COLUMN ticket_types.paid IS 'Tickets that are paid and were not given back.';
COMMENT ON COLUMN ticket_types.withheld IS 'Tickets that the organiser has taken out of sale.';
COMMENT ON COLUMN ticket_types.available IS 'Tickets left: capacity - withheld - reserved - paid.';
COMMENT ON COLUMN ticket_types.position IS 'The position in the history of the domain event that last changed this row.';
