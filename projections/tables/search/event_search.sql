-- What a search for words looks through. Run once, with search_path on the schema.

CREATE TABLE event_search (
    event_id    uuid   NOT NULL PRIMARY KEY,
    search_text text   NOT NULL,
    pieces      int[]  NOT NULL,
    position    bigint NOT NULL CHECK (position >= 1)
);
COMMENT ON TABLE event_search IS 'One row per event: title and description as a search for words looks through them.';
COMMENT ON COLUMN event_search.event_id IS 'The event: a row of the table events.';
COMMENT ON COLUMN event_search.search_text IS 'Title and description without case, accents and ways to encode them: Straße as strasse. The first 20 KiB of it, and of the marks on one letter the first 30.';
COMMENT ON COLUMN event_search.pieces IS 'A number for every three characters in a row of a word in search_text, by which an index finds words that contain them.';
COMMENT ON COLUMN event_search.position IS 'The position in the history of the domain event that last changed this row.';

-- What waits to be put into its place is looked through by every search.
CREATE INDEX event_search_by_pieces ON event_search USING gin (pieces) WITH (gin_pending_list_limit = 256);
