"""Deciding and recording: commands in groups, each group one transaction."""
