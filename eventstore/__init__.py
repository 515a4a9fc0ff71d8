"""The history in PostgreSQL: appended in groups, read in order, never changed."""
