"""Who has read the audit trail: the table `audit_reads`."""

from uuid import UUID

from eventstore.postgres.connections import Connection

# What a row takes beside its text, in the table and its three indexes.
ROW_BYTES = 250

# Of an account that lives: whoever deleted it reads no more.
RECORD = """
INSERT INTO audit_reads (request_id, account_id, what)
SELECT %(request_id)s, account_id, %(what)s FROM accounts WHERE account_id = %(account_id)s
"""


async def record(connection: Connection, request_id: UUID, account_id: UUID, what: str) -> bool:
    """Keep that an account reads `what`, a path with its query; False, and nothing kept, once it was deleted."""
    values = {"request_id": request_id, "account_id": account_id, "what": what}
    return (await connection.execute(RECORD, values)).rowcount == 1
