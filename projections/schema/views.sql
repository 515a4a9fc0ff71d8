-- What analysts ask first, answered from the tables of this schema alone. Run once, with search_path on the schema.

CREATE VIEW sales_by_hour AS
SELECT event_id, date_trunc('hour', minute, 'UTC') AS hour, ticket_type_id,
       sum(s.placed) AS placed, sum(s.paid) AS paid, sum(s.expired) AS expired, sum(s.cancelled) AS cancelled,
       sum(s.returned) AS returned, sum(s.tickets_placed)::bigint AS tickets_placed,
       sum(s.tickets_paid)::bigint AS tickets_paid, sum(s.tickets_expired)::bigint AS tickets_expired,
       sum(s.tickets_cancelled)::bigint AS tickets_cancelled, sum(s.tickets_returned)::bigint AS tickets_returned,
       sum(s.revenue_minor) AS revenue_minor, sum(s.refunds_minor) AS refunds_minor, t.currency
FROM sales_by_minute AS s JOIN ticket_types AS t USING (event_id, ticket_type_id)
GROUP BY event_id, hour, ticket_type_id, t.currency;
COMMENT ON VIEW sales_by_hour IS 'One row per event, hour and ticket type in which anything was reserved, paid or given back: sales_by_minute summed up.';
COMMENT ON COLUMN sales_by_hour.event_id IS 'The event: a row of the table events.';
COMMENT ON COLUMN sales_by_hour.hour IS 'The hour, by its first instant; in UTC.';
COMMENT ON COLUMN sales_by_hour.ticket_type_id IS 'The kind of ticket: a row of the table ticket_types.';
COMMENT ON COLUMN sales_by_hour.placed IS 'Reservations placed in the hour.';
COMMENT ON COLUMN sales_by_hour.paid IS 'Reservations paid in the hour.';
COMMENT ON COLUMN sales_by_hour.expired IS 'Reservations taken back in the hour because they were not paid in time.';
COMMENT ON COLUMN sales_by_hour.cancelled IS 'Reservations cancelled in the hour, by the buyer, by the organiser or with the event, paid or not.';
COMMENT ON COLUMN sales_by_hour.returned IS 'Of those cancelled: the ones that had been paid before.';
COMMENT ON COLUMN sales_by_hour.tickets_placed IS 'Tickets of the reservations placed.';
COMMENT ON COLUMN sales_by_hour.tickets_paid IS 'Tickets of the reservations paid.';
COMMENT ON COLUMN sales_by_hour.tickets_expired IS 'Tickets of the reservations expired.';
COMMENT ON COLUMN sales_by_hour.tickets_cancelled IS 'Tickets of the reservations cancelled, and those given back as a part of one.';
COMMENT ON COLUMN sales_by_hour.tickets_returned IS 'Of these tickets: the ones that had been paid before.';
COMMENT ON COLUMN sales_by_hour.revenue_minor IS 'What was paid in the hour, in the minor unit of the currency (cents).';
COMMENT ON COLUMN sales_by_hour.refunds_minor IS 'What became due to be paid back, in the minor unit of the currency.';
COMMENT ON COLUMN sales_by_hour.currency IS 'ISO 4217, such as EUR: that of the ticket type; XXX where tickets are free and no currency was said.';

CREATE VIEW sales_by_day AS
SELECT event_id, (minute AT TIME ZONE 'UTC')::date AS day, ticket_type_id,
       sum(s.placed) AS placed, sum(s.paid) AS paid, sum(s.expired) AS expired, sum(s.cancelled) AS cancelled,
       sum(s.returned) AS returned, sum(s.tickets_placed)::bigint AS tickets_placed,
       sum(s.tickets_paid)::bigint AS tickets_paid, sum(s.tickets_expired)::bigint AS tickets_expired,
       sum(s.tickets_cancelled)::bigint AS tickets_cancelled, sum(s.tickets_returned)::bigint AS tickets_returned,
       sum(s.revenue_minor) AS revenue_minor, sum(s.refunds_minor) AS refunds_minor, t.currency
