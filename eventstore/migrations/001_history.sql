-- Version 1: the history and what has to be written in one transaction with it. Run once, with search_path on the schema.

CREATE TABLE schema_version (
    version integer NOT NULL CHECK (version >= 1)
);
COMMENT ON TABLE schema_version IS 'One row: the version of both schemas. A process serves only the version it was made for.';
COMMENT ON COLUMN schema_version.version IS 'Raised by "tixxety migrate".';

CREATE TABLE stored_events (
    originator_id      uuid   NOT NULL,
    originator_version bigint NOT NULL CHECK (originator_version >= 1),
    topic              text   NOT NULL,
    state              bytea  NOT NULL,
    notification_id    bigint NOT NULL CHECK (notification_id >= 1),
    command_position   bigint NOT NULL CHECK (command_position >= notification_id),
    PRIMARY KEY (originator_id, originator_version)
);
CREATE UNIQUE INDEX stored_events_notification_id_key ON stored_events (notification_id);
COMMENT ON TABLE stored_events IS 'The history: one row per domain event, appended and never changed. The columns are the eventsourcing library''s; the view history shows them in our words.';
COMMENT ON COLUMN stored_events.originator_id IS 'The stream: the id of an event or of a reservation.';
COMMENT ON COLUMN stored_events.originator_version IS 'The place in the stream: 1, 2, 3 … without a hole.';
COMMENT ON COLUMN stored_events.topic IS 'The type of the domain event, such as TicketsHeld. Never renamed.';
COMMENT ON COLUMN stored_events.state IS 'All else that was recorded, as JSON in UTF-8.';
COMMENT ON COLUMN stored_events.notification_id IS 'The position in the history: 1, 2, 3 … in commit order. A hole is proof of a deletion.';
COMMENT ON COLUMN stored_events.command_position IS 'The last position of the same command: readers stop only at such positions and never see half a command.';

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the history is append-only: % on % is refused', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END $$;
COMMENT ON FUNCTION refuse_change IS 'Refuses UPDATE, DELETE and TRUNCATE, whoever asks.';
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON stored_events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE VIEW history AS
    SELECT notification_id AS position, originator_id AS stream, originator_version AS version, topic AS type,
           (convert_from(state, 'UTF8')::jsonb ->> 'timestamp')::timestamptz AS recorded_at,
           convert_from(state, 'UTF8')::jsonb AS state
    FROM stored_events;
COMMENT ON VIEW history IS 'The history for people: select * from history where stream = … order by version.';

CREATE FUNCTION lock_streams(keys bigint[]) RETURNS timestamptz LANGUAGE plpgsql AS $$
DECLARE
    key bigint;
BEGIN
    FOREACH key IN ARRAY keys LOOP
        PERFORM pg_advisory_xact_lock(key);
    END LOOP;
    RETURN clock_timestamp();
END $$;
COMMENT ON FUNCTION lock_streams IS 'Locks streams in the order given (sorted by the caller, so that no two groups deadlock) and then reads the clock: now() would date from before the wait.';

CREATE FUNCTION append(ids uuid[], versions bigint[], topics text[], states bytea[], command_ends bigint[],
                       position_lock_class integer, position_lock_key integer) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    last bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(position_lock_class, position_lock_key);
    SELECT coalesce(max(notification_id), 0) INTO last FROM stored_events;
    INSERT INTO stored_events (originator_id, originator_version, topic, state, notification_id, command_position)
        SELECT id, version, topic, state, last + place, last + command_end
        FROM unnest(ids, versions, topics, states, command_ends)
             WITH ORDINALITY AS new (id, version, topic, state, command_end, place);
    PERFORM pg_notify('history', (last + cardinality(ids))::text);
    RETURN last;
END $$;
COMMENT ON FUNCTION append IS 'Appends domain events in the order given, each command_end being the place of its command''s last one, and returns the position before the first. Lock, last position and insert are statements of their own: in one they would share a snapshot from before the lock. The lock is held to the end of the transaction, so positions are dense and in commit order.';

CREATE TABLE event_names (
    organiser_id uuid        NOT NULL,
    title_folded text        NOT NULL,
    starts_at    timestamptz NOT NULL,
    event_id     uuid        NOT NULL UNIQUE,
    PRIMARY KEY (organiser_id, title_folded, starts_at)
);
COMMENT ON TABLE event_names IS 'The names that are taken: no organiser has two events with one title and start, cancelled ones aside. Written with the history; can be made again from it.';
COMMENT ON COLUMN event_names.organiser_id IS 'The account that owns the event.';
COMMENT ON COLUMN event_names.title_folded IS 'The title, trimmed and in lower case.';
COMMENT ON COLUMN event_names.starts_at IS 'When the event starts.';
COMMENT ON COLUMN event_names.event_id IS 'The event that has the name.';

CREATE TABLE snapshots (
    originator_id      uuid        PRIMARY KEY,
    originator_version bigint      NOT NULL CHECK (originator_version >= 1),
    shape_version      integer     NOT NULL,
    state              bytea       NOT NULL,
    position           bigint      NOT NULL,
    taken_at           timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE snapshots IS 'The newest folded state of long streams, to load them faster. Not part of the history: may be deleted at any time.';
COMMENT ON COLUMN snapshots.originator_id IS 'The stream.';
COMMENT ON COLUMN snapshots.originator_version IS 'The version that the state is folded up to.';
COMMENT ON COLUMN snapshots.shape_version IS 'The shape of the state; a snapshot of another shape is ignored.';
COMMENT ON COLUMN snapshots.state IS 'The state as MessagePack.';
COMMENT ON COLUMN snapshots.position IS 'The history had been looked through for streams in need of a snapshot up to here.';
COMMENT ON COLUMN snapshots.taken_at IS 'When it was taken.';

CREATE TABLE accounts (
    account_id    uuid        PRIMARY KEY,
    email         text        NOT NULL UNIQUE CHECK (email = lower(email)),
    password_hash text        NOT NULL,
    name          text        NOT NULL,
    street        text,
    city          text,
    state         text,
    country       text,
    roles         text[]      NOT NULL DEFAULT '{}' CHECK (roles <@ ARRAY['auditor', 'analyst', 'admin']),
    created_at    timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE accounts IS 'All personal data there is. Beside the history because each group of commands asks whether its accounts still live; deleting a row touches no history.';
COMMENT ON COLUMN accounts.account_id IS 'The opaque id that the history knows.';
COMMENT ON COLUMN accounts.email IS 'Lower-cased; one account per address.';
COMMENT ON COLUMN accounts.password_hash IS 'argon2id.';
COMMENT ON COLUMN accounts.name IS 'What the person wants to be called.';
COMMENT ON COLUMN accounts.street IS 'Address, optional.';
COMMENT ON COLUMN accounts.city IS 'Address, optional.';
COMMENT ON COLUMN accounts.state IS 'Address, optional.';
COMMENT ON COLUMN accounts.country IS 'Address, optional.';
COMMENT ON COLUMN accounts.roles IS 'What was granted on the command line: auditor, analyst, admin.';
COMMENT ON COLUMN accounts.created_at IS 'When the account was registered.';
