-- Version 3: nobody who is silent keeps others waiting, a full notification queue stops no sale, and each role has fewer rights.

CREATE FUNCTION try_lock_streams(keys bigint[], OUT decided_at timestamptz, OUT busy bigint[]) LANGUAGE plpgsql AS $$
DECLARE
    key bigint;
BEGIN
    busy := '{}';
    FOREACH key IN ARRAY keys LOOP
        IF NOT pg_try_advisory_xact_lock(key) THEN
            busy := busy || key;
        END IF;
    END LOOP;
    decided_at := clock_timestamp();
END $$;
COMMENT ON FUNCTION try_lock_streams IS 'Locks those streams that nobody has, without waiting, and then reads the clock; returns the keys of the others.';

CREATE FUNCTION end_silent_holders(waiting_pid integer) RETURNS integer[] LANGUAGE plpgsql
    SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    silent integer;
    ended integer[];
BEGIN
    FOR silent IN
        SELECT a.pid FROM pg_stat_activity a
        WHERE a.pid = ANY (pg_blocking_pids(waiting_pid)) AND a.datname = current_database()
          AND a.state <> 'idle' AND a.wait_event_type = 'Client'
          AND a.state_change < clock_timestamp() - interval '1.5 seconds'
          AND EXISTS (SELECT FROM pg_locks l WHERE l.pid = a.pid AND l.locktype = 'advisory' AND l.granted)
        ORDER BY a.pid
    LOOP
        IF pg_terminate_backend(silent) THEN
            ended := ended || silent;
        END IF;
    END LOOP;
    RETURN ended;
END $$;
REVOKE ALL ON FUNCTION end_silent_holders FROM PUBLIC;
COMMENT ON FUNCTION end_silent_holders IS 'Ends the sessions that a waiting one is blocked by, if they hold an advisory lock in the middle of a transaction and have waited for their client for a second and a half: a process that is frozen or cut off. The timer for idle transactions does not see one that stopped in the middle of sending. Returns their process ids, null when there were none.';

CREATE FUNCTION wait_for_standbys() RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF pg_is_in_recovery() THEN
        RAISE EXCEPTION 'a standby can not wait for others' USING ERRCODE = 'read_only_sql_transaction';
    END IF;
    PERFORM pg_logical_emit_message(true, 'tixxety', '');
END $$;
REVOKE ALL ON FUNCTION wait_for_standbys FROM PUBLIC;
COMMENT ON FUNCTION wait_for_standbys IS 'Makes the transaction write something, so that its commit waits for the disk and for synchronous standbys as that of a writer does. For answers that find earlier work: what they tell must be as durable as if they had written it. A standby says, as it says to who writes, that it is read-only.';

CREATE OR REPLACE FUNCTION append(ids uuid[], versions bigint[], topics text[], states bytea[], command_ends bigint[],
                                  position_lock_class integer, position_lock_key integer) RETURNS bigint LANGUAGE plpgsql
    SET lock_timeout = '3s' AS $$
DECLARE
    last bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(position_lock_class, position_lock_key);
    SELECT coalesce(max(notification_id), 0) INTO last FROM stored_events;
    INSERT INTO stored_events (originator_id, originator_version, topic, state, notification_id, command_position)
        SELECT id, version, topic, state, last + place, last + command_end
        FROM unnest(ids, versions, topics, states, command_ends)
             WITH ORDINALITY AS new (id, version, topic, state, command_end, place);
    -- A notification is a hint, and a full queue would refuse the commit. Asking for its fill also makes room in it.
    -- Each box office has a channel of its own: the first one's is called as it was when there was but one.
    IF pg_notification_queue_usage() < 0.5 THEN
        PERFORM pg_notify(CASE current_schema() WHEN 'tixxety' THEN 'history' ELSE current_schema() || '_history' END,
                          (last + cardinality(ids))::text);
    END IF;
    RETURN last;
END $$;

-- Titles count in NFC from now on. Of twins from before, the one that is composed already keeps the name.
UPDATE event_names AS n SET title_folded = composed.title
FROM (SELECT DISTINCT ON (organiser_id, starts_at, normalize(title_folded, NFC))
             event_id, normalize(title_folded, NFC) AS title, title_folded AS before
      FROM event_names
      ORDER BY organiser_id, starts_at, normalize(title_folded, NFC),
               title_folded IS NFC NORMALIZED DESC, event_id) AS composed
WHERE composed.event_id = n.event_id AND composed.before <> composed.title;

CREATE FUNCTION credentials(wanted_email text) RETURNS TABLE (account_id uuid, password_hash text, roles text[])
LANGUAGE sql STABLE SECURITY DEFINER
BEGIN ATOMIC
    SELECT a.account_id, a.password_hash, a.roles FROM accounts a WHERE a.email = wanted_email;
END;
REVOKE EXECUTE ON FUNCTION credentials FROM PUBLIC;
COMMENT ON FUNCTION credentials IS 'What a login is checked against, of one account at a time: who serves may not read the column password_hash, so that nobody reads all of them at once.';

COMMENT ON COLUMN history.position IS 'The place in the history: 1, 2, 3 … without a hole.';
COMMENT ON COLUMN history.stream IS 'The stream: the id of an event or of a reservation.';
COMMENT ON COLUMN history.version IS 'The place in the stream: 1, 2, 3 … without a hole.';
COMMENT ON COLUMN history.type IS 'The type of the domain event, such as TicketsHeld.';
COMMENT ON COLUMN history.recorded_at IS 'When it was recorded, by the database''s clock.';
COMMENT ON COLUMN history.state IS 'All else that was recorded.';
COMMENT ON COLUMN refusals.request_id IS 'The request that was refused: the X-Request-Id of its answer.';
COMMENT ON COLUMN refusals.account_id IS 'Who asked; opaque, and may have been deleted.';

-- The other columns of refusals are those of the table behind it.
DO $$
DECLARE
    attribute record;
BEGIN
    FOR attribute IN
        SELECT theirs.attname, col_description(theirs.attrelid, theirs.attnum) AS words
        FROM pg_attribute ours JOIN pg_attribute theirs USING (attname)
        WHERE ours.attrelid = 'refusals'::regclass AND theirs.attrelid = 'refused_together'::regclass AND ours.attnum > 0
    LOOP
        EXECUTE format('COMMENT ON COLUMN refusals.%I IS %L', attribute.attname, attribute.words);
    END LOOP;
END $$;

ALTER TABLE schema_version ADD COLUMN serves_from integer NOT NULL DEFAULT 3;
COMMENT ON COLUMN schema_version.serves_from IS 'The oldest version whose programs can serve on this schema. A step that breaks older programs raises it, and its default.';
COMMENT ON TABLE schema_version IS 'One row: the version of both schemas, and from which version on programs can serve on it.';
