"""Proving the history of a database, and all that was made of it."""