FROM sales_by_minute AS s JOIN ticket_types AS t USING (event_id, ticket_type_id)
GROUP BY event_id, day, ticket_type_id, t.currency;
COMMENT ON VIEW sales_by_day IS 'One row per event, day and ticket type in which anything was reserved, paid or given back: sales_by_minute summed up.';
COMMENT ON COLUMN sales_by_day.event_id IS 'The event: a row of the table events.';
COMMENT ON COLUMN sales_by_day.day IS 'The day, in UTC. Those at the place of the event are in sales_by_local_day; for another time zone group sales_by_minute by (minute AT TIME ZONE ''Europe/Riga'')::date.';
COMMENT ON COLUMN sales_by_day.ticket_type_id IS 'The kind of ticket: a row of the table ticket_types.';
COMMENT ON COLUMN sales_by_day.placed IS 'Reservations placed in the day.';
COMMENT ON COLUMN sales_by_day.paid IS 'Reservations paid in the day.';
COMMENT ON COLUMN sales_by_day.expired IS 'Reservations taken back in the day because they were not paid in time.';
COMMENT ON COLUMN sales_by_day.cancelled IS 'Reservations cancelled in the day, by the buyer, by the organiser or with the event, paid or not.';
COMMENT ON COLUMN sales_by_day.returned IS 'Of those cancelled: the ones that had been paid before.';
COMMENT ON COLUMN sales_by_day.tickets_placed IS 'Tickets of the reservations placed.';
COMMENT ON COLUMN sales_by_day.tickets_paid IS 'Tickets of the reservations paid.';
COMMENT ON COLUMN sales_by_day.tickets_expired IS 'Tickets of the reservations expired.';
COMMENT ON COLUMN sales_by_day.tickets_cancelled IS 'Tickets of the reservations cancelled, and those given back as a part of one.';
COMMENT ON COLUMN sales_by_day.tickets_returned IS 'Of these tickets: the ones that had been paid before.';
COMMENT ON COLUMN sales_by_day.revenue_minor IS 'What was paid in the day, in the minor unit of the currency (cents).';
COMMENT ON COLUMN sales_by_day.refunds_minor IS 'What became due to be paid back, in the minor unit of the currency.';
COMMENT ON COLUMN sales_by_day.currency IS 'ISO 4217, such as EUR: that of the ticket type; XXX where tickets are free and no currency was said.';

CREATE VIEW conversion AS
SELECT event_id, ticket_type_id, placed, paid, expired, cancelled - returned AS cancelled_unpaid, returned,
       still_reserved,
       round(paid::numeric / nullif(placed - still_reserved, 0), 4) AS conversion_rate,
       round(expired::numeric / nullif(placed - still_reserved, 0), 4) AS expiry_rate
FROM (SELECT event_id, ticket_type_id, sum(placed) AS placed, sum(paid) AS paid, sum(expired) AS expired,
             sum(cancelled) AS cancelled, sum(returned) AS returned,
             sum(placed - paid - expired - cancelled + returned) AS still_reserved
      FROM sales_by_minute GROUP BY event_id, ticket_type_id) AS totals;
COMMENT ON VIEW conversion IS 'One row per ticket type that was ever reserved: what became of its reservations, from reserved to paid.';
COMMENT ON COLUMN conversion.event_id IS 'The event: a row of the table events.';
COMMENT ON COLUMN conversion.ticket_type_id IS 'The kind of ticket: a row of the table ticket_types.';
COMMENT ON COLUMN conversion.placed IS 'Reservations placed so far.';
COMMENT ON COLUMN conversion.paid IS 'Of these, those that were paid; some may have been cancelled since.';
COMMENT ON COLUMN conversion.expired IS 'Of these, those that were not paid in time.';
COMMENT ON COLUMN conversion.cancelled_unpaid IS 'Of these, those that were cancelled before they were paid.';
COMMENT ON COLUMN conversion.returned IS 'Of those paid: the ones that were cancelled afterwards.';
COMMENT ON COLUMN conversion.still_reserved IS 'Of these, those that are neither paid nor ended yet: their outcome is open.';
COMMENT ON COLUMN conversion.conversion_rate IS 'paid, as a part (0 to 1) of all whose outcome is known: placed - still_reserved. Null while none is known.';
COMMENT ON COLUMN conversion.expiry_rate IS 'expired, as a part (0 to 1) of the same.';

CREATE VIEW time_to_pay AS
SELECT event_id, ticket_type_id, count(*) AS paid,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds) AS p50_seconds,
       percentile_cont(0.9) WITHIN GROUP (ORDER BY seconds) AS p90_seconds
FROM (SELECT event_id, ticket_type_id, extract(epoch FROM paid_at - placed_at)::float8 AS seconds
      FROM reservations WHERE paid_at IS NOT NULL) AS payments
GROUP BY event_id, ticket_type_id;
COMMENT ON VIEW time_to_pay IS 'One row per ticket type that was ever paid for: how long its buyers take from reserving to paying. Reads every reservation asked for.';
COMMENT ON COLUMN time_to_pay.event_id IS 'The event: a row of the table events.';
COMMENT ON COLUMN time_to_pay.ticket_type_id IS 'The kind of ticket: a row of the table ticket_types.';
COMMENT ON COLUMN time_to_pay.paid IS 'How many reservations were paid.';
COMMENT ON COLUMN time_to_pay.p50_seconds IS 'Half of them were paid within so many seconds.';
COMMENT ON COLUMN time_to_pay.p90_seconds IS 'Nine in ten of them were paid within so many seconds.';

CREATE VIEW funnel AS
SELECT t.event_id, t.ticket_type_id, step.place, step.step, step.reservations, step.tickets,
       round(step.reservations / nullif(s.placed, 0)::numeric, 4) AS rate
