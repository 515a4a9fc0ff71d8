-- Version 4: whoever consumes the history may keep its checkpoint there. Programs of version 3 serve beside it.

CREATE TABLE consumers (
    name     text        NOT NULL PRIMARY KEY
             CHECK (name ~ '^[a-z][a-z0-9-]{0,18}$' AND name NOT IN ('projector', 'sealing')),
    number   integer     NOT NULL GENERATED ALWAYS AS IDENTITY UNIQUE CHECK (number >= 1),
    position bigint      NOT NULL DEFAULT 0 CHECK (position >= 0),
    moved_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE consumers IS 'One row per consumer of the history that keeps its checkpoint here. The projector and the sealing keep theirs with what they make.';
COMMENT ON COLUMN consumers.name IS 'The consumer''s name; short, since it is also told in the application_name of the session that holds its lock.';
COMMENT ON COLUMN consumers.number IS 'The key of its advisory lock: one process at a time consumes under one name.';
COMMENT ON COLUMN consumers.position IS 'The checkpoint: all up to this position of the history was taken. The last position of a command, or 0.';
COMMENT ON COLUMN consumers.moved_at IS 'When the checkpoint was last advanced.';
