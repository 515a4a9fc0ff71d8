"""A table in a file: CSV, JSON lines or Parquet."""