FROM ticket_types AS t
LEFT JOIN (SELECT event_id, ticket_type_id, sum(placed) AS placed, sum(paid) AS paid, sum(expired) AS expired,
                  sum(cancelled) AS cancelled, sum(returned) AS returned,
                  sum(tickets_placed)::bigint AS tickets_placed, sum(tickets_paid)::bigint AS tickets_paid,
                  sum(tickets_expired)::bigint AS tickets_expired,
                  sum(tickets_cancelled)::bigint AS tickets_cancelled,
                  sum(tickets_returned)::bigint AS tickets_returned
           FROM sales_by_minute GROUP BY event_id, ticket_type_id) AS s
    ON s.event_id = t.event_id AND s.ticket_type_id = t.ticket_type_id
CROSS JOIN LATERAL (VALUES
    (1, 'reserved', coalesce(s.placed, 0), coalesce(s.tickets_placed, 0)),
    (2, 'paid', coalesce(s.paid, 0), coalesce(s.tickets_paid, 0)),
    (3, 'expired', coalesce(s.expired, 0), coalesce(s.tickets_expired, 0)),
    (4, 'cancelled', coalesce(s.cancelled - s.returned, 0), coalesce(s.tickets_cancelled - s.tickets_returned, 0)),
    (5, 'refunded', coalesce(s.returned, 0), coalesce(s.tickets_returned, 0))
) AS step (place, step, reservations, tickets);
COMMENT ON VIEW funnel IS 'Five rows per ticket type, also of one that nobody has reserved yet: how many reservations took each step. What was reserved and is in none of paid, expired and cancelled is still open.';
COMMENT ON COLUMN funnel.event_id IS 'The event: a row of the table events.';
COMMENT ON COLUMN funnel.ticket_type_id IS 'The kind of ticket: a row of the table ticket_types.';
COMMENT ON COLUMN funnel.place IS 'The order of the steps, for charts: 1 to 5.';
COMMENT ON COLUMN funnel.step IS 'reserved; then paid, expired (not paid in time) or cancelled (before it was paid); and refunded, which is paid and cancelled afterwards.';
COMMENT ON COLUMN funnel.reservations IS 'Reservations that took this step so far. The refunded ones are among the paid ones, too.';
COMMENT ON COLUMN funnel.tickets IS 'Tickets of these reservations; of a step back also those given back as a part of one.';
COMMENT ON COLUMN funnel.rate IS 'reservations, as a part (0 to 1) of those that were ever reserved. Null while there are none.';

CREATE VIEW organisers AS
SELECT organiser_id, t.currency, count(DISTINCT event_id) AS events,
       count(DISTINCT event_id) FILTER (WHERE e.status = 'cancelled') AS events_cancelled,
       sum(t.capacity) AS capacity, sum(t.reserved) AS tickets_reserved, sum(t.paid) AS tickets_sold,
       coalesce(sum(s.tickets_returned), 0)::bigint AS tickets_returned, coalesce(sum(s.returned), 0)::bigint AS refunds,
       coalesce(sum(s.revenue_minor), 0) AS revenue_minor, coalesce(sum(s.refunds_minor), 0) AS refunds_minor,
       coalesce(sum(s.revenue_minor - s.refunds_minor), 0) AS net_minor
FROM events AS e JOIN ticket_types AS t USING (event_id)
LEFT JOIN (SELECT event_id, ticket_type_id, sum(tickets_returned) AS tickets_returned, sum(returned) AS returned,
                  sum(revenue_minor) AS revenue_minor, sum(refunds_minor) AS refunds_minor
           FROM sales_by_minute GROUP BY event_id, ticket_type_id) AS s USING (event_id, ticket_type_id)
GROUP BY organiser_id, t.currency;
COMMENT ON VIEW organisers IS 'One row per organiser and currency: what they have on the programme, and what they sold, from the first event on. An event with tickets in two currencies counts in both rows.';
COMMENT ON COLUMN organisers.organiser_id IS 'The account that created the events and owns them; opaque, and may have been deleted.';
COMMENT ON COLUMN organisers.currency IS 'ISO 4217, such as EUR; XXX where tickets are free and no currency was said.';
COMMENT ON COLUMN organisers.events IS 'Events with tickets in this currency, cancelled ones among them.';
COMMENT ON COLUMN organisers.events_cancelled IS 'Of these, those that were called off.';
COMMENT ON COLUMN organisers.capacity IS 'How many tickets there are now, of all these events.';
COMMENT ON COLUMN organisers.tickets_reserved IS 'Tickets held by reservations that are not paid yet.';
COMMENT ON COLUMN organisers.tickets_sold IS 'Tickets that are paid and were not given back.';
COMMENT ON COLUMN organisers.tickets_returned IS 'Tickets that were paid and given back, by their buyer or with the event.';
COMMENT ON COLUMN organisers.refunds IS 'How many paid reservations were cancelled.';
COMMENT ON COLUMN organisers.revenue_minor IS 'What was paid, in the minor unit of the currency (cents).';
COMMENT ON COLUMN organisers.refunds_minor IS 'What became due to be paid back, in the minor unit of the currency.';
COMMENT ON COLUMN organisers.net_minor IS 'revenue_minor - refunds_minor.';
