-- How sales and capacities went on, from the tables of this schema alone. Run once, with search_path on the schema.

CREATE VIEW capacity_over_time AS
SELECT event_id, ticket_type_id, position, changed_at, capacity, withheld, capacity - withheld AS for_sale
FROM (SELECT event_id, ticket_type_id, position, changed_at,
             max(capacity) OVER (PARTITION BY event_id, ticket_type_id, said) AS capacity,
             (sum(withheld) OVER steps)::integer AS withheld
      FROM (SELECT *, count(capacity) OVER steps AS said FROM capacity_changes
            WINDOW steps AS (PARTITION BY event_id, ticket_type_id ORDER BY position)) AS numbered
      WINDOW steps AS (PARTITION BY event_id, ticket_type_id ORDER BY position)) AS stands;
COMMENT ON VIEW capacity_over_time IS 'One row per ticket type and step that changed how many of its tickets there were for sale: how it stood from then until the next. The last one is how it stands now.';
COMMENT ON COLUMN capacity_over_time.event_id IS 'The event: a row of the table events.';
COMMENT ON COLUMN capacity_over_time.ticket_type_id IS 'The kind of ticket: a row of the table ticket_types.';
COMMENT ON COLUMN capacity_over_time.position IS 'The position in the history of the domain event that says so.';
COMMENT ON COLUMN capacity_over_time.changed_at IS 'From when on it stood so.';
COMMENT ON COLUMN capacity_over_time.capacity IS 'How many tickets of this type there were.';
COMMENT ON COLUMN capacity_over_time.withheld IS 'How many of them the organiser had taken out of sale.';
COMMENT ON COLUMN capacity_over_time.for_sale IS 'capacity - withheld: how many could be sold in all, taken ones among them.';

CREATE VIEW time_to_sell_out AS
SELECT event_id, ticket_type_id, t.capacity, greatest(e.sales_open_at, e.created_at) AS opened_at, ran_out.sold_out_at,
       extract(epoch FROM ran_out.sold_out_at - greatest(e.sales_open_at, e.created_at)) AS seconds
FROM ticket_types AS t JOIN events AS e USING (event_id)
LEFT JOIN (
    SELECT event_id, ticket_type_id, min(at) FILTER (WHERE tickets_left <= 0) AS sold_out_at
    FROM (SELECT event_id, ticket_type_id, at,
                 sum(more) OVER (PARTITION BY event_id, ticket_type_id ORDER BY at) AS tickets_left
          FROM (SELECT event_id, ticket_type_id, changed_at AS at,
                       for_sale - lag(for_sale, 1, 0) OVER (PARTITION BY event_id, ticket_type_id ORDER BY position)
                           AS more
                FROM capacity_over_time
                UNION ALL
                SELECT event_id, ticket_type_id, placed_at, -quantity FROM reservations
                UNION ALL
                SELECT r.event_id, r.ticket_type_id, placed_at, -part.quantity
                FROM reductions AS part JOIN reservations AS r USING (reservation_id)
                UNION ALL
                SELECT event_id, ticket_type_id, reduced_at, quantity FROM reductions
                UNION ALL
                SELECT event_id, ticket_type_id, coalesce(expired_at, cancelled_at), quantity FROM reservations
                WHERE status IN ('expired', 'cancelled')) AS steps) AS balance
    GROUP BY event_id, ticket_type_id
) AS ran_out USING (event_id, ticket_type_id);
COMMENT ON VIEW time_to_sell_out IS 'One row per ticket type: how long it took until none of its tickets was left, of those that were for sale at that moment. Reads every reservation asked for.';
COMMENT ON COLUMN time_to_sell_out.event_id IS 'The event: a row of the table events.';
COMMENT ON COLUMN time_to_sell_out.ticket_type_id IS 'The kind of ticket: a row of the table ticket_types.';
COMMENT ON COLUMN time_to_sell_out.capacity IS 'How many tickets of this type there are now; there may have been others then.';
COMMENT ON COLUMN time_to_sell_out.opened_at IS 'From when it could be reserved: when sales opened, or the event was created.';
COMMENT ON COLUMN time_to_sell_out.sold_out_at IS 'The first instant at which none was left, all being reserved, paid or taken out of sale; null if that never happened. Some may have come back since.';
COMMENT ON COLUMN time_to_sell_out.seconds IS 'From opened_at to sold_out_at.';

