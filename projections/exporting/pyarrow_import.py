"""pyarrow, which is large and need not be installed: everything that reads or writes Parquet takes it from here."""

from projections.errors import ParquetMissing

try:
    import pyarrow as pa  # type: ignore[import-untyped]
    from pyarrow import csv
    from pyarrow import parquet as pq
except ModuleNotFoundError:
    raise ParquetMissing from None

__all__ = ["csv", "pa", "pq"]
