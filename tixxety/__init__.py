"""The command line, the settings and the embedded PostgreSQL: wires the other packages into running processes."""

__version__ = "0.1.0"
