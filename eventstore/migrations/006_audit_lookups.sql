-- Version 6: refused attempts and reads are found by who, what and when. Programs of version 3 and later serve beside it.

CREATE INDEX IF NOT EXISTS refused_together_by_time ON refused_together (refused_at, first_request_id);
DROP INDEX IF EXISTS refused_together_by_age;
DROP INDEX refused_together_by_event;
CREATE INDEX refused_together_by_event ON refused_together (event_id, refused_at, first_request_id);

CREATE INDEX IF NOT EXISTS audit_reads_by_time ON audit_reads (read_at, request_id);
CREATE INDEX IF NOT EXISTS audit_reads_of_account ON audit_reads (account_id, read_at, request_id);
COMMENT ON TABLE audit_reads IS 'Who has read what: one row per request to /audit that was allowed, and per look at personal data, written before it is answered.';
COMMENT ON COLUMN audit_reads.what IS 'What was asked for: path and query. Of a search by e-mail the account that was found.';
