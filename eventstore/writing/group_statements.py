"""The statements of a group's trips."""

from eventstore.postgres.round_trips import Statement
from eventstore.writing import unique_event_names
from eventstore.writing.refused_attempts import KEEP, LOSABLE

BEGIN = Statement("begin", "BEGIN")
COMMIT = Statement("commit", "COMMIT")
ROLLBACK = Statement("rollback", "ROLLBACK")
LOCK = Statement("lock", "SELECT lock_streams($1::bigint[]), '{}'::bigint[]")
TRY_LOCK = Statement("try_lock", "SELECT decided_at, busy FROM try_lock_streams($1::bigint[])")
# One row: which of the accounts ($1) live, and column by column what was recorded in the streams ($2) after the known
# versions ($3), at most $4 rows. The aggregates take their input in the order of the subquery, which LIMIT keeps from
# being taken apart.
CATCH_UP = Statement(
    "catch_up",
    """
SELECT (SELECT array_agg(account_id) FROM accounts WHERE account_id = ANY($1::uuid[])),
       array_agg(tail.originator_id), array_agg(tail.originator_version), array_agg(tail.topic), array_agg(tail.state)
FROM (SELECT s.originator_id, s.originator_version, s.topic, s.state
      FROM unnest($2::uuid[], $3::bigint[]) WITH ORDINALITY AS known (id, version, place)
      CROSS JOIN LATERAL (
          SELECT originator_id, originator_version, topic, state FROM stored_events
          WHERE originator_id = known.id AND originator_version > known.version
          ORDER BY originator_version LIMIT $4::bigint
      ) AS s
      ORDER BY known.place, s.originator_version LIMIT $4::bigint) AS tail
""",
)
# Columns of equal length: ids, versions, topics, states, and for each the place of its command's last one; then the
# lock of the positions.
APPEND = Statement(
    "append",
    "SELECT append($1::uuid[], $2::bigint[], $3::text[], $4::bytea[], $5::bigint[], $6::integer, $7::integer)",
)
POSITIONS = Statement(
    "positions",
    """
SELECT s.command_position
FROM unnest($1::uuid[], $2::bigint[]) WITH ORDINALITY AS asked (id, version, place)
JOIN stored_events s ON s.originator_id = asked.id AND s.originator_version = asked.version
ORDER BY asked.place
""",
)
WAIT_FOR_STANDBYS = Statement("wait_for_standbys", "SELECT wait_for_standbys()")
STATEMENTS = (
    BEGIN, COMMIT, ROLLBACK, LOCK, TRY_LOCK, CATCH_UP, APPEND, POSITIONS, WAIT_FOR_STANDBYS, LOSABLE, KEEP,
    *unique_event_names.STATEMENTS,
)  # fmt: skip
