"""Processes that end when they should: children, signals, the first process, the supervisor."""
