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
