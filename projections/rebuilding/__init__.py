"""Rebuilding: all tables folded anew beside the live ones, compared, and swapped in."""
