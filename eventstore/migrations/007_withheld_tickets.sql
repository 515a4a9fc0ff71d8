-- Version 7: a refused attempt tells what was withheld, too. Programs of version 3 and later serve beside it.

ALTER TABLE refused_together ADD COLUMN withheld integer;
COMMENT ON COLUMN refused_together.withheld IS 'How many of them the organiser had taken out of sale; null without a ticket type, and where that could not be yet.';

CREATE OR REPLACE VIEW refusals AS
    SELECT attempt.request_id, refused_at, attempt.account_id, command, event_id, reservation_id, ticket_type_id, quantity,
           code, facts, capacity, reserved, paid, position, last_kept, withheld
    FROM refused_together, unnest(request_ids, account_ids) AS attempt (request_id, account_id);
COMMENT ON COLUMN refusals.withheld IS 'How many of them the organiser had taken out of sale; null without a ticket type, and where that could not be yet.';
