-- What analysts may see of what lies beside the history: each view looks into that schema alone, or asks it one number.
-- Run once, with search_path on this schema and the history's behind it.

CREATE VIEW freshness AS
SELECT position, head, head - position AS lag_domain_events,
       coalesce(greatest(extract(epoch FROM statement_timestamp() - waiting_since), 0), 0) AS lag_seconds, folded_at
FROM (SELECT position, folded_at,
             (SELECT coalesce(max(notification_id), 0) FROM stored_events) AS head,
             (SELECT recorded_at FROM history
              WHERE history.position > checkpoint.position ORDER BY history.position LIMIT 1) AS waiting_since
      FROM checkpoint) AS stand;
COMMENT ON VIEW freshness IS 'One row: how far the tables of this schema, all of them at one position, are behind the history.';
COMMENT ON COLUMN freshness.position IS 'The tables show the history up to this position.';
COMMENT ON COLUMN freshness.head IS 'The last position in the history.';
COMMENT ON COLUMN freshness.lag_domain_events IS 'How many domain events the tables do not show yet.';
COMMENT ON COLUMN freshness.lag_seconds IS 'For how long the oldest of these has been waiting; 0 when there is none.';
COMMENT ON COLUMN freshness.folded_at IS 'When the tables last changed, by the database''s clock.';

CREATE VIEW unmet_demand AS
SELECT event_id, minute, ticket_type_id, reason, sum(attempts)::bigint AS attempts, count(*) AS accounts,
       sum(tickets)::bigint AS tickets, count(*) FILTER (WHERE has_more) AS accounts_with_more
FROM (SELECT event_id, date_trunc('minute', refused_at, 'UTC') AS minute, ticket_type_id, code AS reason, account_id,
             count(*) AS attempts, max(quantity) AS tickets, bool_or(last_kept) AS has_more
      FROM refusals WHERE command = 'ReserveTickets'
      GROUP BY event_id, minute, ticket_type_id, reason, account_id) AS wishes
GROUP BY event_id, minute, ticket_type_id, reason;
COMMENT ON VIEW unmet_demand IS 'One row per event, minute, ticket type and reason for which attempts to reserve were refused, of those that are kept: old ones are deleted, and ten a minute are kept of one account. Not at the position of the tables: a refusal is seen at once.';
COMMENT ON COLUMN unmet_demand.event_id IS 'The event that was asked for; there may be none of this id.';
COMMENT ON COLUMN unmet_demand.minute IS 'The minute, by its first instant; in UTC.';
COMMENT ON COLUMN unmet_demand.ticket_type_id IS 'The kind of ticket that was asked for; null where none was meant, or there is none of that id.';
COMMENT ON COLUMN unmet_demand.reason IS 'The refusal, such as sold-out, limit-per-buyer or sales-not-open: the last part of its problem type.';
COMMENT ON COLUMN unmet_demand.attempts IS 'How many attempts were refused.';
COMMENT ON COLUMN unmet_demand.accounts IS 'How many accounts made them. One that tries again in the next minute counts there, too, and may have had luck in the end.';
COMMENT ON COLUMN unmet_demand.tickets IS 'How many tickets they wanted: of each account its largest wish.';
COMMENT ON COLUMN unmet_demand.accounts_with_more IS 'Of these accounts, those that went on after the last attempt that is kept of this minute.';

CREATE VIEW refused_accounts AS
SELECT event_id, code AS reason, account_id, count(*) AS attempts, max(quantity) AS tickets,
       min(refused_at) AS first_refused_at, max(refused_at) AS last_refused_at
FROM refusals WHERE command = 'ReserveTickets'
GROUP BY event_id, code, account_id;
COMMENT ON VIEW refused_accounts IS 'One row per event, reason and account whose attempts to reserve were refused, of those that are kept: old ones are deleted. Not at the position of the tables: a refusal is seen at once.';
COMMENT ON COLUMN refused_accounts.event_id IS 'The event that was asked for; there may be none of this id.';
COMMENT ON COLUMN refused_accounts.reason IS 'The refusal, such as sold-out, limit-per-buyer or sales-not-open: the last part of its problem type.';
COMMENT ON COLUMN refused_accounts.account_id IS 'Who asked: the same id as the buyer_id of reservations; opaque, and may have been deleted.';
COMMENT ON COLUMN refused_accounts.attempts IS 'How many of its attempts are kept: of each minute no more than ten.';
COMMENT ON COLUMN refused_accounts.tickets IS 'How many tickets it wanted: its largest wish.';
COMMENT ON COLUMN refused_accounts.first_refused_at IS 'When it was refused first, of the attempts that are kept.';
COMMENT ON COLUMN refused_accounts.last_refused_at IS 'When it was refused last, of the attempts that are kept.';

-- Of the history's schema this knows only the view above.
CREATE VIEW turned_away AS
SELECT refused.event_id, reason, count(*) AS accounts, count(*) FILTER (WHERE own.buyer_id IS NULL) AS never_served,
       count(*) FILTER (WHERE own.paid IS NOT TRUE) AS never_paid, sum(tickets) AS tickets,
       coalesce(sum(tickets) FILTER (WHERE own.buyer_id IS NULL), 0)::bigint AS tickets_never_served
FROM refused_accounts AS refused
LEFT JOIN (SELECT event_id, buyer_id, bool_or(paid_at IS NOT NULL) AS paid
           FROM reservations GROUP BY event_id, buyer_id) AS own
    ON own.event_id = refused.event_id AND own.buyer_id = refused.account_id
GROUP BY refused.event_id, reason;
COMMENT ON VIEW turned_away IS 'One row per event and reason: how many distinct accounts were refused, of the attempts that are kept, and how many of them never got a ticket. Who was refused for two reasons counts in both rows; over all reasons count the account_id of refused_accounts. Refusals are seen at once, reservations at the position of the tables.';
COMMENT ON COLUMN turned_away.event_id IS 'The event that was asked for; there may be none of this id.';
COMMENT ON COLUMN turned_away.reason IS 'The refusal, such as sold-out, limit-per-buyer or sales-not-open: the last part of its problem type.';
COMMENT ON COLUMN turned_away.accounts IS 'How many accounts were refused, each once, however often it tried. A person with two accounts counts twice.';
COMMENT ON COLUMN turned_away.never_served IS 'Of these, those without any reservation of the event, before or after: they never held a ticket.';
COMMENT ON COLUMN turned_away.never_paid IS 'Of all these, those that never paid for a ticket of the event: the ones never served, and whose holds ended unpaid or are still open.';
COMMENT ON COLUMN turned_away.tickets IS 'How many tickets they wanted: of each account its largest wish.';
COMMENT ON COLUMN turned_away.tickets_never_served IS 'How many tickets those wanted who were never served.';
