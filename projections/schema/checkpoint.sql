-- How far the tables of this schema are folded. Run once, with search_path on the schema.

CREATE TABLE checkpoint (
    only_row            boolean     NOT NULL DEFAULT true PRIMARY KEY CHECK (only_row),
    position            bigint      NOT NULL DEFAULT 0 CHECK (position >= 0),
    definitions_version integer     NOT NULL CHECK (definitions_version >= 1),
    generation          integer     NOT NULL DEFAULT floor(random() * 2147483647)::integer,
    folded_at           timestamptz NOT NULL DEFAULT clock_timestamp(),
    recent_changes      json
) WITH (fillfactor = 10);
COMMENT ON TABLE checkpoint IS 'One row: every table of this schema shows the history up to this position, no more and no less.';
COMMENT ON COLUMN checkpoint.only_row IS 'Always true; there can be no second row.';
COMMENT ON COLUMN checkpoint.position IS 'The position of the last domain event that was folded, always the last one of its command; 0 before the first.';
COMMENT ON COLUMN checkpoint.definitions_version IS 'The version of the tables and of the code that folds them. Other code does not write here.';
COMMENT ON COLUMN checkpoint.generation IS 'Drawn at random when the schema is made. It is part of the projector''s lock and of each of its writes, so that after a rename no projector writes into a schema it did not mean.';
COMMENT ON COLUMN checkpoint.folded_at IS 'When the last batch was written, by the database''s clock.';
COMMENT ON COLUMN checkpoint.recent_changes IS 'Which events look different since when: {"after": position, "events": {event: position of its last change}} names every event whose row or ticket types changed after that position. Null when they are too many to name.';
