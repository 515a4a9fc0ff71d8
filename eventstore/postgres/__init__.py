"""Connections to PostgreSQL as we need them: bounded, of one role, and what hangs on their sessions."""
