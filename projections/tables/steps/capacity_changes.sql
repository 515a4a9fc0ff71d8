-- How many tickets there were, step by step. Run once, with search_path on the schema.

CREATE TABLE capacity_changes (
    ticket_type_id uuid        NOT NULL,
    position       bigint      NOT NULL CHECK (position >= 1),
    event_id       uuid        NOT NULL,
    changed_at     timestamptz NOT NULL,
    capacity       integer     CHECK (capacity >= 1),
    withheld       integer     NOT NULL,
    PRIMARY KEY (ticket_type_id, position),
    CONSTRAINT capacity_changes_one_thing CHECK ((capacity IS NULL) = (withheld <> 0))
);
COMMENT ON TABLE capacity_changes IS 'One row per ticket type and step that changed how many of its tickets there are for sale: its beginning, a new capacity, tickets taken out of sale or put back. What came of it is in capacity_over_time.';
COMMENT ON COLUMN capacity_changes.ticket_type_id IS 'The kind of ticket: a row of the table ticket_types.';
COMMENT ON COLUMN capacity_changes.position IS 'The position in the history of the domain event that says so.';
COMMENT ON COLUMN capacity_changes.event_id IS 'The event: a row of the table events.';
COMMENT ON COLUMN capacity_changes.changed_at IS 'When it was recorded, by the database''s clock.';
COMMENT ON COLUMN capacity_changes.capacity IS 'How many tickets of this type there are from then on; null where this step did not say.';
COMMENT ON COLUMN capacity_changes.withheld IS 'How many were taken out of sale by this step, or put back if it is below 0; 0 where it said how many there are.';

CREATE INDEX capacity_changes_of_event ON capacity_changes (event_id);
