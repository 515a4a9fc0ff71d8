"""What is asked of the tables: one module per table."""
