-- The catalogue. Run once, with search_path on the schema.

CREATE TABLE events (
    event_id       uuid        NOT NULL PRIMARY KEY,
    organiser_id   uuid        NOT NULL,
    title          text        NOT NULL,
    description    text,
    street         text,
    city           text,
    state          text,
    country        text,
    city_key       text,
    state_key      text,
    country_key    text,
    time_zone      text        NOT NULL,
    starts_at      timestamptz NOT NULL,
    ends_at        timestamptz NOT NULL,
    sales_open_at  timestamptz,
    sales_close_at timestamptz,
    max_per_buyer  integer     NOT NULL CHECK (max_per_buyer >= 1),
    hold_seconds   integer     NOT NULL CHECK (hold_seconds >= 1),
    hold_extension_seconds integer NOT NULL CHECK (hold_extension_seconds >= 0),
    status         text        NOT NULL CHECK (status IN ('scheduled', 'cancelled')),
    created_at     timestamptz NOT NULL,
    changed_at     timestamptz NOT NULL,
    cancelled_at   timestamptz,
    edition        bigint      NOT NULL CHECK (edition >= 1),
    position       bigint      NOT NULL CHECK (position >= 1),
    CHECK (starts_at < ends_at),
    CHECK (sales_open_at < coalesce(sales_close_at, ends_at)),
    CHECK (sales_close_at <= ends_at),
    CHECK (created_at <= changed_at),
    CHECK ((status = 'cancelled') = (cancelled_at IS NOT NULL))
) WITH (fillfactor = 90);
COMMENT ON TABLE events IS 'One row per event: what the catalogue shows. What depends on the present moment, such as whether it is on sale, is for the query to say.';
COMMENT ON COLUMN events.event_id IS 'The event: in the history the stream of this id.';
COMMENT ON COLUMN events.organiser_id IS 'The account that created the event and owns it; opaque, and may have been deleted.';
COMMENT ON COLUMN events.title IS 'What it is called; no organiser has two events with one title and start, cancelled ones aside.';
COMMENT ON COLUMN events.description IS 'What it is about; null when nothing was said.';
COMMENT ON COLUMN events.street IS 'Where it takes place: street and number; null when not said.';
COMMENT ON COLUMN events.city IS 'Where it takes place: city; null when not said.';
COMMENT ON COLUMN events.state IS 'Where it takes place: state, province or region; null when not said.';
COMMENT ON COLUMN events.country IS 'Where it takes place: country, as the organiser wrote it; null when not said.';
COMMENT ON COLUMN events.city_key IS 'The city without case, accents and ways to encode them: what is the same city is equal here.';
COMMENT ON COLUMN events.state_key IS 'The same of the state.';
COMMENT ON COLUMN events.country_key IS 'The same of the country.';
COMMENT ON COLUMN events.time_zone IS 'The time zone of the place, by its IANA name: starts_at AT TIME ZONE time_zone is what a clock there shows; UTC when not said.';
COMMENT ON COLUMN events.starts_at IS 'When it starts.';
COMMENT ON COLUMN events.ends_at IS 'When it ends; it has ended at this instant.';
COMMENT ON COLUMN events.sales_open_at IS 'From when tickets can be reserved; null for at once.';
COMMENT ON COLUMN events.sales_close_at IS 'From when tickets can no longer be reserved; null for the end of the event.';
COMMENT ON COLUMN events.max_per_buyer IS 'How many tickets one buyer may have, reserved or paid, of all ticket types together.';
COMMENT ON COLUMN events.hold_seconds IS 'How long a reservation placed now may be paid, in seconds.';
COMMENT ON COLUMN events.hold_extension_seconds IS 'By how much a buyer may extend a hold, once, in seconds; 0 where that is not offered.';
COMMENT ON COLUMN events.status IS 'scheduled or cancelled.';
COMMENT ON COLUMN events.created_at IS 'When it was created.';
COMMENT ON COLUMN events.changed_at IS 'When anything in this row last changed; sales do not change it.';
COMMENT ON COLUMN events.cancelled_at IS 'When it was called off; null unless it was.';
COMMENT ON COLUMN events.edition IS 'The version of the event''s stream at the last change by its organiser, of its ticket types too; sales do not change it.';
COMMENT ON COLUMN events.position IS 'The position in the history of the domain event that last changed this row; of a cancelled event, that of its cancellation.';

CREATE INDEX events_by_start ON events (starts_at, event_id);
-- Those that are under way at an instant; the others come by their start.
CREATE INDEX events_by_time ON events USING gist (tstzrange(starts_at, ends_at));
CREATE INDEX events_by_city ON events (city_key, starts_at, event_id);
CREATE INDEX events_by_state ON events (state_key, starts_at, event_id);
CREATE INDEX events_by_country ON events (country_key, starts_at, event_id);
CREATE INDEX events_of_organiser ON events (organiser_id, starts_at, event_id);
CREATE INDEX events_cancelled ON events (position) WHERE status = 'cancelled';
CREATE INDEX events_cancelled_by_start ON events (starts_at, event_id) WHERE status = 'cancelled';