-- A zone that this server does not know yet counts as UTC, or one event would keep the days of all others from being read.
CREATE VIEW sales_by_local_day AS
SELECT event_id, (minute AT TIME ZONE e.time_zone)::date AS day, ticket_type_id,
       sum(s.placed) AS placed, sum(s.paid) AS paid, sum(s.expired) AS expired, sum(s.cancelled) AS cancelled,
       sum(s.returned) AS returned, sum(s.tickets_placed)::bigint AS tickets_placed,
       sum(s.tickets_paid)::bigint AS tickets_paid, sum(s.tickets_expired)::bigint AS tickets_expired,
       sum(s.tickets_cancelled)::bigint AS tickets_cancelled, sum(s.tickets_returned)::bigint AS tickets_returned,
       sum(s.revenue_minor) AS revenue_minor, sum(s.refunds_minor) AS refunds_minor, t.currency,
       e.time_zone
FROM sales_by_minute AS s JOIN ticket_types AS t USING (event_id, ticket_type_id) JOIN (
    SELECT event_id,
           CASE WHEN time_zone IN (SELECT name FROM pg_timezone_names) THEN time_zone ELSE 'UTC' END AS time_zone
    FROM events
) AS e USING (event_id)
GROUP BY event_id, day, ticket_type_id, t.currency, e.time_zone;
COMMENT ON VIEW sales_by_local_day IS 'One row per event, day at its place and ticket type in which anything was reserved, paid or given back: sales_by_minute summed up. A day begins at midnight there, and has 23 or 25 hours where the clock is changed.';
COMMENT ON COLUMN sales_by_local_day.event_id IS 'The event: a row of the table events.';
COMMENT ON COLUMN sales_by_local_day.day IS 'The day that a calendar at the place of the event shows.';
COMMENT ON COLUMN sales_by_local_day.ticket_type_id IS 'The kind of ticket: a row of the table ticket_types.';
COMMENT ON COLUMN sales_by_local_day.placed IS 'Reservations placed in the day.';
COMMENT ON COLUMN sales_by_local_day.paid IS 'Reservations paid in the day.';
COMMENT ON COLUMN sales_by_local_day.expired IS 'Reservations taken back in the day because they were not paid in time.';
COMMENT ON COLUMN sales_by_local_day.cancelled IS 'Reservations cancelled in the day, by the buyer or with the event, paid or not.';
COMMENT ON COLUMN sales_by_local_day.returned IS 'Of those cancelled: the ones that had been paid before.';
COMMENT ON COLUMN sales_by_local_day.tickets_placed IS 'Tickets of the reservations placed.';
COMMENT ON COLUMN sales_by_local_day.tickets_paid IS 'Tickets of the reservations paid.';
COMMENT ON COLUMN sales_by_local_day.tickets_expired IS 'Tickets of the reservations expired.';
COMMENT ON COLUMN sales_by_local_day.tickets_cancelled IS 'Tickets of the reservations cancelled, and those given back as a part of one.';
COMMENT ON COLUMN sales_by_local_day.tickets_returned IS 'Of these tickets: the ones that had been paid before.';
COMMENT ON COLUMN sales_by_local_day.revenue_minor IS 'What was paid in the day, in the minor unit of the currency (cents).';
COMMENT ON COLUMN sales_by_local_day.refunds_minor IS 'What became due to be paid back, in the minor unit of the currency.';
COMMENT ON COLUMN sales_by_local_day.currency IS 'ISO 4217, such as EUR: that of the ticket type; XXX where tickets are free and no currency was said.';
COMMENT ON COLUMN sales_by_local_day.time_zone IS 'Whose days these are: the time zone that the event has now; UTC where this server does not know it.';

CREATE VIEW sales_curve AS
SELECT event_id, days_before_start, tickets_paid, tickets_returned,
       (sum(tickets_paid - tickets_returned) OVER (PARTITION BY event_id ORDER BY days_before_start DESC))::bigint
           AS tickets_sold_so_far
FROM (SELECT event_id, (e.starts_at AT TIME ZONE s.time_zone)::date - s.day AS days_before_start,
             sum(tickets_paid)::bigint AS tickets_paid, sum(tickets_returned)::bigint AS tickets_returned
      FROM sales_by_local_day AS s JOIN events AS e USING (event_id)
      GROUP BY event_id, days_before_start
      HAVING sum(tickets_paid + tickets_returned) > 0) AS days;
COMMENT ON VIEW sales_curve IS 'One row per event and day on which any of its tickets were paid or given back, counted in days before its start: the booking curve, how sales grow towards it. On a day without a row nothing changed.';
COMMENT ON COLUMN sales_curve.event_id IS 'The event: a row of the table events.';
COMMENT ON COLUMN sales_curve.days_before_start IS 'Days from this one to that of the start, by the calendar at the place of the event: 0 for the day of the start, below 0 for the days after it. Of the start as it is planned now.';
COMMENT ON COLUMN sales_curve.tickets_paid IS 'Tickets that were paid on this day.';
COMMENT ON COLUMN sales_curve.tickets_returned IS 'Tickets that were paid and were given back on this day.';
COMMENT ON COLUMN sales_curve.tickets_sold_so_far IS 'Tickets paid less those given back, up to the end of this day.';
