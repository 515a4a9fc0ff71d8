"""What to ask each table and view first: one example of each, shown in docs/tables.md and run by the tests."""

from typing import NamedTuple


class Example(NamedTuple):
    """A question, and the query that answers it to whoever has `search_path` on the projections."""

    question: str
    query: str


# In the order in which they are documented.
EXAMPLES = {
    "events": Example(
        "What comes next?",
        """
SELECT title, city, starts_at, status FROM events
WHERE starts_at > now() ORDER BY starts_at LIMIT 20;
""",
    ),
    "event_search": Example(
        "Which events are about strings, however they write it?",
        """
SELECT title, starts_at FROM event_search JOIN events USING (event_id)
WHERE search_text LIKE '%strings%' ORDER BY starts_at LIMIT 20;
""",
    ),
    "ticket_types": Example(
        "How full is each event?",
        """
SELECT title, name, capacity, reserved, paid, available, round(100.0 * paid / capacity, 1) AS paid_percent
FROM ticket_types JOIN events USING (event_id) ORDER BY paid_percent DESC LIMIT 20;
""",
    ),
    "reservations": Example(
        "What became of the reservations of each day?",
        """
SELECT (placed_at AT TIME ZONE 'UTC')::date AS day, status, count(*) AS reservations, sum(quantity) AS tickets
FROM reservations GROUP BY day, status ORDER BY day DESC, status;
""",
    ),
    "reductions": Example(
        "How often is only a part given back, and how much of it?",
        """
SELECT title, count(*) AS parts, sum(r.quantity) AS tickets, count(DISTINCT reservation_id) AS reservations
FROM reductions AS r JOIN events USING (event_id) GROUP BY event_id, title ORDER BY tickets DESC LIMIT 20;
""",
    ),
    "sales_by_minute": Example(
        "What was sold on each day in Riga, less what was given back?",
        """
SELECT (minute AT TIME ZONE 'Europe/Riga')::date AS day, t.currency,
       sum(tickets_paid - tickets_returned) AS tickets, sum(revenue_minor - refunds_minor) AS net_minor
FROM sales_by_minute JOIN ticket_types AS t USING (event_id, ticket_type_id)
GROUP BY day, t.currency ORDER BY day DESC;
""",
    ),
    "capacity_changes": Example(
        "Who changes capacities after the start of sales, and how often?",
        """
SELECT title, count(*) AS changes, max(c.changed_at) AS last_changed_at
FROM capacity_changes AS c JOIN events USING (event_id)
WHERE c.changed_at > coalesce(sales_open_at, created_at) GROUP BY event_id, title ORDER BY changes DESC;
""",
    ),
    "audit_trail": Example(
        "How many requests of each kind had an effect, and how many accounts made them?",
        """
SELECT type, count(DISTINCT request_id) AS requests, count(DISTINCT actor_id) AS accounts
FROM audit_trail GROUP BY type ORDER BY requests DESC;
""",
    ),
    "checkpoint": Example("Which moment do the tables show?", "\nSELECT position, folded_at FROM checkpoint;\n"),
    "sales_by_hour": Example(
        "In which hours do most tickets sell?",
        """
SELECT extract(hour FROM hour AT TIME ZONE 'UTC') AS hour_of_day, sum(tickets_paid) AS tickets
FROM sales_by_hour GROUP BY hour_of_day ORDER BY tickets DESC;
""",
    ),
    "sales_by_day": Example(
        "What does each event take in a day?",
        """
SELECT title, day, currency, sum(tickets_paid) AS tickets, sum(revenue_minor) / 100.0 AS revenue
FROM sales_by_day JOIN events USING (event_id) GROUP BY event_id, title, day, currency ORDER BY day DESC, revenue DESC;
""",
    ),
    "sales_by_local_day": Example(
        "Which days of the week, at the place of each event, sell best?",
        """
SELECT to_char(day, 'Day') AS weekday, sum(tickets_paid) AS tickets
FROM sales_by_local_day GROUP BY weekday, extract(isodow FROM day) ORDER BY extract(isodow FROM day);
""",
    ),
    "sales_curve": Example(
        "How full was each event a week before its start, and how full is it now?",
        """
SELECT title, sum(tickets_paid - tickets_returned) FILTER (WHERE days_before_start >= 7) / capacity AS week_before,
       sum(tickets_paid - tickets_returned) / capacity AS now
FROM sales_curve JOIN events USING (event_id)
JOIN (SELECT event_id, sum(capacity) AS capacity FROM ticket_types GROUP BY event_id) AS halls USING (event_id)
GROUP BY event_id, title, capacity ORDER BY now DESC;
""",
    ),
    "conversion": Example(
        "Where do most reservations run out unpaid?",
        """
SELECT title, name, placed, conversion_rate, expiry_rate
FROM conversion JOIN ticket_types USING (event_id, ticket_type_id) JOIN events USING (event_id)
WHERE expiry_rate IS NOT NULL ORDER BY expiry_rate DESC LIMIT 20;
""",
    ),
    "time_to_pay": Example(
        "Is the time to pay long enough?",
        """
SELECT title, hold_seconds, paid, p50_seconds, p90_seconds
FROM time_to_pay JOIN events USING (event_id) ORDER BY p90_seconds / hold_seconds DESC LIMIT 20;
""",
    ),
    "time_to_sell_out": Example(
        "What sold out fastest?",
        """
SELECT title, name, s.capacity, opened_at, sold_out_at, seconds
FROM time_to_sell_out AS s JOIN ticket_types USING (event_id, ticket_type_id) JOIN events USING (event_id)
WHERE sold_out_at IS NOT NULL ORDER BY seconds LIMIT 20;
""",
    ),
    "funnel": Example(
        "What becomes of the tickets that are reserved, over all events?",
        """
SELECT place, step, sum(reservations) AS reservations, sum(tickets) AS tickets
FROM funnel GROUP BY place, step ORDER BY place;
""",
    ),
    "organisers": Example(
        "Who sells most, currency by currency?",
        """
SELECT currency, organiser_id, events, tickets_sold, net_minor / 100.0 AS net, refunds_minor / 100.0 AS refunds
FROM organisers ORDER BY currency, net_minor DESC;
""",
    ),
    "capacity_over_time": Example(
        "How many tickets of each kind were for sale, and from when on?",
        """
SELECT title, name, o.changed_at, o.capacity, o.withheld, o.for_sale
FROM capacity_over_time AS o JOIN ticket_types USING (event_id, ticket_type_id) JOIN events USING (event_id)
ORDER BY title, name, o.position;
""",
    ),
    "unmet_demand": Example(
        "How many more tickets were wanted than there were, minute by minute?",
        """
SELECT title, minute, sum(accounts) AS accounts, sum(tickets) AS tickets
FROM unmet_demand JOIN events USING (event_id)
WHERE reason = 'sold-out' GROUP BY event_id, title, minute ORDER BY minute DESC;
""",
    ),
    "refused_accounts": Example(
        "How many were refused at each event, for whatever reason, and how long did they go on trying?",
        """
SELECT title, count(DISTINCT account_id) AS accounts, max(last_refused_at - first_refused_at) AS longest
FROM refused_accounts JOIN events USING (event_id) GROUP BY event_id, title ORDER BY accounts DESC;
""",
    ),
    "turned_away": Example(
        "How many people found it sold out, and how many of them went away without a ticket?",
        """
SELECT title, accounts, never_served, never_paid, tickets_never_served
FROM turned_away JOIN events USING (event_id) WHERE reason = 'sold-out' ORDER BY never_served DESC;
""",
    ),
    "freshness": Example(
        "How far behind the history am I reading?",
        "\nSELECT position, head, lag_domain_events, lag_seconds FROM freshness;\n",
    ),
}
