"""Proving an export where there is no database."""
