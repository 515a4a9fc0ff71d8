-- Version 5: sessions that can be ended, keys for programs, and tokens by which a password is set anew. Programs of version 3 serve beside it.

CREATE TABLE sessions (
    session_id    uuid        NOT NULL PRIMARY KEY,
    account_id    uuid        NOT NULL REFERENCES accounts ON DELETE CASCADE,
    token_hash    bytea       NOT NULL,
    previous_hash bytea,
    began_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    refreshed_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at    timestamptz NOT NULL
);
CREATE INDEX sessions_by_account ON sessions (account_id);
CREATE INDEX sessions_by_end ON sessions (expires_at);
COMMENT ON TABLE sessions IS 'Who is logged in: one row per login, until it is ended. Its id stands in its tokens and nowhere else.';
COMMENT ON COLUMN sessions.session_id IS 'The session; random.';
COMMENT ON COLUMN sessions.account_id IS 'The account that has logged in.';
COMMENT ON COLUMN sessions.token_hash IS 'Of the refresh token that is good now, keyed with JWT_SECRET.';
COMMENT ON COLUMN sessions.previous_hash IS 'Of the one before it; null until the first was used.';
COMMENT ON COLUMN sessions.began_at IS 'When the account logged in.';
COMMENT ON COLUMN sessions.refreshed_at IS 'When the refresh token that is good now was made.';
COMMENT ON COLUMN sessions.expires_at IS 'When the session ends by itself, however often it is refreshed.';

CREATE TABLE api_keys (
    key_id       uuid        NOT NULL PRIMARY KEY,
    account_id   uuid        NOT NULL REFERENCES accounts ON DELETE CASCADE,
    name         text        NOT NULL,
    scopes       text[]      NOT NULL CHECK (cardinality(scopes) >= 1),
    key_hash     bytea       NOT NULL UNIQUE,
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at   timestamptz,
    last_used_at timestamptz
);
CREATE INDEX api_keys_by_account ON api_keys (account_id);
COMMENT ON TABLE api_keys IS 'What programs send in the place of a login, until it is revoked.';
COMMENT ON COLUMN api_keys.key_id IS 'The key; says nothing of its secret.';
COMMENT ON COLUMN api_keys.account_id IS 'The account that the program acts for.';
COMMENT ON COLUMN api_keys.name IS 'What its account calls it.';
COMMENT ON COLUMN api_keys.scopes IS 'What it may do of all that its account may.';
COMMENT ON COLUMN api_keys.key_hash IS 'SHA-256 of the key, which is random and stored nowhere.';
COMMENT ON COLUMN api_keys.created_at IS 'When it was made.';
COMMENT ON COLUMN api_keys.expires_at IS 'When it ends by itself; null: never.';
COMMENT ON COLUMN api_keys.last_used_at IS 'When it was last used, to some minutes; null: never.';

CREATE TABLE password_resets (
    token_hash bytea       NOT NULL PRIMARY KEY,
    account_id uuid        NOT NULL REFERENCES accounts ON DELETE CASCADE,
    expires_at timestamptz NOT NULL
);
CREATE INDEX password_resets_by_account ON password_resets (account_id);
COMMENT ON TABLE password_resets IS 'Tokens that an operator has made: each lets who has it set the account''s password, once.';
COMMENT ON COLUMN password_resets.token_hash IS 'SHA-256 of the token, which is random and stored nowhere.';
COMMENT ON COLUMN password_resets.account_id IS 'The account whose password may be set.';
COMMENT ON COLUMN password_resets.expires_at IS 'Until when.';

CREATE FUNCTION change_password(wanted_account_id uuid, old_hash text, new_hash text, kept_session_id uuid) RETURNS boolean
LANGUAGE sql SECURITY DEFINER
BEGIN ATOMIC
    WITH changed AS (
        UPDATE accounts SET password_hash = new_hash
        WHERE account_id = wanted_account_id AND password_hash = old_hash RETURNING account_id
    ), ended AS (
        DELETE FROM sessions USING changed
        WHERE sessions.account_id = changed.account_id AND session_id IS DISTINCT FROM kept_session_id
    ), spent AS (
        DELETE FROM password_resets USING changed WHERE password_resets.account_id = changed.account_id
    )
    SELECT EXISTS (SELECT FROM changed);
END;
REVOKE EXECUTE ON FUNCTION change_password FROM PUBLIC;
COMMENT ON FUNCTION change_password IS 'Sets the password of one account whose hash is still the old one, and ends its sessions but one; false where the hash is another by now. Who serves may not change the column by itself, so that nobody changes all of them at once.';

CREATE FUNCTION password_reset_email(wanted_token_hash bytea) RETURNS text LANGUAGE sql STABLE SECURITY DEFINER
BEGIN ATOMIC
    SELECT email FROM accounts JOIN password_resets USING (account_id)
    WHERE token_hash = wanted_token_hash AND expires_at > clock_timestamp();
END;
REVOKE EXECUTE ON FUNCTION password_reset_email FROM PUBLIC;
COMMENT ON FUNCTION password_reset_email IS 'Whose password the token lets one set; null where it is unknown, used or over.';

CREATE FUNCTION reset_password(wanted_token_hash bytea, new_hash text) RETURNS boolean LANGUAGE sql SECURITY DEFINER
BEGIN ATOMIC
    WITH spent AS (
        DELETE FROM password_resets WHERE token_hash = wanted_token_hash AND expires_at > clock_timestamp() RETURNING account_id
    ), others AS (
        DELETE FROM password_resets USING spent
        WHERE password_resets.account_id = spent.account_id AND token_hash <> wanted_token_hash
    ), changed AS (
        UPDATE accounts SET password_hash = new_hash FROM spent
        WHERE accounts.account_id = spent.account_id RETURNING accounts.account_id
    ), ended AS (
        DELETE FROM sessions USING changed WHERE sessions.account_id = changed.account_id
    )
    SELECT EXISTS (SELECT FROM changed);
END;
REVOKE EXECUTE ON FUNCTION reset_password FROM PUBLIC;
COMMENT ON FUNCTION reset_password IS 'Sets the password of the account that the token is for, and ends all its sessions; true once for each token.';
