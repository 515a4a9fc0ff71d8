"""Slow searches for faults, each a command of its own with a short smoke in the suite."""
