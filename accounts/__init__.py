"""Accounts: their table, passwords, tokens and roles, for whoever needs them with or without HTTP."""
