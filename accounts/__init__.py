"""Accounts: their tables, passwords, sessions, keys and roles, for whoever needs them with or without HTTP."""

# What a JWT secret has at least. Here, since settings are read by commands that need nothing else of accounts.
SMALLEST_SECRET_BYTES = 32
