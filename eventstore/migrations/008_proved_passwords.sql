-- Version 8: what a password was proved for happens only while it is the password. Programs of version 3 and later serve beside it.

CREATE FUNCTION hold_password(wanted_account_id uuid, wanted_hash text, wanted_session_id uuid) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    PERFORM FROM accounts WHERE account_id = wanted_account_id AND password_hash = wanted_hash FOR NO KEY UPDATE;
    IF NOT FOUND THEN RETURN false; END IF;
    IF wanted_session_id IS NULL THEN RETURN true; END IF;
    PERFORM FROM sessions WHERE session_id = wanted_session_id AND account_id = wanted_account_id FOR KEY SHARE;
    RETURN FOUND;
END $$;
REVOKE EXECUTE ON FUNCTION hold_password FROM PUBLIC;
COMMENT ON FUNCTION hold_password IS 'Whether the account has this hash, and this session unless it is null; if so, both stay to the end of the transaction. Who has verified a password asks this in the statement that relies on it.';

-- Each statement sees what was committed until it began: in one with the update, the sessions begun while it waited would be left.
CREATE OR REPLACE FUNCTION change_password(wanted_account_id uuid, old_hash text, new_hash text, kept_session_id uuid) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    IF NOT hold_password(wanted_account_id, old_hash, kept_session_id) THEN RETURN false; END IF;
    UPDATE accounts SET password_hash = new_hash WHERE account_id = wanted_account_id;
    DELETE FROM sessions WHERE account_id = wanted_account_id AND session_id IS DISTINCT FROM kept_session_id;
    DELETE FROM password_resets WHERE account_id = wanted_account_id;
    RETURN true;
END $$;
COMMENT ON FUNCTION change_password IS 'Sets the password of one account whose hash is still the old one, and ends its sessions but one; false where the hash is another by now, or that session has ended. Who serves may not change the column by itself, so that nobody changes all of them at once.';

-- The account is locked before its tokens and sessions, in the order of change_password, so that neither waits for the other for ever.
CREATE OR REPLACE FUNCTION reset_password(wanted_token_hash bytea, new_hash text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    found_account_id uuid;
BEGIN
    SELECT account_id INTO found_account_id FROM password_resets WHERE token_hash = wanted_token_hash;
    PERFORM FROM accounts WHERE account_id = found_account_id FOR NO KEY UPDATE;
    DELETE FROM password_resets WHERE token_hash = wanted_token_hash AND expires_at > clock_timestamp();
    IF NOT FOUND THEN RETURN false; END IF;
    UPDATE accounts SET password_hash = new_hash WHERE account_id = found_account_id;
    DELETE FROM sessions WHERE account_id = found_account_id;
    DELETE FROM password_resets WHERE account_id = found_account_id;
    RETURN true;
END $$;

-- Wherever this schema lies, they look for tables there and nowhere else.
DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION hold_password SET search_path = %I, pg_temp', current_schema());
    EXECUTE format('ALTER FUNCTION change_password SET search_path = %I, pg_temp', current_schema());
    EXECUTE format('ALTER FUNCTION reset_password SET search_path = %I, pg_temp', current_schema());
END $$;
