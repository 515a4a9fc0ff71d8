"""Replaying and proving the history: the state at any moment, the story of a purchase, verification, export."""
