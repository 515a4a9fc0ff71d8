-- Version 3: what lets each role have fewer rights. Run once, with search_path on the schema.

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
