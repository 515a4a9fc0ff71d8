"""Whether the tables that are there have all that this program reads, whichever version made them."""

from eventstore.postgres.connections import Connection
from projections.checkpoint import Checkpoint
from projections.tables.all_tables import TABLES

READ = {table.name: table.row.__struct_fields__ for table in TABLES} | {"checkpoint": Checkpoint._fields}
MISSING = """
SELECT name || '.' || column_name FROM unnest(%(tables)s::text[], %(columns)s::text[]) AS read (name, column_name)
WHERE NOT EXISTS (SELECT FROM pg_attribute
                  WHERE attrelid = to_regclass(name) AND attname = column_name AND NOT attisdropped)
ORDER BY 1
"""


async def missing(connection: Connection) -> list[str]:
    """The columns, as `table.column`, that this program reads and the tables for reading have not."""
    pairs = [(table, column) for table, columns in READ.items() for column in columns]
    asked = {"tables": [table for table, _ in pairs], "columns": [column for _, column in pairs]}
    return [name for (name,) in await (await connection.execute(MISSING, asked)).fetchall()]
