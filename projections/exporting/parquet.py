"""Writes a table as Parquet: what PostgreSQL copies out as CSV, read by Arrow, so that no row passes through Python."""

import io
from typing import BinaryIO

from eventstore.postgres.connections import Connection
from projections.exporting.pyarrow_import import csv, pa, pq
from projections.exporting.table_export import CHUNK_BYTES, Asked, Column, csv_chunks
from projections.progress_callback import ProgressCallback

# Keys of the file's metadata.
TABLE, POSITION = "tixxety.table", "tixxety.position"
# All other types, such as uuid, become text.
TYPES = {
    "int2": pa.int16(),
    "int4": pa.int32(),
    "int8": pa.int64(),
    "float8": pa.float64(),
    # Rates and seconds; money is a whole number.
    "numeric": pa.float64(),
    "bool": pa.bool_(),
    "date": pa.date32(),
    "timestamptz": pa.timestamp("us", tz="UTC"),
}
MONEY = pa.decimal128(38, 0)


async def write_parquet(connection: Connection, asked: Asked, file: BinaryIO, on_progress: ProgressCallback) -> int:
    """In groups of rows of some megabytes; the position is in the metadata."""
    types = {column.name: _type(column) for column in asked.columns}
    # A chunk is one block: it ends with a line, and lines may have newlines in them.
    reading = csv.ReadOptions(column_names=list(types), block_size=2 * CHUNK_BYTES)
    parsing = csv.ParseOptions(newlines_in_values=True)
    converting = csv.ConvertOptions(
        column_types=types,
        null_values=[""],
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
        true_values=["t"],
        false_values=["f"],
    )
    written = 0
    schema = pa.schema(types, metadata={TABLE: asked.name, POSITION: str(asked.position)})
    with pq.ParquetWriter(file, schema, compression="zstd") as parquet:
        async for chunk, lines in csv_chunks(connection, asked, spreadsheet=False):
            table = csv.read_csv(io.BytesIO(chunk), reading, parsing, converting)
            parquet.write_table(table.cast(schema))
            written += lines
            on_progress(written, max(written, asked.rows_about))
    return written


def _type(column: Column) -> pa.DataType:
    if column.type == "numeric" and column.name.endswith("_minor"):
        return MONEY
    return TYPES.get(column.type, pa.string())
